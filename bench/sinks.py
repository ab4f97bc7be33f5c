"""Units that go nowhere: what laying out, dispatching, sending and recording them costs, and nothing of pushing.

A sink takes a unit as a worker does, tells what a push of an image with three blobs tells, and returns its result. It
runs on threads here, in processes (`python -m bench.sinks`), or in the workers of a Dask cluster, which find it by its
name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from oci_push import __version__
from oci_push.engine.push import PushResult
from oci_push.engine.tags import TagResult
from oci_push.engine.transfer import BlobResult
from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget
from oci_push.events import BlobDone, BlobStarted, Emit, SourceOpened, TargetStarted
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobKind, BlobOutcome, TagOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.work.dask_engine import Calls
from oci_push.work.dask_worker import do_order
from oci_push.work.results import WorkResult
from oci_push.work.serving import serve
from oci_push.work.units import WorkUnit

REGISTRIES = ("one.example", "two.example")
_BASE = Digest.of(b"base")
_SIZE = 30_000_000


def units(count: int) -> Iterator[WorkUnit]:
    """Return units of images with a large layer in common and one of their own, half of them for each registry."""
    for number in range(count):
        image, host = number // len(REGISTRIES), REGISTRIES[number % len(REGISTRIES)]
        target = UnitTarget(Repository(host, f"team/image{image}"), ("v1",))
        push = PushUnit(f"docker://source.example/team/image{image}:v1", (target,), is_final=True)
        own, root = Digest.of(b"own %d" % image), Digest.of(b"root %d" % image)
        yield WorkUnit.of(push, root, large=(_BASE, own))


def do(unit: WorkUnit, context: Context, emit: Emit) -> WorkResult:
    """Take a unit, as `worker.Worker.do` does."""
    [target] = unit.push.targets
    root = unit.push.options.root if unit.push.options else None
    assert root is not None
    repository = target.repository
    blobs = (*unit.large, root)
    emit(SourceOpened(unit.push.source, root, 1, len(blobs), _SIZE * len(blobs)))
    emit(TargetStarted(repository, target.tags))
    for one in blobs:
        emit(BlobStarted(repository, one, _SIZE, BlobKind.LAYER))
        emit(BlobDone(repository, one, _SIZE, BlobOutcome.UPLOADED))
    pushed = PushResult(
        repository,
        root,
        1000,
        "application/vnd.oci.image.manifest.v1+json",
        tuple(TagResult(tag, TagOutcome.PUSHED) for tag in target.tags),
        tuple(BlobResult(one, _SIZE, BlobOutcome.UPLOADED, _SIZE) for one in blobs),
    )
    learned = dict.fromkeys(unit.large, (repository,))
    return WorkResult(unit.key, unit.name, UnitResult((pushed,)), learned=learned, worker=f"sink:{os.getpid()}")


def main() -> None:
    """Be a worker process of ``local:N``."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdin.buffer.readline()  # how a worker is set up
    serve(sys.stdin.buffer, answers, lambda _: do, Context(SystemClock(), what="sink"))


def task(setup: bytes, order: bytes) -> bytes:
    """Take a unit, as a task of Dask."""
    return do_order(order, __version__, lambda *_: do, f"sink:{os.getpid()}")


def ask(setup: bytes, *told: bytes) -> bytes:
    """Answer nothing: no registry is asked."""
    return b""


def stop(run: str, key_of_task: str, key: str) -> None:
    """Stop nothing: what goes nowhere is there at once."""


def end(run: str) -> None:
    """Keep nothing."""


def tell_release() -> str:
    """Return the release of oci-push that is installed."""
    return __version__


CALLS = Calls(task, ask, stop, end, tell_release, __version__)

if __name__ == "__main__":
    main()
