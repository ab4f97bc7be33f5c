"""What a push would do, by asking the registries what they have: HEAD and GET alone, nothing is opened or written.

What only a write can tell stays open: whether a push is allowed, where no token says so, and whether a registry links a
blob of another repository, which it may refuse.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from msgspec import Struct

from oci_push.engine.plan import PushPlan, RepositoryPlan
from oci_push.errors import CredentialsError, DeniedError, OciPushError, RegistryError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.outcomes import BlobKind, BlobWay, TagMove
from oci_push.model.reference import Repository
from oci_push.protocol.challenge import covers
from oci_push.protocol.endpoints import push_scope
from oci_push.registry.clients import RegistryClients
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import do_all, run_all

T = TypeVar("T")
R = TypeVar("R")


class TagForecast(Struct, frozen=True):
    """Where a tag is and would be; `now` is what it names, `error` why the registry does not say.

    `immutable` says of one that would move that it may not, as far as the vendor's interface tells.
    """

    tag: str
    move: TagMove
    now: Digest | None = None
    immutable: bool | None = None
    error: str = ""


class BlobForecast(Struct, frozen=True):
    """How a blob would come; `mount_from` has it now, or by then. `resumes`: an earlier run has left an upload open."""

    digest: Digest
    size: int
    kind: BlobKind
    way: BlobWay
    mount_from: Repository | None = None
    resumes: bool = False


class TargetForecast(Struct, frozen=True):
    """What would be done in one repository; where that cannot be found out, `error` says why.

    `has_image`: the image is there by its digest, and then all of it. `manifests` would be stored, but for tags that
    are named in one request. `may_push` is what the token says, ``None`` where it does not. `attached` says of each
    artifact of the plan whether it is there.
    """

    repository: Repository
    has_image: bool = False
    may_push: bool | None = None
    tags: tuple[TagForecast, ...] = ()
    blobs: tuple[BlobForecast, ...] = ()
    manifests: int = 0
    error: OciPushError | None = None
    attached: tuple[bool, ...] = ()

    def count(self, way: BlobWay) -> int:
        """Return how many blobs would come in this way."""
        return sum(blob.way is way for blob in self.blobs)

    def size(self, way: BlobWay) -> int:
        """Return the bytes of these blobs."""
        return sum(blob.size for blob in self.blobs if blob.way is way)


class Forecaster:
    """Ask registries; one for all pushes of a run, so that nothing is asked twice, and what one brings counts for all.

    May be shared by threads: of several that want one blob the first is said to send it.
    """

    def __init__(self, clients: RegistryClients) -> None:
        self._clients = clients
        self._there: SingleFlight[tuple[RegistryEndpoint, Repository, Digest], tuple[bool]] = SingleFlight()
        self._lock = threading.Lock()
        self._coming: dict[tuple[RegistryEndpoint, Digest], dict[Repository, None]] = {}
        self._read_only: set[tuple[RegistryEndpoint, Repository]] = set()

    def forecast(self, context: Context, plan: PushPlan) -> tuple[TargetForecast, ...]:
        """Return what would be done for each of the plan's repositories, in its order; raises only for a cancel."""
        found: dict[int, TargetForecast] = {}
        works = list(enumerate(plan.repositories))
        for wave in ([w for w in works if w[1].after is None], [w for w in works if w[1].after is not None]):
            jobs = [partial(self._look, plan, work) for _, work in wave]
            for (number, work), outcome in zip(wave, run_all(context, jobs, limit=max(1, len(jobs))), strict=True):
                if isinstance(outcome.error, OciPushError):
                    context.check()
                    found[number] = TargetForecast(work.target.repository, error=outcome.error)
                else:
                    found[number] = outcome.get()
        return tuple(found[number] for number, _ in works)

    def _look(self, plan: PushPlan, work: RepositoryPlan, context: Context) -> TargetForecast:
        target = work.target
        self._clients.want(target.endpoint, push=(target.repository,))
        client = self._clients.repository(target.endpoint, target.repository)
        key = (target.endpoint, target.repository)
        try:
            return _Look(self, plan, work, client, push=key not in self._read_only).run(context)
        except (DeniedError, CredentialsError) as error:
            # Who may not write is often refused a token for it, and may look all the same.
            if key in self._read_only:
                raise
            try:
                found = _Look(self, plan, work, client, push=False).run(context)
            except (DeniedError, CredentialsError):
                raise error from None
            self._read_only.add(key)
            return found

    def has(self, context: Context, client: RepositoryClient, blob: Descriptor, *, push: bool = False) -> bool:
        """Return whether a repository has a blob, asking once."""
        key = (client.session.endpoint, client.repository, blob.digest)
        return self._there.get(key, lambda: (client.has_blob(context, blob, push=push),))[0]

    def claim(self, client: RepositoryClient, blob: Descriptor) -> tuple[Repository, ...]:
        """Note that a repository will have a blob; return those that would have had it before."""
        with self._lock:
            known = self._coming.setdefault((client.session.endpoint, blob.digest), {})
            before = tuple(known)
            known[client.repository] = None
        return before

    def release(self, client: RepositoryClient, blob: Descriptor) -> None:
        """Take a `claim` back."""
        with self._lock:
            self._coming.get((client.session.endpoint, blob.digest), {}).pop(client.repository, None)

    def mountable(
        self,
        context: Context,
        client: RepositoryClient,
        blob: Descriptor,
        coming: Sequence[Repository],
        candidates: Sequence[Repository],
    ) -> Repository | None:
        """Return a repository to mount a blob from: one this run brings it to, or the first that has it now."""
        endpoint = client.session.endpoint
        if not (coming or candidates) or not self._clients.can_mount(endpoint) or not client.can_mount(context):
            return None
        if coming:
            return coming[0]
        for candidate in candidates:
            try:
                if self.has(context, self._clients.repository(endpoint, candidate), blob):
                    return candidate
            except (RegistryError, CredentialsError) as error:
                if error.transient:
                    raise
        return None


class _Look:
    """The questions about one repository; with `push` the right to write is asked for as well."""

    def __init__(
        self, all_of_it: Forecaster, plan: PushPlan, work: RepositoryPlan, client: RepositoryClient, *, push: bool
    ) -> None:
        self._all = all_of_it
        self._work = work
        self._client = client
        self._push = push
        self._root = plan.graph.root
        self._nodes = plan.graph.nodes
        self._attached = plan.attached
        self._kinds = plan.graph.kinds()
        self._claimed: list[Descriptor] = []

    def run(self, context: Context) -> TargetForecast:
        """Ask all of them; raises what is in the way."""
        try:
            return self._run(context)
        except BaseException:
            for blob in self._claimed:
                self._all.release(self._client, blob)
            raise

    def _run(self, context: Context) -> TargetForecast:
        has_image = self._has_manifest(context, str(self._root.digest))
        tags = self._each(context, self._work.target.tags, self._tag)
        if has_image:
            blobs = tuple(self._there(blob) for blob in self._work.blobs)
        else:
            blobs = self._each(context, self._work.blobs, self._blob)
        manifests = 0 if has_image else len(self._nodes)
        attached = self._each(context, [str(one.top.digest) for one in self._attached], self._has_manifest)
        return TargetForecast(
            self._client.repository, has_image, self._may_push(), tags, blobs, manifests, attached=attached
        )

    def _has_manifest(self, context: Context, digest: str) -> bool:
        return self._client.head(context, digest, push=self._push) is not None

    def _each(self, context: Context, items: Sequence[T], ask: Callable[[Context, T], R]) -> tuple[R, ...]:
        jobs = [lambda inner, item=item: ask(inner, item) for item in items]
        return tuple(do_all(context, jobs, limit=self._client.session.limiter.ceiling))

    def _tag(self, context: Context, tag: str) -> TagForecast:
        if tag in self._work.target.before:
            now = self._work.target.before[tag]
        else:
            try:
                there = self._client.head(context, tag, push=self._push)
            except RegistryError as error:
                if error.transient or isinstance(error, DeniedError):
                    raise
                return TagForecast(tag, TagMove.UNKNOWN, error=str(error))
            now = there.digest if there else None
        if now is None:
            return TagForecast(tag, TagMove.NEW)
        if now == self._root.digest:
            return TagForecast(tag, TagMove.UNCHANGED, now)
        return TagForecast(tag, TagMove.MOVES, now, self._client.keeps_tag(context, tag))

    def _blob(self, context: Context, blob: Descriptor) -> BlobForecast:
        client = self._client
        if self._all.has(context, client, blob, push=self._push):
            return self._there(blob)
        coming = self._claim(blob)
        if client.repository in coming:
            return self._made(blob, BlobWay.THERE)
        candidates = self._work.mount_candidates.get(blob.digest, ())
        source = self._all.mountable(context, client, blob, coming, candidates)
        if source is not None:
            return self._made(blob, BlobWay.MOUNT, source)
        return self._made(blob, BlobWay.SEND)

    def _there(self, blob: Descriptor) -> BlobForecast:
        self._claim(blob)
        return self._made(blob, BlobWay.THERE)

    def _claim(self, blob: Descriptor) -> tuple[Repository, ...]:
        before = self._all.claim(self._client, blob)
        if self._client.repository not in before:
            self._claimed.append(blob)
        return before

    def _made(self, blob: Descriptor, way: BlobWay, source: Repository | None = None) -> BlobForecast:
        resumes = way is BlobWay.SEND and self._client.has_upload(blob)
        return BlobForecast(blob.digest, blob.size, self._kinds[blob.digest], way, source, resumes)

    def _may_push(self) -> bool | None:
        """Return what a token says of it that was asked for the right to write."""
        if not self._push:
            return False
        wanted = (push_scope(self._client.repository),)
        for view in self._client.session.auth.view().tokens:
            if view.granted is not None and covers(view.asked, wanted):
                return covers(view.granted, wanted)
        return None
