"""What a run of the bench found: values that go to JSON and back, their ratios, and the table in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec

from bench.measuring import Cost
from bench.rows import Row


class Spread(msgspec.Struct, frozen=True):
    """The middle and the ends of some figures."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises `ValueError` where there are none."""
        return cls(min(values), statistics.median(values), max(values))


class Traffic(msgspec.Struct, frozen=True):
    """What one run sent: requests to all registries, connections, and round trips one after the other."""

    requests: int
    connections: int
    round_trips: int


class Runs(msgspec.Struct, frozen=True):
    """The timed runs of one program in one row."""

    program: str
    is_ours: bool
    costs: tuple[Cost, ...]
    traffic: Traffic | None = None

    def spread(self, read: Callable[[Cost], float] = lambda cost: cost.wall_s) -> Spread:
        """Return the spread of one figure of each run; wall seconds unless told otherwise."""
        return Spread.of([read(cost) for cost in self.costs])


class Result(msgspec.Struct, frozen=True):
    """One row: the programs that took part, and why others did not."""

    row: Row
    runs: tuple[Runs, ...]
    notes: tuple[str, ...] = ()

    @property
    def ours(self) -> Runs | None:
        """Our own runs, unless they failed."""
        return next((runs for runs in self.runs if runs.is_ours), None)

    @property
    def best(self) -> Runs | None:
        """The fastest of those that ours is divided by: Python where start-up is all, else the rivals."""
        others = [runs for runs in self.runs if not runs.is_ours]
        if self.row.kind.is_start:
            others = [runs for runs in others if runs.program.startswith("python")]
        return min(others, key=lambda runs: runs.spread().median, default=None)

    @property
    def ratio(self) -> Spread | None:
        """Ours divided by the median of the best; `None` where one of the two is missing."""
        if self.ours is None or self.best is None:
            return None
        against = self.best.spread().median
        ours = self.ours.spread()
        return Spread(ours.least / against, ours.median / against, ours.most / against)

    @property
    def goal(self) -> float | None:
        """The ratio that is aimed at."""
        return self.row.goal_beside(self.best.program) if self.best else self.row.goal

    @property
    def each_ms(self) -> float | None:
        """Our milliseconds for each tag, step or platform, in rows that are about these."""
        if self.ours is None or self.row.goal_each_ms is None:
            return None
        return self.ours.spread().median / self.row.units * 1000

    @property
    def is_goal_reached(self) -> bool:
        """Whether all goals of the row are; one without any wants us to be no slower than the best."""
        is_fast = self.ratio is None or self.ratio.median <= (1 if self.goal is None else self.goal)
        is_light = self.each_ms is None or self.each_ms <= (self.row.goal_each_ms or 0)
        return is_fast and is_light


class Report(msgspec.Struct, frozen=True):
    """A whole run of the bench."""

    mode: str
    date: str
    machine: dict[str, str]
    programs: dict[str, str]
    """Name and version of each that took part."""
    distance: str
    not_run: tuple[str, ...]
    results: tuple[Result, ...]
    failures: tuple[str, ...] = ()


def table(report: Report) -> str:
    """Return the report as Markdown: the machine, what could not be run, and a line for each row and program."""
    lines = [f"# Measured: {report.mode}, {report.date}", ""]
    lines += [f"- {name}: {value}" for name, value in report.machine.items()]
    lines += [f"- distance: {report.distance}"]
    lines += [f"- {name}: {version}" for name, version in report.programs.items()]
    lines += [f"- NOT RUN: {what}" for what in report.not_run]
    lines += [f"- FAILED: {what}" for what in report.failures]
    lines += [
        "",
        "| row | program | wall s: median (min–max) | n | ratio | goal | requests | trips | cpu s | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    group = ""
    for result in report.results:
        if result.row.group != group:
            group = result.row.group
            lines.append(f"| **{group}** | | | | | | | | | |")
        lines += _lines(result, has_usual_size=report.mode == "full")
    notes = [f"- {result.row.title}, {result.row.group}: {note}" for result in report.results for note in result.notes]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def summary(result: Result) -> str:
    """Return one line for the terminal, while the bench runs."""
    where = f"{result.row.group + ':':12} {result.row.title:37}"
    if result.ours is None:
        return f"{where} not measured"
    text = f"{where} {_seconds(result.ours.spread())}"
    if result.ratio is not None and result.best is not None:
        text += f"  {result.ratio.median:6.2f} × {result.best.program}"
        text += f" (goal {result.goal:g})" if result.goal is not None else ""
    if result.each_ms is not None:
        text += f"  {result.each_ms:.2f} ms each (goal {result.row.goal_each_ms:g})"
    return text


def _lines(result: Result, *, has_usual_size: bool) -> list[str]:
    """Return a line for each program, ours first and then the fastest; only ours has ratios and goals."""
    order = sorted(result.runs, key=lambda runs: (not runs.is_ours, runs.spread().median))
    lines = []
    for number, runs in enumerate(order):
        ratio, goal = _ratio_and_goal(result) if runs.is_ours else ("", "")
        cpu_goal = result.row.goal_cpu_s if runs.is_ours and has_usual_size else None
        peak_goal = result.row.goal_peak_mib if runs.is_ours else None
        cells = [
            result.row.title if number == 0 else "",
            f"**{runs.program}**" if runs.is_ours else runs.program,
            _seconds(runs.spread()),
            str(len(runs.costs)),
            ratio,
            goal,
            str(runs.traffic.requests) if runs.traffic else "",
            str(runs.traffic.round_trips) if runs.traffic else "",
            f"{runs.spread(lambda cost: cost.cpu_s).median:.2f}{_bracketed(cpu_goal)}",
            f"{runs.spread(lambda cost: cost.peak_mib).median:.0f}{_bracketed(peak_goal)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _ratio_and_goal(result: Result) -> tuple[str, str]:
    """Return both as they stand in the table; a row can be about a ratio, about the time for each unit, or both."""
    ratios, goals = [], []
    if result.ratio is not None and result.best is not None:
        ratios.append(f"{result.ratio.median:.2f} of {result.best.program}")
        if result.goal is not None:
            goals.append(f"{result.goal:g}")
    if result.each_ms is not None:
        ratios.append(f"{result.each_ms:.2f} ms each")
        goals.append(f"{result.row.goal_each_ms:g} ms")
    return ", ".join(ratios), ", ".join(goals)


def _bracketed(goal: float | None) -> str:
    """Return a goal as it stands behind a figure."""
    return "" if goal is None else f" (≤ {goal:g})"


def _seconds(spread: Spread) -> str:
    return f"{spread.median:.3f} ({spread.least:.3f}–{spread.most:.3f})"
