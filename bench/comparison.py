"""One row: every program in turn, until there are enough runs of each; then, untimed, what each sends."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import msgspec

from bench import measuring
from bench.distance import Means, counted_line, line
from bench.measuring import Cost, RunError, TooSlowError
from bench.programs import FromStorage, Program
from bench.results import Result, Runs, Traffic
from bench.rows import Row
from bench.scenes import Scene, Surroundings, run_start


class Effort(msgspec.Struct, frozen=True):
    """How long to measure."""

    rounds: tuple[int, int]
    """At least and at most, after the first one."""
    row_s: float
    """Seconds that the rounds of a row may take together, unless they are too few then."""
    once_s: float
    """A program that takes longer runs once: such a wait is the line or a compressor, and no cache would shorten it."""
    limit_s: float
    """A program that takes longer is stopped, and is not in the row."""
    traffic_rtt_ms: float
    """The round trip over which requests are counted."""

    def rounds_of(self, round_s: float) -> int:
        """Return how many rounds to count where one takes so long."""
        least, most = self.rounds
        return max(least, min(most, int(self.row_s / round_s))) if round_s else 0


class Comparison:
    """The measuring of one row; programs that fail drop out of it, and `failures` says so."""

    def __init__(self, row: Row, programs: Sequence[Program], around: Surroundings, effort: Effort) -> None:
        self._row = row
        self._around = around
        self._effort = effort
        self._programs = list(programs)
        self._costs: dict[str, list[Cost]] = {}
        self._traffic: dict[str, Traffic] = {}
        self._notes: list[str] = []
        self.failures: list[str] = []

    def measure(self, means: Means) -> Result:
        """Measure, and count where the row wants it."""
        if self._row.kind.is_start:
            self._alternate(None)
        else:
            try:
                with Scene(self._row, self._around, line(self._row.rtt_ms, means)) as scene:
                    self._alternate(scene)
            except (OSError, subprocess.CalledProcessError, RunError, TooSlowError) as error:
                self._fail("the surroundings", error)
        if self._row.counted:
            for program in self._programs:
                if not isinstance(program, FromStorage):  # filling a storage again would take longer than the row
                    self._count(program, means)
        runs = [
            Runs(program.name, program.is_ours, tuple(costs), self._traffic.get(program.name))
            for program in self._programs
            if (costs := self._costs.get(program.name))
        ]
        return Result(self._row, tuple(runs), tuple(self._notes))

    def _alternate(self, scene: Scene | None) -> None:
        """Run the programs in turn; the first round fills the caches of the machine, and is thrown away."""
        first = self._round(self._programs, scene)
        again = [program for program in self._programs if first[program.name].wall_s <= self._effort.once_s]
        self._costs = {name: [cost] for name, cost in first.items() if name not in {each.name for each in again}}
        for number in range(self._effort.rounds_of(sum(first[program.name].wall_s for program in again))):
            # Every other round backwards: nobody always comes after the same neighbour.
            order = [program for program in again if program in self._programs]
            for name, cost in self._round(order if number % 2 else order[::-1], scene).items():
                self._costs.setdefault(name, []).append(cost)

    def _round(self, programs: Sequence[Program], scene: Scene | None) -> dict[str, Cost]:
        """Run each program once; return the costs by name, without those that could not."""
        costs = {program.name: self._run(program, scene) for program in tuple(programs)}
        return {name: cost for name, cost in costs.items() if cost is not None}

    def _run(self, program: Program, scene: Scene | None) -> Cost | None:
        """Return the cost of a run; `None` where the program cannot do this, or failed, and drops out."""
        try:
            if scene is None:
                cost = run_start(self._row, program, self._around)
            else:
                with scene.ready(program) as prepared:
                    if prepared is None:
                        cost = None
                        if not isinstance(program, FromStorage):
                            self._notes.append(f"{program.name} has no command for this")
                    else:
                        prefix, limit_s = scene.line.client_prefix, self._effort.limit_s
                        cost = measuring.run(prepared.commands, prefix, prepared.env, limit_s)
        except RunError as error:
            self._fail(program.name, error)
            cost = None
        except TooSlowError:
            self._notes.append(f"{program.name} took more than {self._effort.limit_s:g} s and was stopped")
            cost = None
        if cost is None:
            self._programs.remove(program)
        return cost

    def _fail(self, what: str, error: Exception) -> None:
        self.failures.append(f"{self._row.key}: {what}: {error}")
        self._notes.append(f"{what} failed")

    def _count(self, program: Program, means: Means) -> None:
        """Push once more, by plain http and over a line that counts."""
        key = f"{self._row.key}-counted"
        row = msgspec.structs.replace(self._row, tls=False, key=key)
        counted = counted_line(self._effort.traffic_rtt_ms, means)
        try:
            with Scene(row, self._around, counted) as scene, scene.ready(program) as prepared:
                if prepared is None:
                    return
                before = sum(registry.requests() for registry in prepared.registries)
                measuring.run(prepared.commands, counted.client_prefix, prepared.env, self._effort.limit_s)
                requests = sum(registry.requests() for registry in prepared.registries) - before
        except RunError as error:
            self._fail(f"{program.name}, counted", error)
        except TooSlowError:
            self._notes.append(f"{program.name}'s round trips took too long to be counted")
        else:
            self._traffic[program.name] = Traffic(
                requests,
                sum(each["connections"] for each in counted.summaries),
                max(each["round_trips"] for each in counted.summaries),
            )
