"""Putting tags back: what makes a push to several places all or nothing, as far as registries allow it.

What a tag pointed at is read before it moves, bytes and all: an old manifest that no tag names any more may be gone
by the time it is needed. A tag that was new is deleted by its name and never by its digest, which would take other
tags with it; where a registry cannot do that, the tag stays and is reported.
"""

from __future__ import annotations

from oci_push.engine.leg import LegRun, TagResult
from oci_push.errors import NotFoundError, OciPushError
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Reference
from oci_push.runtime.scope import Scope


class Before:
    """Hold where the tags of one leg were."""

    def __init__(self, run: LegRun) -> None:
        self._run = run
        self._tags: dict[str, Manifest | None] = {}

    def look(self, scope: Scope) -> None:
        """Read what every tag points at; raises when that cannot be read, before anything has moved."""

        def read(inner: Scope, tag: str) -> None:
            try:
                self._tags[tag] = self._run.client.fetch(inner, Reference(self._run.client.repository, tag))
            except NotFoundError:
                self._tags[tag] = None

        self._run.each(scope, self._run.leg.target.tags, read)

    def restore(self, scope: Scope) -> None:
        """Put every tag back that has moved, also one whose request failed: it may have been done all the same."""
        for tag, before in self._tags.items():
            known = self._run.progress.tags.get(tag)
            if known is None or known.outcome == "unchanged" or (before and before.digest == self._run.root.digest):
                continue
            self._run.progress.tags[tag] = self._put_back(scope, tag, before, known)

    def _put_back(self, scope: Scope, tag: str, before: Manifest | None, known: TagResult) -> TagResult:
        client = self._run.client
        try:
            if known.outcome == "failed" and self._run.points_at(scope, tag) != self._run.root.digest:
                return known
            if before is not None:
                client.put_manifest(scope, before, tag)
                return TagResult(tag, "restored")
            client.delete_tag(scope, tag)
            return TagResult(tag, "removed")
        except OciPushError as error:
            what = f"it should point at {before.digest} again" if before else "it is new and should not exist"
            return TagResult(tag, "left", f"{what}: {error}")
