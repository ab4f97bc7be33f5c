"""Push with a request broken, or stop at it, and judge what came of it.

A scenario is a kind of push; it is run once to count its requests, then once for each request and each fault. Its clock
is virtual: pauses take no time. Silence is the one thing that is waited for really; how long depends on the machine, so
a run that waits is judged wrong only if it is so with a hundred times the wait, too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from equipment.faults import Action, Answer, Fault, Headers, Redirect, Stall
from equipment.sandbox import Sandbox
from equipment.traffic import Traffic
from faulttable import KINDS, MOMENTS, Kind
from images import layer, make_layout
from judging import World, errors_wrong, plant, sessions_left, tags_wrong, threads_left, words_wrong
from msgspec import structs
from pushing import LOGIN, Pushing
from scenarios import Scenario

from oci_push.engine.push import PushResult
from oci_push.errors import Cancelled
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy

HANG_S = 300.0
_SILENCE_S = 60.0
_STALLS_S = (0.3, 3.0, 30.0)
"""How long the client waits for a byte where the fault is that none comes: the first that leads to a right result."""
_STOPS = 3


@dataclass(slots=True)
class Figures:
    """Count runs and how they ended; `wrong` lists what must never happen."""

    runs: int = 0
    recovered: int = 0
    clean_errors: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Give what the summary of a test run adds up."""
        return self.runs, self.recovered, self.clean_errors


class HastyClock(SystemClock):
    """The machine's clock, but for pauses: they take no time."""

    def __init__(self) -> None:
        self._skipped_s = 0.0

    def monotonic(self) -> float:
        """Give the machine's time and what was skipped."""
        return super().monotonic() + self._skipped_s

    def now(self) -> float:
        """Give the time of day, as late as `monotonic`."""
        return super().now() + self._skipped_s

    def wait(self, flag: threading.Event, seconds: float | None) -> bool:
        """Be `seconds` later at once."""
        if not flag.is_set():
            self._skipped_s += seconds or 0.0
        return flag.is_set()


@dataclass
class Outcome:
    """Hold what a push gave: results, and errors, those of results included."""

    results: tuple[PushResult, ...] = ()
    errors: list[BaseException] = field(default_factory=list)


class Sweep:
    """Run one scenario again and again against one registry; each run has repositories of its own."""

    def __init__(self, scenario: Scenario, folder: Path, world: World, other: Sandbox) -> None:
        self.scenario = scenario
        self.image = scenario.make(folder / "image")
        self._before = make_layout(folder / "before", layer(77))
        self._folder = folder
        self._world = world
        self._other = other
        self._count = 0
        self.figures = Figures()

    def begin(self) -> Figures:
        """Count from nought."""
        self.figures = Figures()
        return self.figures

    @cached_property
    def requests(self) -> int:
        """Count the requests of a run in which nothing breaks."""
        name = self._next()
        outcome = self._push(name)
        assert outcome.errors == []
        return self._world.traffic.count(path_pattern=f"/{name}/")

    def cases(self, fault: str, *, thin: int) -> Iterator[int]:
        """Give the numbers of the requests to break in this way: every one, or one in `thin`, others for each fault."""
        table: dict[str, Kind] = KINDS | MOMENTS
        kind = table[fault]
        if kind.tokens and not self.scenario.credential:
            return
        place = list(table).index(fault)
        thin *= 3 if thin > 1 and kind.stalls else 1
        yield from (number for number in range(1, self.requests + 1) if (number + place) % thin == 0)

    def run(self, broken: Sequence[tuple[int, str, Kind]]) -> None:
        """Push with these requests broken (number, the fault's name, the fault), and judge."""
        stalls = any(kind.stalls for _, _, kind in broken)
        for stall_s in _STALLS_S if stalls else (_SILENCE_S,):
            outcome, found = self._try(broken, stall_s)
            if not found:
                break
        what = ", ".join(f"request {number}: {fault}" for number, fault, _ in broken)
        self._note(what, outcome, found)

    def stop(self, number: int, moment: str) -> None:
        """Stop a push at a request, as a signal does, judge; then let the same push finish, and judge again.

        Who is stopped has seconds to clean up. On a busy machine they may be too few: what looks wrong is tried again.
        """
        for _ in range(_STOPS):
            outcome, found = self._try_stop(number, moment)
            if not found:
                break
        self._note(f"stopped {moment} of request {number}", outcome, found)

    def _try_stop(self, number: int, moment: str) -> tuple[Outcome, list[str]]:
        name, kind = self._next(), MOMENTS[moment]
        self._world.faults.add(Fault(path=f"/{name}/", nth=number, action=kind.action))
        home = self._folder / f"home-{name}"
        self._plant(name)
        context = Context(HastyClock(), what="sweep")
        outcome = Outcome()
        pushing = self._start(name, outcome, home=home, context=context)

        def is_there(traffic: Traffic) -> bool:
            seen = traffic.select(path_pattern=f"/{name}/")
            return len(seen) >= number and (seen[number - 1].done or isinstance(kind.action, Stall))

        while pushing.is_alive() and not self._world.traffic.wait_until(is_there, 0.1):
            continue
        context.cancel(Cancelled("stopped"))
        self._join(pushing, outcome)
        found = list(self._judge(name, outcome, must_pass=False, sessions=False))
        again = Outcome()
        self._world.faults.clear()
        self._join(self._start(name, again, home=home, context=Context(HastyClock(), what="again")), again)
        found += self._judge(name, again, must_pass=True)
        return outcome, found

    def _try(self, broken: Sequence[tuple[int, str, Kind]], stall_s: float) -> tuple[Outcome, list[str]]:
        name = self._next()
        for number, _, kind in broken:
            self._world.faults.add(Fault(path=f"/{name}/", nth=number, times=kind.times, action=self._filled(kind)))
        outcome = self._push(name, stall_s)
        return outcome, list(self._judge(name, outcome, must_pass=len(broken) == 1 and broken[0][2].passes))

    def _note(self, what: str, outcome: Outcome, found: list[str]) -> None:
        self.figures.runs += 1
        if found:
            trail = "\n    ".join(
                f"{r.method} {r.path[:110]} -> {r.status} {r.fault}" for r in self._world.traffic.requests
            )
            self.figures.wrong.append(f"{what}: {'; '.join(found)}\n    {trail}")
        elif outcome.errors:
            self.figures.clean_errors += 1
        else:
            self.figures.recovered += 1

    def _next(self) -> str:
        self._count += 1
        self._world.faults.clear()
        self._world.traffic.clear()
        return f"run{self._count}"

    def _push(self, name: str, stall_s: float = _SILENCE_S) -> Outcome:
        self._plant(name)
        outcome = Outcome()
        home = self._folder / f"home-{name}" if self.scenario.remember else None
        self._join(self._start(name, outcome, stall_s, home=home), outcome)
        return outcome

    def _plant(self, name: str) -> None:
        for target in self.scenario.targets:
            repository, _, tags = target.partition(":")
            plant(self._world.store, f"{name}/{repository}", self._before, tags.split(","))
        if self.scenario.from_registry:
            plant(self._world.store, f"{name}/source", self.image, ["1"])

    def _start(
        self,
        name: str,
        outcome: Outcome,
        stall_s: float = _SILENCE_S,
        *,
        home: Path | None = None,
        context: Context | None = None,
    ) -> threading.Thread:
        """Push on a thread of its own, so that a hang is noticed."""
        scenario, host = self.scenario, self._world.address
        source = f"docker://{host}/{name}/source:1" if scenario.from_registry else f"oci:{self.image.path}"
        pushing = Pushing(
            clock=context.clock if context else FakeClock(),
            credential=LOGIN if scenario.credential else None,
            stall_s=stall_s,
            at_once=scenario.at_once,
            policy=RetryPolicy(),
            home=home,
            context=context,
        )

        def work() -> None:
            try:
                outcome.results = pushing.push(source, *(f"{host}/{name}/{target}" for target in scenario.targets))
                outcome.errors.extend(result.error for result in outcome.results if result.error is not None)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is judged
                outcome.errors.append(error)

        thread = threading.Thread(target=work, name="sweep", daemon=True)
        thread.start()
        return thread

    def _join(self, thread: threading.Thread, outcome: Outcome) -> None:
        thread.join(HANG_S)
        if thread.is_alive():
            outcome.errors.append(TimeoutError(f"the push hangs for {HANG_S:g} seconds"))

    def _judge(self, name: str, outcome: Outcome, *, must_pass: bool, sessions: bool = True) -> Iterator[str]:
        yield from errors_wrong(outcome.errors, must_pass=must_pass)
        for target in self.scenario.targets:
            repository, _, tags = target.partition(":")
            place, is_done = f"{name}/{repository}", not outcome.errors
            yield from tags_wrong(self._world, place, tags.split(","), self.image, self._before, is_done=is_done)
        yield from words_wrong(self._world, outcome.results, self.image)
        yield from threads_left()
        if sessions:
            yield from sessions_left(self._world, name)
        if self._world.problems:
            yield f"the registry broke: {self._world.problems}"

    def _filled(self, kind: Kind) -> Action:
        def fill(text: str) -> str:
            other = self._other.url.replace("127.0.0.1", "localhost")  # another name is another host
            return text.replace("{own}", self._world.url).replace("{other}", other)

        action = kind.action
        match action:
            case Answer():
                return structs.replace(action, headers={k: fill(v) for k, v in action.headers.items()})
            case Headers():
                return structs.replace(action, set={k: fill(v) for k, v in action.set.items()})
            case Redirect():
                return structs.replace(action, location=fill(action.location).replace("{{path}}", "{path}"))
        return action


@contextmanager
def sweep(scenario: Scenario, folder: Path, world: World | None = None) -> Iterator[Sweep]:
    """Give a sweep of a scenario with its registries running: the sandbox, or the one given."""
    with Sandbox(options=scenario.options) as sandbox, Sandbox() as other:
        yield Sweep(scenario, folder, world or sandbox, other)
