"""The push to one repository: blobs before manifests, children before the index, the root before any further tag.

A manifest that is refused because something it names is not there is not taken at its word alone: what is missing is
sent, whatever was remembered or answered before, and the manifest once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeAlias, TypeVar

from oci_push.engine.artifacts.attachment import AttachedResult
from oci_push.engine.plan import SMALL_BYTES, PushPlan, RepositoryPlan
from oci_push.engine.tags import TagResult, TagSnapshot
from oci_push.engine.transfer import BlobResult, SentAhead, send, transfer
from oci_push.errors import ImmutableTagError, OciPushError, RegistryError, UploadRejectedError
from oci_push.events import BlobDone, Emit, LogMessage, ManifestDone, TagDone, TargetFinished, TargetStarted
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import BlobOutcome, ManifestOutcome, TagOutcome
from oci_push.registry.clients import RegistryClients
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.costs import Costs
from oci_push.runtime.phases import BLOBS, LOOK, MANIFESTS, TAGS, timed
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import do_all, run_all
from oci_push.sources.base import ImageReader

T = TypeVar("T")
_TAGS_AT_ONCE = 10
"""What a registry that takes several tags in one PUT should accept (distribution-spec after 1.1.1)."""
_LARGE_AT_ONCE = 16
"""How many large blobs go at once: they fill the line, and each has a buffer."""
_PART_MISSING = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})


class RepositoryPush:
    """What the push to one repository needs, its steps, and what it has done so far, which is kept when one fails."""

    def __init__(
        self,
        plan: PushPlan,
        work: RepositoryPlan,
        source: ImageReader,
        clients: RegistryClients,
        emit: Emit,
        ahead: SentAhead | None = None,
    ) -> None:
        self.work = work
        self.root = plan.graph.root
        self.nodes = plan.graph.nodes
        self._kinds = plan.graph.kinds()
        self.source = source
        self.emit = emit
        self.blobs: dict[Digest, BlobResult] = ahead.blobs if ahead else {}
        self.tags: dict[str, TagResult] = {}
        self.repaired: list[Digest] = []
        self.attached: list[AttachedResult] = []
        self.was_there = self.is_verified = False
        self.error: OciPushError | None = None
        self.seconds = ahead.seconds if ahead else 0.0
        self.costs = ahead.costs if ahead else Costs()
        self._clients = clients
        self._ahead = ahead
        self._mended: SingleFlight[Digest, bool] = SingleFlight()
        self._has_root = False

    @cached_property
    def client(self) -> RepositoryClient:
        """Return the repository's client; a certificate that cannot be read is a failure of this push and no other."""
        return self._clients.repository(self.work.target.endpoint, self.work.target.repository)

    @cached_property
    def snapshot(self) -> TagSnapshot:
        """Return what is known of where the tags were."""
        return TagSnapshot(self.client, self.root, self.work.target.before)

    def attempt(self, context: Context, *steps: Step) -> None:
        """Do steps until one fails; its failure is kept in `error`, explained where the vendor's interface can."""
        began = context.clock.monotonic()
        context = context.spending(self.costs)
        try:
            for step in steps:
                timed(TAGS)(step)(self, context)
        except OciPushError as problem:
            self.error = problem
            if "client" in self.__dict__:
                self.error = self.client.explain(context, problem)
                self.client.seen.forget(blob.digest for blob in self.work.blobs)
                self.client.seen.forget(node.digest for node in self.nodes)
                # Who pushes there again in this run does not multiply what was tried here.
                self.client.session.gave_up(problem)
        self.seconds += context.clock.monotonic() - began

    @timed(LOOK)
    def send_content(self, context: Context) -> None:
        """Bring everything below the root into the repository, or find that the root is there already."""
        if self._ahead is None:
            self.emit(TargetStarted(self.work.target.repository, self.work.target.tags))
        elif self._ahead.error is not None:
            raise self._ahead.error
        self.client.prepare(context)
        self.client.session.expect(max(len(self.work.blobs), len(self.work.target.tags)))
        first = self.work.target.tags[:1]
        self._has_root = self.was_there = self._look(context, *first)
        if not self._has_root:
            self._send_blobs(context)
            self._put_children(context)
            return
        for blob in self._waiting():
            kind = self._kinds[blob.digest]
            self.blobs[blob.digest] = BlobResult(blob.digest, blob.size, BlobOutcome.EXISTS)
            self.emit(BlobDone(self.client.repository, blob.digest, blob.size, BlobOutcome.EXISTS, kind=kind))
        self.client.see_listed(context, self.root)  # a push that was killed may not have come to that
        self.emit(ManifestDone(self.client.repository, self.root.digest, ManifestOutcome.EXISTS))
        for tag in first:
            if self.snapshot.before(tag) == self.root.digest:
                self._tagged(tag, TagOutcome.UNCHANGED)

    @timed(MANIFESTS)
    def put_root(self, context: Context) -> None:
        """Store the root by its digest alone, if it is not there."""
        if not self._has_root:
            self._put_by_digest(context, self.root)
            self._has_root = True

    def read_tags(self, context: Context) -> None:
        """Read what each tag names, for putting it back."""
        self.each(context, self.work.target.tags, self.snapshot.read)

    def put_first_tag(self, context: Context) -> None:
        """Set the first tag alone: what refuses it refuses all, and then no other has moved."""
        for tag in self.work.target.tags[:1]:
            if tag not in self.tags:
                self._put_tag_unless_set(context, tag)

    def put_tags(self, context: Context) -> None:
        """Set every tag, and store the root with the first of them where it is not there yet.

        The one that brings the root goes alone, since what refuses it refuses all. Where one names the image already,
        the others may, too: they are asked for, and what is set is not sent.
        """
        put_tag = self._put_tag_unless_set if self.tags else self._put_tag
        if not self._has_root:
            self._put_root_with_tags(context)
        left = [tag for tag in self.work.target.tags if tag not in self.tags]
        self.each(context, left, put_tag, stop_on_error=False)

    @timed(TAGS)
    def restore_tags(self, context: Context) -> None:
        """Put every tag back that has moved, or may have."""
        for tag, known in self.tags.items():
            self.tags[tag] = self.snapshot.restore(context, tag, known)

    def tell_end(self) -> None:
        """Tell listeners that the work on this repository has ended."""
        self.emit(TargetFinished(self.work.target.repository, self.root.digest, str(self.error or "")))

    def put(self, context: Context, manifest: Manifest, target: str) -> None:
        """Store a manifest under a tag or its digest, sending what of it turns out to be missing."""
        before = self.snapshot.before(target)
        self._repairing(context, manifest, lambda: self.client.put_manifest(context, manifest, target, before=before))
        self.client.seen.add(manifest.digest)

    def send_again(self, context: Context, blob: Descriptor) -> None:
        """Send a blob that should be there and is not."""
        self.client.forget_blob(blob)
        self.client.seen.forget([blob.digest])
        self.blobs[blob.digest] = send(context, self.client, self.source, blob, None)
        self.repaired.append(blob.digest)
        what = f"{self.client.repository}: blob {blob.digest.short}"
        self.emit(LogMessage(f"{what}: was said to be there and was not; sent", "warning"))

    def each(
        self,
        context: Context,
        items: Sequence[T],
        act: Callable[[Context, T], None],
        *,
        stop_on_error: bool = True,
        at_once: int | None = None,
    ) -> None:
        """Do something for each of `items` at once, and raise the first failure when all have ended.

        There are as many threads as the registry gets requests at once, or `at_once` where that is fewer.
        """
        most = self.client.session.limiter.ceiling
        jobs = [lambda inner, item=item: act(inner, item) for item in items]
        do_all(context, jobs, limit=min(most, at_once or most), stop_on_error=stop_on_error)

    def _look(self, context: Context, tag: str = "") -> bool:
        """Return whether the root is there: asked for by its tag, which may tell all there is to know, and its digest.

        Far away both go at once, as a round trip costs more than a request; nearby one after the other.
        """
        session = self.client.session

        def by_tag(inner: Context) -> Digest | None:
            return self.snapshot.look(inner, tag)

        def by_digest(inner: Context) -> bool:
            digest = self.root.digest
            return self.client.seen.has(digest) or self.client.head(inner, str(digest), push=True) is not None

        def by_digest_if_far(inner: Context) -> bool | None:
            session.connect(inner)
            return by_digest(inner) if session.is_far else None

        if not tag or self.snapshot.knows(tag):
            return self.snapshot.before(tag) == self.root.digest or by_digest(context)
        asked = run_all(context, [by_tag, by_digest_if_far], limit=2)
        if asked[0].get() == self.root.digest:
            return True
        is_there = asked[1].get()
        return by_digest(context) if is_there is None else bool(is_there)

    @timed(BLOBS)
    def _send_blobs(self, context: Context) -> None:
        candidates = self.work.mount_candidates
        if candidates and not self.client.can_mount(context):
            candidates = {}
        waiting = self._waiting()
        self.client.prefetch_existing(context, waiting)

        may_be_there = self._may_be_there()

        def bring(inner: Context, item: Descriptor | str) -> None:
            if isinstance(item, str):
                self.snapshot.ask(inner, item, once=True)
                return
            ask = may_be_there or item.size > SMALL_BYTES or item.digest in self.work.expected
            others = candidates.get(item.digest, ())
            kind = self._kinds[item.digest]
            self.blobs[item.digest] = transfer(
                inner, self.client, self.source, item, others, self.emit, ask=ask, kind=kind
            )

        # Largest first: a blob cannot be split over connections, so the longest decides when all are done. Beside them
        # the tags are asked for, which costs no time here, and is the only way to tell later what a push has moved.
        largest_first = sorted(waiting, key=lambda blob: -blob.size)
        unknown = [tag for tag in self.work.target.tags[1:] if not self.snapshot.knows(tag)]
        items: list[Descriptor | str] = [*largest_first, *unknown]
        has_many_large = sum(blob.size > SMALL_BYTES for blob in largest_first) > _LARGE_AT_ONCE
        self.each(context, items, bring, at_once=_LARGE_AT_ONCE if has_many_large else None)

    def _may_be_there(self) -> bool:
        """Return whether small blobs are worth asking for: where nothing is known of the image, they are sent at once.

        Another image under the tag is most often an earlier one, which has blobs in common with this one; and a push
        that was killed has left some.
        """
        has_earlier = any(self.snapshot.before(tag) for tag in self.work.target.tags)
        return has_earlier or any(self.client.has_upload(b) for b in self.work.blobs if b.size > SMALL_BYTES)

    def _waiting(self) -> list[Descriptor]:
        """List the blobs that nothing is known of yet."""
        return [blob for blob in self.work.blobs if blob.digest not in self.blobs]

    @timed(MANIFESTS)
    def _put_children(self, context: Context) -> None:
        waiting = [node for node in self.nodes if node.digest != self.root.digest]
        while waiting:
            known = {node.digest for node in waiting}
            ready = [node for node in waiting if not any(child.digest in known for child in node.children)]
            self.each(context, [node for node in ready if not self._has_seen(node)], self._put_by_digest)
            waiting = [node for node in waiting if node not in ready]

    def _has_seen(self, node: Manifest) -> bool:
        """Return whether another image of this run has brought a manifest here."""
        is_there = self.client.seen.has(node.digest)
        if is_there:
            self.emit(ManifestDone(self.client.repository, node.digest, ManifestOutcome.EXISTS))
        return is_there

    def _put_by_digest(self, context: Context, node: Manifest) -> None:
        self.put(context, node, str(node.digest))
        self.emit(ManifestDone(self.client.repository, node.digest, ManifestOutcome.PUSHED))

    @timed(MANIFESTS)
    def _put_root_with_tags(self, context: Context) -> None:
        """Store the root with all its tags in one request where that is known, else with its first tag."""
        tags = self.work.target.tags
        made: frozenset[str] = frozenset()
        for start in range(0, len(tags), _TAGS_AT_ONCE) if len(tags) > 1 else ():
            named = self._put_batch(context, tags[start : start + _TAGS_AT_ONCE])
            if not named:
                break
            made |= named
        for tag in tags:
            if tag in made:
                self._tagged(tag, TagOutcome.PUSHED)
        if not tags:
            self._put_by_digest(context, self.root)
            return
        if not made:
            self._put_tag(context, tags[0])
        self.emit(ManifestDone(self.client.repository, self.root.digest, ManifestOutcome.PUSHED))

    def _put_batch(self, context: Context, batch: tuple[str, ...]) -> frozenset[str]:
        """Set several tags in one request; return those made, none where the registry does not know that."""
        try:
            return self._repairing(context, self.root, lambda: self.client.put_with_tags(context, self.root, batch))
        except OciPushError as error:
            if not error.in_doubt:
                raise
            # Each tag of the batch may have been made: those that have are found, the others set one by one.
            made = set()
            for tag in batch:
                found = self.snapshot.settle(context, tag, error)
                if found.outcome is TagOutcome.PUSHED:
                    made.add(tag)
                elif context.is_cancelled:
                    self.tags[tag] = found
            if error.is_stored:
                for tag in made:
                    self._tagged(tag, TagOutcome.PUSHED)
                raise
            if not made:
                context.check()
            return frozenset(made)

    def _put_tag_unless_set(self, context: Context, tag: str) -> None:
        try:
            there = self.snapshot.ask(context, tag)
        except OciPushError as error:
            self.tags[tag] = TagResult(tag, TagOutcome.FAILED, str(error))
            raise
        if there == self.root.digest:
            self._tagged(tag, TagOutcome.UNCHANGED)
        else:
            self._put_tag(context, tag)

    def _put_tag(self, context: Context, tag: str) -> None:
        try:
            self.put(context, self.root, tag)
        except OciPushError as problem:
            error = problem
            if isinstance(error, ImmutableTagError | UploadRejectedError):
                # ECR refuses to push an immutable tag's own digest again, which is no failure.
                there = self.snapshot.ask(context, tag)
                if there == self.root.digest:
                    self._tagged(tag, TagOutcome.UNCHANGED)
                    return
                if isinstance(error, ImmutableTagError) and there is not None:
                    error = error.with_more(f": it is {there}, the image is {self.root.digest}")
            self.tags[tag] = result = self.snapshot.settle(context, tag, error)
            if result.outcome is not TagOutcome.PUSHED or error.is_stored:
                raise error from problem.__cause__
        self._tagged(tag, TagOutcome.PUSHED)

    def _tagged(self, tag: str, outcome: TagOutcome) -> None:
        self.tags[tag] = TagResult(tag, outcome)
        self.emit(TagDone(self.client.repository, tag, self.root.digest, self.root.size, outcome))

    def _repairing(self, context: Context, manifest: Manifest, act: Callable[[], T]) -> T:
        """Put a manifest, and once more after what it misses has been sent: once for all tags that miss it at once."""
        was_mended = self._mended.peek(manifest.digest) is not None
        try:
            return act()
        except RegistryError as error:
            if _PART_MISSING.isdisjoint(error.codes) or was_mended:
                raise
            named = frozenset(error.named)
            if not self._mended.get(manifest.digest, lambda: self._repair(context, manifest, named)):
                raise
        return act()

    def _repair(self, context: Context, manifest: Manifest, named: frozenset[str]) -> bool:
        """Send what the registry misses of a manifest; return whether there was anything to send.

        Where it names nothing, everything is asked for once more; and where all of that is said to be there, what
        was not sent by this run is sent.
        """
        below = {child.digest for child in manifest.children}
        own = {blob.digest for blob in manifest.blobs} | below
        blobs = [blob for blob in self.work.blobs if blob.digest in own]
        children = [node for node in self.nodes if node.digest in below]
        missing = [blob for blob in blobs if str(blob.digest) in named]
        absent = [node for node in children if str(node.digest) in named]
        if not missing and not absent:
            missing = [blob for blob in blobs if not self.client.has_blob(context, blob)]
            absent = children
        if not missing and not absent:
            sent = {digest for digest, one in self.blobs.items() if one.outcome is BlobOutcome.UPLOADED}
            missing = [blob for blob in blobs if blob.digest not in sent]
        self.each(context, missing, self.send_again)
        self.each(context, absent, self._put_by_digest)
        return bool(missing or absent)


Step: TypeAlias = Callable[[RepositoryPush, Context], None]
"""One step of a push to a repository."""
