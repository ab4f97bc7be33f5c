"""Units done by a worker of a Dask cluster: what one of its processes keeps between them, and one task.

A task is told how a worker is set up, and its unit, both as JSON. What happens goes by the scheduler to whoever wanted
it; nothing that is told, sent or kept holds a login, as this worker has its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from oci_push import forms
from oci_push.engine.unit import UnitResult
from oci_push.errors import Cancelled, OciPushError, SourceError
from oci_push.events import Event, discreet
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.work.dask_units import missing_file
from oci_push.work.engine import Report, Told
from oci_push.work.here import Do, Threads
from oci_push.work.results import WorkResult
from oci_push.work.serving import Answer, add_event
from oci_push.work.units import WorkUnit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Worker

TOPIC = "oci-push"
"""The scheduler's topic of what happens; it keeps the last of it, and so holds no more than a few hundred lines."""
_KEEPER = "oci-push"
_TICK_S = 0.2
_MOST_RUNS = 8
"""Runs that one worker keeps connections for; of one that is never told to have ended, its oldest go."""


class DaskOrder(Struct, frozen=True):
    """What a task is told: the run that it is of, and its unit. `limits` are units at once by registry, in the cluster.

    `release` is that of oci-push where the unit was made: another may read it otherwise.
    """

    run: str
    release: str
    unit: WorkUnit
    limits: Mapping[str, int]


class DaskNote(Struct, frozen=True):
    """What a worker tells of a unit: that it begins, where `answer` has nothing; else what has happened, or its end."""

    run: str
    worker: str
    answer: Answer


Make: TypeAlias = Callable[[Context, ExitStack], Do]
"""Return what does units, with this process's logins; what it opens is closed with the stack."""


class _Run:
    """What this process has for one run: a pusher, and its units that are under way."""

    def __init__(self, make: Make) -> None:
        self.context = Context(SystemClock(), what="worker")
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._waiting: dict[str, _Watch] = {}
        self.is_closed = False
        self.threads = Threads(make(self.context, self._stack), self.context, self._report)

    def begin(self, unit: WorkUnit) -> _Watch:
        """Begin a unit."""
        watch = _Watch(unit.key)
        with self._lock:
            self._waiting[unit.key] = watch
        self.threads.start(unit)
        return watch

    def close(self) -> None:
        """Stop what is under way, and close connections."""
        self.is_closed = True
        self.threads.cancel()
        idle = threading.Event()
        while not self.threads.is_idle:
            self.context.clock.wait(idle, _TICK_S)
        self._stack.close()

    def _report(self, report: Report) -> None:
        with self._lock:
            watch = self._waiting.get(report.key)
            if isinstance(report, WorkResult):
                self._waiting.pop(report.key, None)
        if watch is not None:
            watch.take(report)


class _Watch:
    """What one unit has told that is not sent yet."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._events: list[Event] = []
        # Titles and answers of registries may repeat a secret, and what is sent is seen by whoever has the cluster.
        self._note = discreet(lambda event: add_event(self._events, event))
        self._result: WorkResult | None = None
        self.ended = threading.Event()

    def take(self, report: Report) -> None:
        with self._lock:
            if isinstance(report, Told):
                for event in report.events:
                    self._note(event)
            elif isinstance(report, WorkResult):
                self._result = report
        if isinstance(report, WorkResult):
            self.ended.set()

    def answer(self) -> Answer:
        """Return what has come up since this was asked last, and the result where there is one."""
        with self._lock:
            events, self._events = tuple(self._events), []
            return Answer(self._key, events, self._result)


class Keeper:
    """What a worker process keeps: its runs. Dask calls `teardown` when the worker ends in peace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._refused: set[tuple[str, str]] = set()
        self._semaphores: dict[tuple[str, int], Any] = {}

    def run(self, name: str, make: Make) -> _Run:
        """Return a run, which is made where its first unit comes; raises as `make` does."""
        gone: list[_Run] = []
        with self._lock:
            if name not in self._runs:
                self._runs[name] = _Run(make)
                idle = [key for key, one in self._runs.items() if key != name and one.threads.is_idle]
                gone = [self._runs.pop(key) for key in idle[: max(0, len(self._runs) - _MOST_RUNS)]]
            found = self._runs[name]
        for one in gone:
            one.close()
        return found

    def stop(self, name: str, task: str, key: str) -> None:
        """Ask a task's unit, or all of a run, to stop, and begin none of them any more."""
        self._refused.add((name, task))
        with self._lock:  # which a run holds that logs in just now
            run = self._runs.get(name)
        if run is not None:
            run.threads.cancel(key)

    def is_refused(self, name: str, task: str) -> bool:
        """Return whether a task was to be stopped, maybe before it came here."""
        return not self._refused.isdisjoint({(name, task), (name, "")})

    def end(self, name: str) -> None:
        """Let go of a run."""
        with self._lock:
            run = self._runs.pop(name, None)
            self._refused = {one for one in self._refused if one[0] != name}
        if run is not None:
            run.close()

    def semaphore(self, host: str, limit: int) -> Any:
        """Return the cluster's semaphore for a registry; runs that say the same limit share one."""
        from distributed import Semaphore

        with self._lock:
            if (host, limit) not in self._semaphores:
                self._semaphores[host, limit] = Semaphore(max_leases=limit, name=f"oci-push {host} {limit}")
            return self._semaphores[host, limit]

    def teardown(self, worker: Worker) -> None:
        """Close uploads, put tags back, and close connections before the process ends."""
        with self._lock:
            runs, self._runs = list(self._runs.values()), {}
        for run in runs:
            run.close()


def keeper_of(worker: Worker) -> Keeper:
    """Return what this process keeps; it lives, and ends, with Dask's worker."""
    kept: Any = worker.plugins
    if _KEEPER not in kept:
        # Dask's profiler looks at the frames of all threads, where Python 3.11 locks up for good if garbage is freed
        # just then: https://github.com/python/cpython/issues/106883, seen in one of 400 pushes. 3.12 does not.
        profiler = worker.periodic_callbacks.get("profile")
        if profiler is not None and sys.version_info < (3, 12):
            worker.loop.add_callback(profiler.stop)
    found: Keeper = kept.setdefault(_KEEPER, Keeper())
    return found


def do_order(data: bytes, release: str, make: Make, name: str) -> bytes:
    """Do what a task is told, on its thread; return a `DaskNote` with the unit's end."""
    from distributed import get_worker

    worker = get_worker()
    order: DaskOrder = forms.decode(data, DaskOrder)
    unit, task = order.unit, str(worker.get_current_task())
    keeper = keeper_of(worker)

    def note(answer: Answer) -> str:
        return forms.encode(DaskNote(order.run, worker.address, answer)).decode()

    worker.log_event(TOPIC, note(Answer(unit.key)))
    try:
        if order.release != release:
            raise OciPushError(f"{name} has oci-push {release}, and the unit is of {order.release}")
        if missing := missing_file(unit):
            hint = "what is pushed must be there on each worker, as on a share, or come from a registry"
            raise SourceError(f"{missing}: is not there on worker {name}", hint=hint)
        run = keeper.run(order.run, make)
    except Exception as problem:  # noqa: BLE001  # Dask would keep and log it as it is, and it may hold a secret
        error = problem if isinstance(problem, OciPushError) else OciPushError(f"{name}: internal error: {problem!r}")
        result = WorkResult(unit.key, unit.name, UnitResult(error=error), returned=True, worker=name)
        return note(Answer(unit.key, result=result)).encode()

    clock = run.context.clock

    def is_wanted() -> bool:
        state = worker.state.tasks.get(task)  # whoever wanted it may have been killed: Dask then forgets the task
        is_kept = state is not None and state.state not in ("cancelled", "released", "forgotten")
        return is_kept and not run.is_closed and not keeper.is_refused(order.run, task)

    with _leases(keeper, order, is_wanted) as is_granted:
        if not (is_granted and is_wanted()):
            return note(Answer(unit.key, result=_stopped(unit))).encode()
        watch = run.begin(unit)
        while not clock.wait(watch.ended, _TICK_S):
            run.context.expire()
            if not is_wanted():
                run.threads.cancel(unit.key, Cancelled("whoever wanted this has ended"))
            waiting = watch.answer()
            if waiting.events:
                worker.log_event(TOPIC, note(Answer(unit.key, waiting.events)))
        return note(watch.answer()).encode()


@contextmanager
def _leases(keeper: Keeper, order: DaskOrder, is_wanted: Callable[[], bool]) -> Iterator[bool]:
    """Hold one lease of each registry that has a limit, always in the same order; tell whether they were granted.

    A place that is held by another run may stay so for long. Whoever waits for one gives its thread to other units.
    """
    from distributed import secede

    has_left = False
    with ExitStack() as stack:
        for host in sorted(set(order.unit.hosts) & set(order.limits)):
            semaphore = keeper.semaphore(host, order.limits[host])
            while not semaphore.acquire(timeout=1 if has_left else 0):
                if not is_wanted():
                    yield False
                    return
                if not has_left:
                    secede()
                    has_left = True
            stack.callback(semaphore.release)
        yield True


def _stopped(unit: WorkUnit) -> WorkResult:
    return WorkResult(unit.key, unit.name, UnitResult(error=Cancelled("stopped by whoever wanted it")))
