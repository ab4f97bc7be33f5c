"""Units done by threads of this process, and what any worker's threads have in common: one scope for each unit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeAlias

from oci_push.engine.unit import UnitResult
from oci_push.errors import Cancelled, OciPushError
from oci_push.events import Emit, Event
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import go
from oci_push.work.engine import Report, Told
from oci_push.work.results import WorkResult
from oci_push.work.units import WorkUnit

Do: TypeAlias = Callable[[WorkUnit, Context, Emit], WorkResult]
"""Do a unit: `worker.Worker.do`."""


class Threads:
    """Do each unit on a thread and under a scope of its own; `report` hears from all of them."""

    def __init__(self, do: Do, context: Context, report: Callable[[Report], None]) -> None:
        self._do = do
        self._context = context
        self._report = report
        self._lock = threading.Lock()
        self._scopes: dict[str, Context] = {}

    @property
    def is_idle(self) -> bool:
        """Return whether nothing is under way."""
        with self._lock:
            return not self._scopes

    def start(self, unit: WorkUnit) -> None:
        """Begin a unit; it ends with a `WorkResult`, whatever happens."""
        scope = self._context.child(what=unit.name)
        with self._lock:
            self._scopes[unit.key] = scope

        def emit(event: Event) -> None:
            self._report(Told(unit.key, (event,)))

        def work() -> None:
            try:
                scope.check()
                result = self._do(unit, scope, emit)
            except OciPushError as problem:
                result = WorkResult(unit.key, unit.name, UnitResult(error=problem))
            except BaseException as problem:  # noqa: BLE001  # thread boundary: nobody else would ever tell of it
                error = OciPushError(f"{unit.name}: internal error: {type(problem).__name__}: {problem}")
                result = WorkResult(unit.key, unit.name, UnitResult(error=error))
            with self._lock:
                del self._scopes[unit.key]
            self._report(result)

        go(work)

    def cancel(self, key: str = "", reason: OciPushError | None = None) -> None:
        """Ask one unit, or all, to stop."""
        with self._lock:
            scopes = [self._scopes[key]] if key in self._scopes else [] if key else list(self._scopes.values())
        for scope in scopes:
            scope.cancel(reason or Cancelled("stopped by whoever wanted it"))


class HereEngine:
    """The engine of one process: `jobs` threads."""

    def __init__(self, do: Do, context: Context, jobs: int) -> None:
        self._reports: SimpleQueue[Report] = SimpleQueue()
        self._threads = Threads(do, context, self._reports.put)
        self._jobs = jobs

    @property
    def slots(self) -> int:
        """Return how many units may be under way at once."""
        return self._jobs

    def submit(self, unit: WorkUnit) -> None:
        """Begin a unit."""
        self._threads.start(unit)

    def wait(self, timeout_s: float) -> Sequence[Report]:
        """Return what was reported."""
        return taken(self._reports, timeout_s)

    def cancel(self, key: str = "") -> None:
        """Ask a unit, or all, to stop."""
        self._threads.cancel(key)

    def close(self) -> None:
        """Leave nothing behind, as all has ended."""


def taken(reports: SimpleQueue[Report], timeout_s: float) -> list[Report]:
    """Return what is in a queue, waiting for the first of it for a while."""
    found: list[Report] = []
    try:
        found.append(reports.get(timeout=timeout_s))
        while True:
            found.append(reports.get_nowait())
    except Empty:
        return found
