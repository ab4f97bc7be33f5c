"""The tags of one repository: where they were before the push, and putting back what should not be where it is.

A tag that was new is deleted by its name and never by its digest, which would take other tags with it; where a registry
cannot do that, the tag stays and is reported. What cannot be known is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from oci_push.errors import DeniedError, NotFoundError, OciPushError, RegistryError
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import TagOutcome
from oci_push.model.reference import Reference
from oci_push.protocol.manifests import Head
from oci_push.registry.manifest_push import SETTLE_S
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context


class TagResult(Struct, frozen=True):
    """What became of one tag; `error` says where a tag that was left is."""

    tag: str
    outcome: TagOutcome
    error: str = ""


class TagSnapshot:
    """Where tags were before the push, for finding out where they are and putting them back.

    `before` is what is known of that already. May be shared by threads; each tag has one.
    """

    def __init__(self, client: RepositoryClient, root: Manifest, before: Mapping[str, Digest | None]) -> None:
        self._client = client
        self._root = root
        self._before = dict(before)
        self._manifests: dict[str, Manifest] = {}

    def before(self, tag: str) -> Digest | None:
        """Return what a tag named; ``None`` when that was nothing, or is not known."""
        return self._before.get(tag)

    def knows(self, tag: str) -> bool:
        """Return whether it is known what a tag named."""
        return tag in self._before

    def ask(self, context: Context, tag: str, *, once: bool = False) -> Digest | None:
        """Ask where a tag is; ``None`` when it is nowhere, or the registry does not say.

        The first answer is taken for where it was before. `once` is for one that is good to have and no more.
        """
        try:
            there = self._client.head(context, tag, push=True, once=once)
        except OciPushError as error:
            context.check()
            if not once and not isinstance(error, RegistryError):
                raise
            return None
        return self._noted(tag, there)

    def look(self, context: Context, tag: str) -> Digest | None:
        """Ask where a tag is as the first question of a push: what breaks or is denied here is so for all, and raised.

        Another refusal may be about this question alone: then the registry does not say.
        """
        try:
            there = self._client.head(context, tag, push=True)
        except RegistryError as error:
            if error.transient or isinstance(error, DeniedError):
                raise
            return None
        return self._noted(tag, there)

    def _noted(self, tag: str, there: Head | None) -> Digest | None:
        digest = there.digest if there else None
        self._before.setdefault(tag, digest)
        return digest

    def read(self, context: Context, tag: str) -> None:
        """Read what a tag names, bytes and all; raises where that cannot be done.

        An old manifest that no tag names any more may be gone by the time it is needed.
        """
        try:
            found = self._client.fetch(context, Reference(self._client.repository, tag))
        except NotFoundError:
            self._before[tag] = None
        else:
            self._before[tag], self._manifests[tag] = found.digest, found

    def settle(self, context: Context, tag: str, error: OciPushError) -> TagResult:
        """Find out what a failed PUT has made of a tag, and put it back from what is neither old nor new."""
        if not error.in_doubt:
            return TagResult(tag, TagOutcome.FAILED, str(error))
        around = context.shielded(SETTLE_S) if context.is_cancelled else context
        try:
            there = self._client.where(around, tag, self._root)
        except OciPushError as problem:
            return TagResult(tag, TagOutcome.UNKNOWN, f"the registry cannot be asked where it is ({problem})")
        if there == self._root.digest:
            return TagResult(tag, TagOutcome.PUSHED)
        if there == self._before.get(tag):
            return TagResult(tag, TagOutcome.FAILED, str(error))
        return self._put_back(around, tag, f"it names {there or 'nothing'}")

    def restore(self, context: Context, tag: str, known: TagResult) -> TagResult:
        """Put a tag back that has moved, or whose request failed: it may have been done all the same.

        What others have made of a tag since is theirs; only what our own PUT may have left there is undone.
        """
        is_untouched = known.outcome is TagOutcome.UNCHANGED or self.before(tag) == self._root.digest
        if tag not in self._before or is_untouched:
            return known
        try:
            there = self._client.where(context, tag, self._root)
        except OciPushError as problem:
            return self._put_back(context, tag, f"it cannot be asked where it is ({problem})")
        if there not in (self._root.digest, self._before[tag]) and known.outcome not in (
            TagOutcome.LEFT,
            TagOutcome.UNKNOWN,
        ):
            return TagResult(
                tag, TagOutcome.LEFT, f"it names {there or 'nothing'}, where somebody else has moved it meanwhile"
            )
        if there != self._before[tag]:
            return self._put_back(context, tag, f"it names {there or 'nothing'}")
        is_told = known.outcome in (TagOutcome.FAILED, TagOutcome.REMOVED)
        return known if is_told else TagResult(tag, TagOutcome.RESTORED)

    def _put_back(self, context: Context, tag: str, now: str) -> TagResult:
        if tag not in self._before:
            unknown = f"{now}, not the image, and nobody knows what it named before: push again"
            return TagResult(tag, TagOutcome.LEFT, unknown)
        before = self._before[tag]
        try:
            if before is not None:
                reference = Reference(self._client.repository, "", before)
                manifest = self._manifests.get(tag) or self._client.fetch(context, reference)
                self._client.put_manifest(context, manifest, tag)
                return TagResult(tag, TagOutcome.RESTORED)
            self._client.delete_tag(context, tag)
            left = self._client.where(context, tag, self._root)
            if left is None:
                return TagResult(tag, TagOutcome.REMOVED)
            now, what = f"it names {left}", "is new and should not exist; deleting it had no effect"
        except OciPushError as error:
            what = f"{f'and should name {before} again' if before else 'is new and should not exist'}: {error}"
        return TagResult(tag, TagOutcome.LEFT, f"{now}, {what}")
