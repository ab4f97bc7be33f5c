"""Blobs that go out while the source is still making the others.

The manifest of a docker-archive is known when its last layer is compressed. Each layer is sent as soon as it is, to the
repositories that wait for no other one. Manifests and tags come after, with the push itself, which finds these blobs
done: so nothing can be tagged before all layers have been compressed and checked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from oci_push.engine.plan import RepositoryPlan
from oci_push.engine.push import Ahead
from oci_push.engine.transfer import SentAhead, transfer
from oci_push.errors import OciPushError
from oci_push.events import Emit, TargetStarted
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobKind
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.context import Context
from oci_push.runtime.phases import BLOBS, SOURCE, timed
from oci_push.runtime.tasks import do_all, first_error, run_all
from oci_push.sources.base import ImageReader

_CONFIGS = (media.OCI_CONFIG, media.DOCKER_CONFIG)
_AT_ONCE = 16
"""How many blobs may be on their way to one repository: each has a thread. How many requests is its session's limit."""


def send_ahead(
    context: Context,
    source: ImageReader,
    plan: Callable[[tuple[Descriptor, ...]], Sequence[RepositoryPlan]],
    clients: RegistryClients,
    emit: Emit,
) -> Ahead:
    """Let the source do its long work, and send each blob that it tells of, by `plan`; return when both have ended.

    Raises what ends the source's work, and with it all uploads. What a repository failed with is in its `SentAhead`.
    """
    lanes = [_Lane(work, source, clients, emit) for work in plan(()) if work.after is None]
    known: set[Digest] = set()
    lock = threading.Lock()

    def tell(blob: Descriptor) -> None:
        with lock:  # two layers may be one blob
            if blob.digest in known:
                return
            known.add(blob.digest)
        first = [work for work in plan((blob,)) if work.after is None]
        for lane, work in zip(lanes, first, strict=True):
            lane.waiting.put(work)

    @timed(SOURCE)
    def make(inner: Context) -> None:
        source.make(inner, tell)
        for lane in lanes:
            lane.end()

    for lane in lanes:
        emit(TargetStarted(lane.target.repository, lane.target.tags))
    jobs = [make, *(lane.run for lane in lanes)]
    do_all(context, jobs, limit=len(jobs))
    return {(lane.target.endpoint, lane.target.repository): lane.sent for lane in lanes}


class _Lane:
    """The blobs on their way to one repository; each in `waiting` is the only one of its plan, and ``None`` the end."""

    def __init__(self, work: RepositoryPlan, source: ImageReader, clients: RegistryClients, emit: Emit) -> None:
        self.target = work.target
        self.waiting: SimpleQueue[RepositoryPlan | None] = SimpleQueue()
        self.sent = SentAhead()
        self._source = source
        self._clients = clients
        self._emit = emit

    def end(self) -> None:
        """Let `run` end when all that waits has been sent."""
        for _ in range(_AT_ONCE):
            self.waiting.put(None)

    def run(self, context: Context) -> None:
        """Send what is told of until the end, several blobs at once; the first failure ends it."""
        began = context.clock.monotonic()
        context = context.spending(self.sent.costs)
        error = first_error(run_all(context, [self._send] * _AT_ONCE, limit=_AT_ONCE, stop_on_error=True))
        if error is not None and not isinstance(error, OciPushError):
            raise error
        self.sent.error = error
        self.sent.seconds = context.clock.monotonic() - began
        self.sent.costs.spent(BLOBS, self.sent.seconds)

    def _send(self, context: Context) -> None:
        while True:
            with context.blocked(lambda: self.waiting.put(None)):
                work = self.waiting.get()
            context.check()
            if work is None:
                return
            client = self._clients.repository(self.target.endpoint, self.target.repository)
            client.prepare(context)
            candidates = work.mount_candidates if client.can_mount(context) else {}
            for blob in work.blobs:
                asked = candidates.get(blob.digest, ())
                kind = BlobKind.CONFIG if blob.media_type in _CONFIGS else BlobKind.LAYER
                self.sent.blobs[blob.digest] = transfer(
                    context, client, self._source, blob, asked, self._emit, kind=kind
                )
