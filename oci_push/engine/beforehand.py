"""What the targets of a push are asked before its image is read: who may push there, and which blobs they have.

A store of unpacked layers (`sources.storage`) has no compressed bytes of what was pulled, and compressed anew they
would have other digests. So an image keeps its digest where the targets have, or can mount, all of its blobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from oci_push.engine.plan import PushTarget, RepositoryPlan
from oci_push.engine.push import Ahead
from oci_push.engine.transfer import BlobResult, SentAhead
from oci_push.errors import OciPushError
from oci_push.events import BlobDone, BlobStarted, Emit, LogMessage, TargetStarted
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobKind, BlobOutcome
from oci_push.model.reference import Repository
from oci_push.registry.clients import RegistryClients
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.sources.base import ImageReader

_ANY_DIGEST = Digest.of(b"")
_AT_ONCE = 16


def check_rights(context: Context, targets: Sequence[PushTarget], clients: RegistryClients) -> None:
    """See that one target lets us push; raises what the first one says where none does."""
    errors: list[OciPushError] = []
    for target in targets:
        clients.want(target.endpoint, push=(target.repository,))
        try:
            clients.repository(target.endpoint, target.repository).check_push(context, _ANY_DIGEST)
            return
        except OciPushError as error:
            context.check()
            errors.append(error)
    raise errors[0]


def find_stored(
    context: Context,
    source: ImageReader,
    works: Sequence[RepositoryPlan],
    clients: RegistryClients,
    emit: Emit,
    *,
    plans: bool,
) -> Ahead:
    """Let `source` keep its digest if every target has its blobs, and return what was found; else say why not.

    Blobs are mounted from where they are known to be, unless it `plans`: then being known there is enough. A target
    that gives no answer has no say, as its push will fail by itself; where none gives one, the first error is raised.
    """
    found: dict[int, SentAhead] = {}
    errors: list[OciPushError] = []
    for number, work in enumerate(works):
        sent = SentAhead()
        began = context.clock.monotonic()
        near = _near(source, work, clients)
        try:
            missing = _bring(context, work, near, clients, sent, plans=plans)
        except OciPushError as error:
            context.check()
            errors.append(error)
            continue
        if missing:
            emit(LogMessage(_why_not(source, work, missing)))
            return {}
        sent.seconds = context.clock.monotonic() - began
        found[number] = sent
    if errors and not found:
        raise errors[0]
    source.keep_stored()
    for number, sent in found.items():
        _tell(works[number], sent, emit)
    return {(works[n].target.endpoint, works[n].target.repository): sent for n, sent in found.items()}


def _why_not(source: ImageReader, work: RepositoryPlan, missing: int) -> str:
    said = (
        f"note: {source.name}: {missing} of its {len(work.blobs)} layers are not at {work.target.repository} "
        "as they were pulled: all are compressed anew, and the digest is another"
    )
    origin = next(iter(source.pulled_from), None)
    return f"{said}; pushed from docker://{origin} itself it stays" if origin is not None else said


def _near(source: ImageReader, work: RepositoryPlan, clients: RegistryClients) -> tuple[Repository, ...]:
    """Return where on the target's registry the image was pulled from, by its names, with the right to read there."""
    target = work.target
    found = tuple(one for one in source.pulled_from if one.host == target.repository.host and one != target.repository)
    if not clients.can_mount(target.endpoint):
        return ()
    clients.want(target.endpoint, pull=found)
    return found


def _bring(
    context: Context,
    work: RepositoryPlan,
    near: tuple[Repository, ...],
    clients: RegistryClients,
    sent: SentAhead,
    *,
    plans: bool,
) -> int:
    """Find or mount each blob, and return how many are missing; those that are not are in `sent`."""
    client = clients.repository(work.target.endpoint, work.target.repository)
    if not plans:
        client.prepare(context)
    client.prefetch_existing(context, work.blobs)
    jobs = [partial(_find, client, work, near, blob, plans) for blob in work.blobs]
    outcomes = run_all(context, jobs, limit=_AT_ONCE, stop_on_error=True)
    results = [outcome.get() for outcome in outcomes]
    sent.blobs.update({one.digest: one for one in results if one is not None})
    return results.count(None)


def _find(
    client: RepositoryClient,
    work: RepositoryPlan,
    near: tuple[Repository, ...],
    blob: Descriptor,
    plans: bool,
    context: Context,
) -> BlobResult | None:
    began = context.clock.monotonic()
    if client.has_blob(context, blob):
        return BlobResult(blob.digest, blob.size, BlobOutcome.EXISTS, seconds=context.clock.monotonic() - began)
    candidates = dict.fromkeys((*near, *work.mount_candidates.get(blob.digest, ())))
    for candidate in candidates if client.can_mount(context) else ():
        mounted = BlobResult(blob.digest, blob.size, BlobOutcome.MOUNTED, mounted_from=str(candidate))
        if plans:
            return mounted
        answer = client.mount(context, blob, candidate)
        if answer.mounted:
            return mounted
        if answer.upload is not None:
            client.cancel(context, answer.upload)
    return None


def _tell(work: RepositoryPlan, sent: SentAhead, emit: Emit) -> None:
    repository = work.target.repository
    emit(TargetStarted(repository, work.target.tags))
    for blob in work.blobs:
        one = sent.blobs[blob.digest]
        emit(BlobStarted(repository, blob.digest, blob.size, BlobKind.LAYER))
        emit(BlobDone(repository, blob.digest, blob.size, one.outcome, one.mounted_from, BlobKind.LAYER))
