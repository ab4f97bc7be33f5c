"""Threads: the only file that starts them.

`run_all` runs jobs on daemon threads and comes back when all have ended. Nesting is safe: a group has its own
threads, and what bounds the load on a host is that host's semaphore, held round one request.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from msgspec import Struct

from oci_push.errors import OciPushError
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context

T = TypeVar("T")
E = TypeVar("E")


class Outcome(Struct, Generic[T], frozen=True):
    """What one job gave: `value`, or the `error` it raised."""

    value: T | None = None
    error: BaseException | None = None

    def get(self) -> T:
        """Return the value or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # a job without error has set it


def run_all(
    context: Context,
    jobs: Sequence[Callable[[Context], T]],
    *,
    limit: int,
    stop_on_error: bool = False,
) -> list[Outcome[T]]:
    """Run `jobs`, at most `limit` at once, and return their outcomes in the same order.

    Each job gets one common child scope. With `stop_on_error` the first failure cancels the others and jobs
    not yet begun; their outcome is that same error. A cancel of `context` ends all of them the same way.
    """
    inner = context.child()
    outcomes: list[Outcome[T]] = [Outcome() for _ in jobs]
    waiting = deque(enumerate(jobs))
    lock = threading.Lock()

    def worker() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                number, job = waiting.popleft()
            try:
                inner.check()
                outcomes[number] = Outcome(job(inner))
            except BaseException as error:  # noqa: BLE001  # thread boundary: the error travels in the outcome
                outcomes[number] = Outcome(error=error)
                if stop_on_error or not isinstance(error, OciPushError):
                    inner.cancel(error if isinstance(error, OciPushError) else None)

    threads = [threading.Thread(target=worker, name=f"oci-push-{n}", daemon=True) for n in range(min(limit, len(jobs)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            _join(thread, inner)
    except BaseException:
        inner.cancel()  # Ctrl-C in a program that takes no signals itself: nobody waits for the jobs any more
        raise
    return outcomes


def first_error(outcomes: Sequence[Outcome[T]]) -> BaseException | None:
    """Return the failure that came first in job order and is not just the echo of a cancel, else any."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    real = [error for error in errors if isinstance(error, OciPushError) and error.exit_code < 128]
    broken = [error for error in errors if not isinstance(error, OciPushError)]
    return next(iter(broken + real + errors), None)


def do_all(
    context: Context, jobs: Sequence[Callable[[Context], T]], *, limit: int, stop_on_error: bool = True
) -> list[T]:
    """Run `jobs` as `run_all` does and return what they gave; raise the first failure when all have ended."""
    outcomes = run_all(context, jobs, limit=limit, stop_on_error=stop_on_error)
    error = first_error(outcomes)
    if error is not None:
        raise error
    return [outcome.get() for outcome in outcomes]


class TaskGroup(Generic[T]):
    """Run jobs as they come up, each on a thread and under a scope of its own, and return them as they end.

    At most `limit` run at once; the others wait for their turn. For one thread that starts and waits.
    """

    def __init__(self, context: Context, *, limit: int) -> None:
        self._scope = context
        self._places = threading.Semaphore(limit)
        self._ended: SimpleQueue[tuple[str, Outcome[T]]] = SimpleQueue()
        self._scopes: dict[str, Context] = {}

    @property
    def is_idle(self) -> bool:
        """Return whether every job has been given back."""
        return not self._scopes

    def start(self, name: str, job: Callable[[Context], T]) -> None:
        """Begin a job; `name` must not be one that still runs."""
        context = self._scopes[name] = self._scope.child()

        def worker() -> None:
            with self._places:
                try:
                    outcome: Outcome[T] = Outcome(job(context))
                except BaseException as error:  # noqa: BLE001  # thread boundary: the error travels in the outcome
                    outcome = Outcome(error=error)
                self._ended.put((name, outcome))

        threading.Thread(target=worker, name=f"oci-push-{name[:20]}", daemon=True).start()

    def cancel(self, name: str, reason: OciPushError) -> None:
        """Ask a job to stop; one that has ended is let be."""
        if name in self._scopes:
            self._scopes[name].cancel(reason)

    def wait(self) -> tuple[str, Outcome[T]]:
        """Wait for the next job to end, and enforce deadlines meanwhile."""
        while True:
            try:
                name, outcome = self._ended.get(timeout=0.05)
            except Empty:
                self._scope.expire()
                continue
            del self._scopes[name]
            return name, outcome


class Ticker:
    """Call `act` every `every_s` on a thread of its own until `stop`, which waits for a call that is under way."""

    def __init__(self, clock: Clock, act: Callable[[], None], every_s: float) -> None:
        self._clock = clock
        self._act = act
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="oci-push-ticks", daemon=True)

    def start(self) -> None:
        """Begin; the first call comes after `every_s`."""
        self._thread.start()

    def stop(self) -> None:
        """End; there is no call afterwards."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._clock.wait(self._stopped, self._every_s):
            self._act()


def start(name: str, job: Callable[[], None]) -> None:
    """Run a job that nobody waits for, and that raises nothing."""
    threading.Thread(target=job, name=f"oci-push-{name}", daemon=True).start()


def attend(work: Callable[[], T], on_tick: Callable[[], None]) -> Outcome[T]:
    """Run `work` on a thread of its own and call `on_tick` often until it ends; for the main thread.

    The main thread so stays free to take signals, whose handlers must not meet a lock of the work.
    """
    outcome: list[Outcome[T]] = []

    def worker() -> None:
        try:
            outcome.append(Outcome(work()))
        except BaseException as error:  # noqa: BLE001  # thread boundary: the error travels in the outcome
            outcome.append(Outcome(error=error))

    thread = threading.Thread(target=worker, name="oci-push", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
        on_tick()
    return outcome[0]


def serve(
    work: Callable[[Callable[[E], None]], T],
    on_item: Callable[[E], object],
    *,
    on_tick: Callable[[], None],
    on_break: Callable[[], None],
) -> T:
    """Run `work` on a thread of its own, and give what it puts to `on_item` on this one, one by one and in order.

    `on_tick` is called often. What breaks in on this thread, Ctrl-C or an error of `on_item`, calls `on_break`, which
    stops the work, and is raised when that has ended; a second Ctrl-C waits for nothing.
    """
    put: SimpleQueue[tuple[E] | Outcome[T]] = SimpleQueue()

    def worker() -> None:
        try:
            outcome: Outcome[T] = Outcome(work(lambda item: put.put((item,))))
        except BaseException as error:  # noqa: BLE001  # thread boundary: the error travels in the outcome
            outcome = Outcome(error=error)
        put.put(outcome)

    def take(listener: Callable[[E], object]) -> Outcome[T]:
        while True:
            on_tick()
            try:
                taken = put.get(timeout=0.05)
            except Empty:
                continue
            if isinstance(taken, Outcome):
                return taken
            listener(taken[0])

    threading.Thread(target=worker, name="oci-push", daemon=True).start()
    try:
        outcome = take(on_item)
    except BaseException:
        on_break()
        take(lambda _: None)
        raise
    return outcome.get()


def go(work: Callable[[], None]) -> None:
    """Run `work`, which raises nothing, on a thread of its own that nobody waits for here."""
    threading.Thread(target=work, name="oci-push", daemon=True).start()


def _join(thread: threading.Thread, context: Context) -> None:
    # Short waits keep the main thread open to signals, and enforce the deadline on blocked sockets.
    while thread.is_alive():
        thread.join(0.05)
        context.expire()
        if context.parent is not None:
            context.parent.expire()
