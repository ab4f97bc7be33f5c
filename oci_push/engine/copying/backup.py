"""Keeping what a tag names under another tag, or elsewhere, before it is overwritten."""

from __future__ import annotations

from collections.abc import Callable

from oci_push.engine.copying.copy import copy
from oci_push.engine.copying.items import CopyItem, CopyOptions
from oci_push.engine.copying.tag_lists import Side
from oci_push.engine.editing.change import tag as tag_image
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import UnitTarget
from oci_push.errors import OciPushError
from oci_push.events import Emit
from oci_push.model.digest import Digest
from oci_push.model.mirroring import elsewhere
from oci_push.runtime.context import Context


class Backups:
    """Keep what is about to be overwritten, by the pusher that overwrites it."""

    def __init__(self, pusher: Pusher, emit: Emit) -> None:
        self._pusher = pusher
        self._emit = emit

    def keep(
        self, context: Context, side: Side, tag: str, backup: str, wanted: Callable[[], Digest | None]
    ) -> Digest | None:
        """Keep what a tag names as `backup` says, unless it is what is `wanted` there; return what it names.

        Where this raises, nothing may be overwritten, and the error says so.
        """
        try:
            there = side.client.head(context, tag, push=True)
            if there is None or there.digest is None:
                return None
            if there.digest != wanted():
                self._keep(context, side, there.digest, backup)
        except OciPushError as problem:
            raise problem.with_more("; nothing was overwritten, as it could not be kept") from problem
        return there.digest

    def _keep(self, context: Context, side: Side, digest: Digest, backup: str) -> None:
        place = elsewhere(backup)
        if place is None:
            _, errors = tag_image(context, side.client, str(digest), [backup])
            for error in errors.values():
                raise error
            return
        target = UnitTarget(place.repository, (place.tag,))
        item = CopyItem(f"docker://{side.repository}@{digest}", (target,), side.registry)
        for failed in copy(context, self._pusher, [item], self._emit, CopyOptions(1, referrers=False)).errors:
            if failed is not None:
                raise failed
