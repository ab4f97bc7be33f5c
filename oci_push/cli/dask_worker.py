"""What `--on dask://` runs in the workers of a cluster, found there by name: a unit, a question, a stop, an end.

A worker reads login files and oci-push.yaml of its own. What it is told is neither a login nor a path of its set-up.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from oci_push import __version__, forms
from oci_push.api import this_environment
from oci_push.cli.inputs import read_config
from oci_push.cli.options import Common
from oci_push.cli.work_check import Asked, ask_registries
from oci_push.cli.worker import Setup, make_worker, worker_name
from oci_push.errors import OciPushError
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import go
from oci_push.work.dask_units import Calls
from oci_push.work.dask_worker import do_order, keeper_of
from oci_push.work.here import Do
from oci_push.work.units import WorkUnit
from oci_push.work.worker import described_by

if TYPE_CHECKING:
    from distributed import Worker


class WorkerAnswer(Struct, frozen=True):
    """What a worker says of itself: who it is, and what it may do at registries; `error` where it cannot even ask."""

    worker: str
    rows: tuple[Asked, ...] = ()
    error: OciPushError | None = None


def task(setup: bytes, order: bytes) -> bytes:
    """Do a unit, and return its end."""

    def make(context: Context, stack: ExitStack) -> Do:
        return make_worker(msgspec.json.decode(setup, type=Setup), context, stack).do

    return do_order(order, __version__, make, worker_name())


def ask(setup: bytes, units: bytes) -> bytes:
    """Try the registries of some units as this worker would."""
    try:
        told = msgspec.json.decode(setup, type=Setup)
        context = Context(SystemClock(), what="check")
        with ExitStack() as stack:
            worker = make_worker(told, context, stack)
            describe = described_by(read_config(None, Common(), this_environment().env))
            read: tuple[WorkUnit, ...] = forms.decode(units, tuple[WorkUnit, ...])
            rows = ask_registries(context, worker.pusher, describe, read)
    except OciPushError as problem:
        return forms.encode(WorkerAnswer(worker_name(), error=problem))
    return forms.encode(WorkerAnswer(worker_name(), rows))


def stop(run: str, key_of_task: str, key: str, dask_worker: Worker | None = None) -> None:
    """Ask a unit, or all of a run, to stop; nothing is waited for, as this is Dask's own thread."""
    if dask_worker is not None:
        go(partial(keeper_of(dask_worker).stop, run, key_of_task, key))


def end(run: str, dask_worker: Worker | None = None) -> None:
    """Close the connections of a run, which are no longer wanted."""
    if dask_worker is not None:
        go(partial(keeper_of(dask_worker).end, run))


def tell_release() -> str:
    """Return the release of oci-push that is installed."""
    return __version__


CALLS = Calls(task, ask, stop, end, tell_release, __version__)
