"""Keeping what a tag names under another tag, before it is overwritten."""

from __future__ import annotations

from collections.abc import Callable

from oci_push.engine.editing.change import tag as tag_image
from oci_push.errors import OciPushError
from oci_push.model.digest import Digest
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context


def keep(
    context: Context, client: RepositoryClient, tag: str, backup: str, wanted: Callable[[], Digest | None]
) -> Digest | None:
    """Give what a tag names the tag `backup` as well, unless it is what is `wanted` there; return what it names.

    Where this raises, nothing may be overwritten, and the error says so.
    """
    try:
        there = client.head(context, tag, push=True)
        if there is None or there.digest is None:
            return None
        if there.digest != wanted():
            _, errors = tag_image(context, client, str(there.digest), [backup])
            for error in errors.values():
                raise error
    except OciPushError as problem:
        raise problem.with_more("; nothing was overwritten, as it could not be kept") from problem
    return there.digest
