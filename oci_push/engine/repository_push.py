"""The work for one repository: blobs before manifests, children before the index, the root before any further tag.

A manifest that is refused because something it names is not there is not taken at its word alone: what is missing is
sent, whatever was remembered or answered before, and the manifest once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.engine.plan import PushPlan, RepositoryPlan
from oci_push.engine.tags import TagResult, Tags
from oci_push.engine.transfer import BlobResult, send, transfer
from oci_push.errors import ImmutableTagError, OciPushError, RegistryError, UploadRejectedError
from oci_push.events import BlobDone, Emit, LogMessage, ManifestDone, TagDone
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import BlobOutcome, ManifestOutcome, TagOutcome
from oci_push.registry.clients import RegistryClients
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import first_error, run_all
from oci_push.sources.base import Source

T = TypeVar("T")
_TAGS_AT_ONCE = 10
"""What a registry that takes several tags in one PUT should accept (distribution-spec after 1.1.1)."""
_PART_MISSING = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})


class Progress(Struct):
    """Collect what a leg has done so far; kept when it fails."""

    blobs: dict[Digest, BlobResult] = field(default_factory=dict)
    tags: dict[str, TagResult] = field(default_factory=dict)
    is_verified: bool = False
    repaired: list[Digest] = field(default_factory=list)


class RepositoryPush:
    """Do one leg's work, step by step; `client` and `progress` are open to whoever checks or undoes it."""

    def __init__(
        self, plan: PushPlan, leg: RepositoryPlan, source: Source, clients: RegistryClients, emit: Emit
    ) -> None:
        self.leg = leg
        self.root = plan.graph.root
        self.nodes = plan.graph.nodes
        self.source = source
        self.progress = Progress()
        self.emit = emit
        self._connections = clients
        self._width = clients.width()
        self._mended: set[Digest] = set()
        self._is_new = True

    @cached_property
    def client(self) -> RepositoryClient:
        """Return the repository's client; a certificate that cannot be read is this leg's failure and no other's."""
        return self._connections.repository(self.leg.target.endpoint, self.leg.target.repository)

    @cached_property
    def tags(self) -> Tags:
        """Return what is known of the tags' places."""
        return Tags(self.client, self.root)

    def send_content(self, context: Context) -> None:
        """Bring everything below the root into the repository, or find that the root is there already."""
        self.client.prepare(context)
        self._is_new = self.client.head(context, str(self.root.digest), push=True) is None
        if self._is_new:
            self._send_blobs(context)
            self._put_children(context)
            return
        for blob in self.leg.blobs:
            self.progress.blobs[blob.digest] = BlobResult(blob.digest, blob.size, BlobOutcome.EXISTS)
            self.emit(BlobDone(self.client.repository, blob.digest, blob.size, BlobOutcome.EXISTS))
        self.emit(ManifestDone(self.client.repository, self.root.digest, ManifestOutcome.EXISTS))

    def put_root(self, context: Context) -> None:
        """Store the root by its digest alone, if it is not there."""
        if self._is_new:
            self.put(context, self.root, str(self.root.digest))
            self.emit(ManifestDone(self.client.repository, self.root.digest, ManifestOutcome.PUSHED))
            self._is_new = False

    def put_tags(self, context: Context) -> None:
        """Set every tag, and store the root with the first of them where it is not there yet.

        The first one goes alone, since what refuses it refuses all. An image that was there already may have its
        tags already: they are asked for, and nothing is sent.
        """
        ask_first = not self._is_new
        if self._is_new:
            self._put_root_with_tags(context)
        left = [tag for tag in self.leg.target.tags if tag not in self.progress.tags]
        if left and not self.progress.tags:
            self._put_tag(context, left.pop(0), ask_first=ask_first)
        self.each(context, left, lambda s, tag: self._put_tag(s, tag, ask_first=ask_first), stop_on_error=False)

    def restore_tags(self, context: Context) -> None:
        """Put every tag back that has moved, or may have."""
        for tag, known in self.progress.tags.items():
            self.progress.tags[tag] = self.tags.restore(context, tag, known)

    def put(self, context: Context, manifest: Manifest, target: str) -> None:
        """Store a manifest under a tag or its digest, sending what of it turns out to be missing."""
        before = self.tags.before(target)
        self._mending(context, manifest, lambda: self.client.put_manifest(context, manifest, target, before=before))

    def send_again(self, context: Context, blob: Descriptor) -> None:
        """Send a blob that should be there and is not."""
        self.client.forget_blob(blob)
        self.progress.blobs[blob.digest] = send(context, self.client, self.source, blob, None)
        self.progress.repaired.append(blob.digest)
        what = f"{self.client.repository}: blob {blob.digest.short}"
        self.emit(LogMessage(f"{what}: was said to be there and was not; sent", "warning"))

    def explain(self, context: Context, error: OciPushError) -> OciPushError:
        """Find out what a vague failure was about, where the vendor's interface can tell."""
        return self.client.explain(context, error) if "client" in self.__dict__ else error

    def gave_up(self, error: OciPushError) -> None:
        """Remember that this leg has ended so: who pushes there again in this run does not multiply the attempts."""
        if "client" in self.__dict__:
            self.client.session.gave_up(error)

    def each(
        self, context: Context, items: Sequence[T], act: Callable[[Context, T], None], *, stop_on_error: bool = True
    ) -> None:
        """Do something for each of `items` at once, and raise the first failure when all have ended."""
        outcomes = run_all(
            context,
            [lambda s, item=item: act(s, item) for item in items],  # type: ignore[misc]
            limit=self._width,
            stop_on_error=stop_on_error,
        )
        error = first_error(outcomes)
        if error is not None:
            raise error

    def _send_blobs(self, context: Context) -> None:
        leg = self.leg
        if leg.mounts and not self.client.can_mount(context):
            leg = replace(leg, mounts={})
        self.client.survey(context, leg.blobs)

        def bring(inner: Context, item: Descriptor | str) -> None:
            if isinstance(item, str):
                self.tags.ask(inner, item, once=True)
                return
            result = transfer(inner, self.client, self.source, leg, item, inner.clock, self.emit)
            self.progress.blobs[item.digest] = result

        # Largest first: a blob cannot be split over connections, so the longest decides when all are done. Beside them
        # the tags are asked for, which costs no time here, and is the only way to tell later what a push has moved.
        largest_first = sorted(leg.blobs, key=lambda blob: -blob.size)
        items: list[Descriptor | str] = [*largest_first, *leg.target.tags]
        self.each(context, items, bring)

    def _put_children(self, context: Context) -> None:
        waiting = [node for node in self.nodes if node.digest != self.root.digest]
        while waiting:
            known = {node.digest for node in waiting}
            ready = [node for node in waiting if not any(child.digest in known for child in node.children)]
            self.each(context, ready, self._put_child)
            waiting = [node for node in waiting if node not in ready]

    def _put_child(self, context: Context, node: Manifest) -> None:
        self.put(context, node, str(node.digest))
        self.emit(ManifestDone(self.client.repository, node.digest, ManifestOutcome.PUSHED))

    def _put_root_with_tags(self, context: Context) -> None:
        """Store the root with all its tags in one request where that is known, else with its first tag."""
        tags = self.leg.target.tags
        made: frozenset[str] = frozenset()
        for start in range(0, len(tags), _TAGS_AT_ONCE) if len(tags) > 1 else ():
            named = self._put_batch(context, tags[start : start + _TAGS_AT_ONCE])
            if not named:
                break
            made |= named
        for tag in tags:
            if tag in made:
                self._tagged(tag, TagOutcome.PUSHED)
        if not made and tags:
            self._put_tag(context, tags[0], ask_first=False)
        elif not made:
            self.put(context, self.root, str(self.root.digest))
        self.emit(ManifestDone(self.client.repository, self.root.digest, ManifestOutcome.PUSHED))

    def _put_batch(self, context: Context, batch: tuple[str, ...]) -> frozenset[str]:
        try:
            return self._mending(context, self.root, lambda: self.client.put_with_tags(context, self.root, batch))
        except OciPushError as error:
            if not error.in_doubt:
                raise
            # Each tag of the batch may have been made: those that have are found, the others set one by one.
            made = set()
            for tag in batch:
                found = self.tags.settle(context, tag, error)
                if found.outcome == TagOutcome.PUSHED:
                    made.add(tag)
                elif context.is_cancelled:
                    self.progress.tags[tag] = found
            if error.is_stored:
                for tag in made:
                    self._tagged(tag, TagOutcome.PUSHED)
                raise
            if not made:
                context.check()
            return frozenset(made)

    def _put_tag(self, context: Context, tag: str, *, ask_first: bool) -> None:
        try:
            if ask_first and self.tags.ask(context, tag) == self.root.digest:
                self._tagged(tag, TagOutcome.UNCHANGED)
                return
            self.put(context, self.root, tag)
        except OciPushError as error:
            if isinstance(error, ImmutableTagError | UploadRejectedError):
                # ECR refuses to push an immutable tag's own digest again, which is no failure.
                there = self.tags.ask(context, tag)
                if there == self.root.digest:
                    self._tagged(tag, TagOutcome.UNCHANGED)
                    return
                if isinstance(error, ImmutableTagError) and there is not None:
                    error.message += f": it is {there}, the image is {self.root.digest}"
            self.progress.tags[tag] = result = self.tags.settle(context, tag, error)
            if result.outcome != TagOutcome.PUSHED or error.is_stored:
                raise
        self._tagged(tag, TagOutcome.PUSHED)

    def _tagged(self, tag: str, outcome: TagOutcome) -> None:
        self.progress.tags[tag] = TagResult(tag, outcome)
        self.emit(TagDone(self.client.repository, tag, self.root.digest, self.root.size, outcome))

    def _mending(self, context: Context, manifest: Manifest, act: Callable[[], T]) -> T:
        try:
            return act()
        except RegistryError as error:
            if _PART_MISSING.isdisjoint(error.codes) or manifest.digest in self._mended:
                raise
            self._mended.add(manifest.digest)
            if not self._mend(context, manifest, frozenset(error.named)):
                raise
        return act()

    def _mend(self, context: Context, manifest: Manifest, named: frozenset[str]) -> bool:
        """Send what the registry misses of a manifest; say whether there was anything to send.

        Where it names nothing, everything is asked for once more; and where all of that is said to be there, what
        was not sent by this run is sent.
        """
        below = {child.digest for child in manifest.children}
        own = {blob.digest for blob in manifest.blobs} | below
        blobs = [blob for blob in self.leg.blobs if blob.digest in own]
        children = [node for node in self.nodes if node.digest in below]
        missing = [blob for blob in blobs if str(blob.digest) in named]
        absent = [node for node in children if str(node.digest) in named]
        if not missing and not absent:
            missing = [blob for blob in blobs if not self.client.has_blob(context, blob)]
            absent = children
        if not missing and not absent:
            missing = [blob for blob in blobs if not self._has_sent(blob)]
        self.each(context, missing, self.send_again)
        self.each(context, absent, self._put_child)
        return bool(missing or absent)

    def _has_sent(self, blob: Descriptor) -> bool:
        result = self.progress.blobs.get(blob.digest)
        return result is not None and result.outcome is BlobOutcome.UPLOADED
