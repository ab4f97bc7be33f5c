"""What is done when: units that wait for others, limits for each registry, and what to do when a worker is gone.

A place that is free goes to the registry that has the fewest units under way, so that one that is slow or gone never
holds all of them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.engine.unit import UnitResult
from oci_push.errors import Cancelled, ConfigError, NetworkError, OciPushError, SourceError
from oci_push.events import Emit, LogMessage, ignore
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository, canonical_host
from oci_push.runtime.context import Context
from oci_push.work.engine import Engine, Lost, Report, Told
from oci_push.work.memory import Places
from oci_push.work.planning import Seeds
from oci_push.work.results import WorkResult, stopped_for
from oci_push.work.units import WorkUnit

Done: TypeAlias = Callable[[WorkResult], None]
MAX_LOST = 5
"""How often a unit may be under way when a worker goes: one that kills its workers must not kill all of them."""
MAX_UNBEGUN = 30
"""How often a worker may go before it has begun a unit, which is no fault of the unit's."""
_POLL_S = 0.05


class Job(Struct, eq=False):
    """One wish for a unit to be done, and how far it has come; `again` are later wishes for the same unit.

    `reason` is why it was asked to stop, if it was.
    """

    unit: WorkUnit
    emit: Emit
    done: Done
    waits: int = 0
    lost: int = 0
    unbegun: int = 0
    returned: int = 0
    held: list[Job] = field(default_factory=list)
    again: list[Job] = field(default_factory=list)
    reason: OciPushError | None = None


class Dispatcher:
    """Have units done by an engine, in their order as far as possible. `add` may be called from any thread.

    One thread calls `work`, or `turn`. `limits` are units under way at once by registry, hosts as `canonical_host` has
    them. `hears` gets every result.
    """

    def __init__(self, engine: Engine, limits: Mapping[str, int] | None = None, hears: Done = lambda _: None) -> None:
        self._engine = engine
        self._limits = limits or {}
        self._hears = hears
        self._places = Places()
        self._seeds = Seeds()
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._ready: dict[tuple[str, ...], deque[Job]] = {}
        self._busy: dict[str, int] = {}
        self._running: dict[str, Job] = {}
        self._reason: OciPushError | None = None

    def add(self, unit: WorkUnit, emit: Emit = ignore, done: Done = lambda _: None) -> Job:
        """Have a unit done; `done` is called with its result. The same unit again is done after the first."""
        job = Job(unit, emit, done)
        with self._lock:
            known = self._jobs.get(unit.key)
            if known is not None:
                known.again.append(job)
                return job
            self._enter(job)
        self._fill()
        return job

    def _enter(self, job: Job) -> None:
        unit = job.unit
        self._jobs[unit.key] = job
        first = [self._jobs[key] for key in self._seeds.after(unit) if key in self._jobs and key != unit.key]
        for one in first:
            one.held.append(job)
        job.waits = len(first)
        if not first:
            self._ready.setdefault(unit.hosts, deque()).append(job)
        if self._reason is not None:
            self._drop()

    @property
    def is_idle(self) -> bool:
        """Return whether all units have ended."""
        with self._lock:
            return not self._jobs

    def work(self, context: Context) -> None:
        """Wait until all units have ended; a cancel ends them early."""
        while not self.is_idle:
            self.turn(context)

    def turn(self, context: Context) -> None:
        """Take in what was reported for a moment."""
        context.expire()
        if context.is_cancelled:
            self.stop(context.reason or Cancelled())
        for report in self._engine.wait(_POLL_S):
            self._take(report)
        self._fill()

    def stop(self, reason: OciPushError) -> None:
        """Begin nothing more, and ask what is under way to stop."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            self._drop()
        self._engine.cancel()

    def cancel(self, job: Job, reason: OciPushError) -> None:
        """Ask for one unit to be stopped, unless that has ended; who else wants the same unit gets it."""
        key = job.unit.key
        with self._lock:
            known = self._jobs.get(key)
            if known is not None and job in known.again:
                known.again.remove(job)
                job.done(_stopped(job.unit, reason))
                return
            if known is not job:
                return
            job.reason = reason
            if key not in self._running:
                self._end(job, _stopped(job.unit, reason))
                return
        self._engine.cancel(key)

    def _fill(self) -> None:
        while True:
            with self._lock:
                job = self._next() if len(self._running) < self._engine.slots else None
                if job is None:
                    return
                self._running[job.unit.key] = job
                for host in job.unit.hosts:
                    self._busy[host] = self._busy.get(host, 0) + 1
                unit = self._hinted(job.unit)
            self._engine.submit(unit)

    def _next(self) -> Job | None:
        """Take the next unit: of the registries that may have one, that which has the fewest under way."""
        best: tuple[str, ...] | None = None
        for hosts, waiting in self._ready.items():
            may = all(self._busy.get(host, 0) < self._limit(host) for host in hosts)
            if waiting and may and (best is None or self._load(hosts) < self._load(best)):
                best = hosts
        return None if best is None else self._ready[best].popleft()

    def _limit(self, host: str) -> int:
        return self._limits.get(canonical_host(host), self._engine.slots)

    def _load(self, hosts: tuple[str, ...]) -> int:
        return max((self._busy.get(host, 0) for host in hosts), default=0)

    def _hinted(self, unit: WorkUnit) -> WorkUnit:
        """Return a unit with what was learnt since it was laid out."""
        mounts = {digest: tuple(unit.mounts.get(digest, ())) for digest in unit.large}
        for digest in unit.large:
            for host in unit.hosts:
                known = tuple(Repository(host, path) for path in self._places.of(host, digest))
                mounts[digest] = tuple(dict.fromkeys((*known, *mounts[digest])))[:2]
        return replace(unit, mounts={digest: found for digest, found in mounts.items() if found})

    def _take(self, report: Report) -> None:
        with self._lock:
            job = self._jobs.get(report.key)
        if job is None:
            return
        if isinstance(report, Told):
            for event in report.events:
                job.emit(event)
        elif isinstance(report, WorkResult):
            self._finish(job, report)
        else:
            self._again(job, report)

    def _again(self, job: Job, report: Lost) -> None:
        job.lost += report.has_begun
        job.unbegun += not report.has_begun
        is_over = report.is_final or job.lost >= MAX_LOST or job.unbegun >= MAX_UNBEGUN
        reason = job.reason or self._reason
        if reason is not None:
            self._finish(job, _stopped(job.unit, reason))
        elif is_over:
            kind = NetworkError if report.is_away else OciPushError
            error = kind(f"{job.unit.name}: {report.why}", hint=report.hint)
            self._finish(job, WorkResult(job.unit.key, job.unit.name, UnitResult(error=error)))
        else:
            job.emit(LogMessage(f"{job.unit.name}: {report.why}; it is done again", "warning"))
            self._back(job)

    def _finish(self, job: Job, result: WorkResult) -> None:
        reason = job.reason or self._reason
        if result.returned and job.returned < MAX_LOST and self._engine.slots > 1 and reason is None:
            job.returned += 1
            self._back(job)
            return
        self._places.learn(result.learned)
        if reason is not None:
            result = replace(result, result=stopped_for(result.result, reason))
        self._end(job, result)

    def _back(self, job: Job) -> None:
        with self._lock:
            self._leave(job)
            self._ready.setdefault(job.unit.hosts, deque()).append(job)  # behind those that have not been tried

    def _end(self, job: Job, result: WorkResult) -> None:
        with self._lock:
            has_begun = self._leave(job)
            self._jobs.pop(job.unit.key, None)
            waiting = self._ready.get(job.unit.hosts)
            if not has_begun and waiting and job in waiting:
                waiting.remove(job)
            self._release(job, result.error)
            if job.again:
                following = job.again.pop(0)
                following.again = job.again
                self._enter(following)
        self._hears(result)
        job.done(result)

    def _release(self, job: Job, error: OciPushError | None) -> None:
        """Let begin what waited for a unit, or one of them where that could not even be read: the others follow it."""
        held = [one for one in job.held if self._jobs.get(one.unit.key) is one]
        if isinstance(error, SourceError | ConfigError):
            heir = next((one for one in held if one.waits == 1), None)  # it waits for nobody else, so not for them
            if heir is not None:
                heir.held += [one for one in held if one is not heir]
                held = [heir]
        for one in held:
            one.waits -= 1
            if not one.waits:
                self._ready.setdefault(one.unit.hosts, deque()).append(one)

    def _leave(self, job: Job) -> bool:
        """Free the place of a unit; return whether it had one."""
        if self._running.pop(job.unit.key, None) is None:
            return False
        for host in job.unit.hosts:
            self._busy[host] -= 1
        return True

    def _drop(self) -> None:
        """End what has not begun."""
        reason = self._reason or Cancelled()
        for job in [one for key, one in self._jobs.items() if key not in self._running]:
            if self._jobs.get(job.unit.key) is job:
                job.held.clear()
                self._end(job, _stopped(job.unit, reason))


def _stopped(unit: WorkUnit, reason: OciPushError) -> WorkResult:
    return WorkResult(unit.key, unit.name, UnitResult(error=reason))


def learn_places(places: Mapping[Digest, tuple[Repository, ...]], remember: Callable[[str, str, Digest], None]) -> None:
    """Write what was learnt into a memory that lasts."""
    for digest, repositories in places.items():
        for one in repositories:
            remember(one.host, one.path, digest)
