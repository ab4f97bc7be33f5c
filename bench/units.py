"""`python -m bench.units`: thousands of units into sinks, to see that time and memory grow with their number alone.

Nothing is pushed (`bench.sinks`): it is what units themselves cost, to whoever has them done. It writes
`bench/results/units.json` and a plot of it. Each line is a process of its own, so that its memory is its own, too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import msgspec

from bench import machine, measuring, scale
from bench.plot import STYLE
from bench.registry import memory_folder

COUNTS = (1_000, 3_000, 10_000)
WAYS = ("threads", "local:2", "dask 2 x 4")
_ROOT = Path(__file__).parents[1]
_RESULTS = Path(__file__).with_name("results")
_THREADS = 4


class Taken(msgspec.Struct, frozen=True):
    """What so many units took one way; seconds by the clock, `cpu_s` of the processor while they were done.

    `cpu_s` is that of whoever has them done and of its workers; with Dask of the scheduler, too. `peak_mib` is the
    resident set of whoever has them done, `scheduler_mib` that of Dask's scheduler.
    """

    way: str
    units: int
    laid_out_s: float
    read_s: float
    done_s: float
    cpu_s: float
    results_read_s: float
    peak_mib: float
    scheduler_mib: float = 0.0

    @property
    def each_ms(self) -> float:
        """Return the processor's milliseconds for a unit while they are done."""
        return self.cpu_s / self.units * 1000


class Simulated(msgspec.Struct, frozen=True):
    """What was measured."""

    machine: dict[str, str]
    taken: tuple[Taken, ...]


def main() -> int:
    """Measure each way with each number of units, write the results, and return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--out", type=Path, default=_RESULTS)
    parser.add_argument("--one", nargs=3, metavar=("WAY", "COUNT", "ADDRESS"), help="measure one line, and print it")
    told = parser.parse_args()
    if told.one:
        way, count, address = told.one
        sys.stdout.buffer.write(msgspec.json.encode(_take(way, int(count), address)))
        return 0
    about = machine.describe()
    ways = [way for way in told.ways.split(",") if not way.startswith("dask") or find_spec("distributed")]
    found = Simulated(about, tuple(_measured(way, int(count)) for way in ways for count in told.counts.split(",")))
    told.out.mkdir(parents=True, exist_ok=True)
    (told.out / "units.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    (told.out / "units.svg").write_text(draw(found))
    for one in found.taken:
        print(
            f"{one.way:12} {one.units:7,} units  laid out {one.laid_out_s:5.2f} s  read {one.read_s:5.2f} s  "
            f"done {one.done_s:6.2f} s, {one.each_ms:5.2f} ms each  peak {one.peak_mib:4.0f} MiB  "
            f"results read {one.results_read_s:5.2f} s"
        )
    return 0


def _measured(way: str, count: int) -> Taken:
    """Measure in a new process; of a cluster the processes of its own are counted as well."""
    with tempfile.TemporaryDirectory(prefix="oci-push-bench-units-", dir=memory_folder()) as name:
        env = measuring.clean_environment(Path(name), {"PYTHONPATH": str(_ROOT)})
        with scale.cluster(env) if way.startswith("dask") else _nowhere() as (address, pids):
            before = sum(map(scale.processor_s, pids))
            words = [sys.executable, "-m", "bench.units", "--one", way, str(count), address]
            done = subprocess.run(words, env=env, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
            taken = msgspec.json.decode(done.stdout, type=Taken)
            cpu_s = taken.cpu_s + sum(map(scale.processor_s, pids)) - before
            scheduler_mib = _peak_mib(pids[0]) if pids else 0.0
    return msgspec.structs.replace(taken, cpu_s=round(cpu_s, 3), scheduler_mib=scheduler_mib)


@contextmanager
def _nowhere() -> Iterator[tuple[str, list[int]]]:
    yield "-", []


def _take(way: str, count: int, address: str) -> Taken:
    """Lay out so many units, read them, have them done and their results written, and read these."""
    from bench import sinks
    from oci_push.runtime.clock import SystemClock
    from oci_push.runtime.context import Context
    from oci_push.work.dispatch import Dispatcher
    from oci_push.work.planning import in_waves
    from oci_push.work.results import ResultsFile, read_results
    from oci_push.work.units import read_units, write_units

    folder = Path(os.environ["HOME"])
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    write_units(folder / "u.jsonl", "a simulation", in_waves(sinks.units(count)))
    mark()
    units = read_units((folder / "u.jsonl").read_bytes(), "u.jsonl")
    mark()
    context = Context(SystemClock(), what="simulation")
    results = ResultsFile(folder / "r.jsonl")
    before = _cpu_s()
    with _engine(way, context, address) as engine:
        dispatcher = Dispatcher(engine, hears=results.add)
        for unit in units:
            dispatcher.add(unit)
        dispatcher.work(context)
    results.close()
    mark()
    cpu_s = _cpu_s() - before
    there = {one.key for one in read_results(folder / "r.jsonl") if one.error is None}
    mark()
    if len(there) != count:
        raise RuntimeError(f"{len(there)} of {count} units were done")
    spent = [round(after - earlier, 3) for earlier, after in pairwise(marks)]
    return Taken(way, count, spent[0], spent[1], spent[2], cpu_s, spent[3], _peak_mib(os.getpid()))


@contextmanager
def _engine(way: str, context: object, address: str) -> Iterator[object]:
    from bench import sinks
    from oci_push.runtime.clock import SystemClock
    from oci_push.work.here import HereEngine
    from oci_push.work.local import LocalEngine

    if way == "threads":
        yield HereEngine(sinks.do, context, _THREADS)  # type: ignore[arg-type]
        return
    if way.startswith("local:"):
        command = [sys.executable, "-m", "bench.sinks"]
        engine = LocalEngine(SystemClock(), command, os.environ, b"{}", int(way.partition(":")[2]), _THREADS)
        try:
            yield engine
        finally:
            engine.close()
        return
    from oci_push.work.dask_address import connect, read_address
    from oci_push.work.dask_engine import DaskEngine

    far = DaskEngine(connect(read_address(f"dask://{address}")), SystemClock(), sinks.CALLS, "simulation", b"{}", {})
    try:
        yield far
    finally:
        far.close()


def _cpu_s() -> float:
    """Return the processor's seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak_mib(process: int) -> float:
    """Return the largest resident set of a process since it began its program."""
    status = Path(f"/proc/{process}/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


_LEFT, _TOP, _WIDE, _HIGH, _BESIDE = 40, 92, 250, 200, 190
_LINES, _DOTS = ("reached", "even", "missed"), ("reached", "even-bar", "missed")
_APART = 15


def draw(found: Simulated) -> str:
    """Return a picture: the processor's time for a unit, and peak memory, each a line for a way over their number."""
    width, height = 2 * (_LEFT + _WIDE + _BESIDE), _TOP + _HIGH + 40
    about = ", ".join(found.machine[key] for key in ("processor", "system", "python"))
    each = [one.each_ms for one in found.taken]
    peaks = [one.peak_mib for one in found.taken]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        '<text class="text title" x="16" y="28">Units that go nowhere: what having them done costs</text>',
        f'<text class="quiet" x="16" y="48">{escape(about)}</text>',
        *_panel(_LEFT, "milliseconds of the processor, a unit", found.taken, each, "ms"),
        *_panel(2 * _LEFT + _WIDE + _BESIDE, "peak memory where they are given out", found.taken, peaks, "MiB"),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _panel(left: int, title: str, taken: Sequence[Taken], values: Sequence[float], unit: str) -> Iterator[str]:
    most_x, most_y = max(one.units for one in taken), max(values) * 1.05
    bottom = _TOP + _HIGH

    def x(units: int) -> float:
        return left + _WIDE * units / most_x

    def y(value: float) -> float:
        return bottom - _HIGH * value / most_y

    yield f'<text class="text heading" x="{left}" y="{_TOP - 14}">{escape(title)}</text>'
    yield f'<line class="grid" x1="{left}" y1="{bottom}" x2="{left + _WIDE}" y2="{bottom}"/>'
    yield f'<line class="grid" x1="{left}" y1="{_TOP}" x2="{left}" y2="{bottom}"/>'
    for units in dict.fromkeys(one.units for one in taken):
        yield f'<text class="quiet middle" x="{x(units):.1f}" y="{bottom + 18}">{units:,}</text>'
    lowest = bottom + _APART
    ways = dict.fromkeys(one.way for one in taken)
    last = {one.way: value for one, value in zip(taken, values, strict=True)}
    for way, line, dot in sorted(zip(ways, _LINES, _DOTS, strict=False), key=lambda one: last[one[0]]):
        points = [(x(one.units), y(value)) for one, value in zip(taken, values, strict=True) if one.way == way]
        for (x1, y1), (x2, y2) in pairwise(points):
            yield f'<line class="{line}" stroke-width="2" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        yield from (f'<circle class="{dot}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in points)
        lowest = min(points[-1][1] + 4, lowest - _APART)
        label = f"{way}: {last[way]:.3g} {unit}"
        yield f'<text class="text" x="{points[-1][0] + 10:.1f}" y="{lowest:.1f}">{escape(label)}</text>'


if __name__ == "__main__":
    sys.exit(main())
