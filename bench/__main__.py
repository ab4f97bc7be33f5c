"""`python -m bench` (`make bench`): measure `oci-push` beside every rival on PATH, and write a table and a plot.

It says what it could not run and why. It judges nothing, and fails only where a push did.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import machine, plot, results
from bench.comparison import Comparison, Effort
from bench.distance import Means, best_means
from bench.images import Images
from bench.programs import OciPush, Program, Python, found_rivals
from bench.registry import Trust
from bench.results import Report, Result
from bench.rows import ROWS, Row
from bench.scenes import Surroundings

PROJECT = Path(__file__).parents[1]


class Mode(msgspec.Struct, frozen=True):
    """How much is done: the part of the usual size that large layers have, and the effort for each row."""

    scale: float
    effort: Effort


MODES = {
    "quick": Mode(0.1, Effort(rounds=(1, 3), row_s=2.0, once_s=4.0, limit_s=30.0, traffic_rtt_ms=40)),
    "full": Mode(1.0, Effort(rounds=(3, 9), row_s=7.0, once_s=8.0, limit_s=120.0, traffic_rtt_ms=60)),
}


def main() -> int:
    """Measure, write, and return the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # registries and namespaces are taken down on the way out
    mode = MODES[options.mode]
    rows = [row for row in ROWS if not options.row or any(part in row.key for part in options.row)]
    rivals, not_run = found_rivals(options.rival)
    ours = OciPush(str(Path(options.program).absolute()))
    if shutil.which("docker-registry") is None:
        not_run.append("all rows with a registry: docker-registry is not on PATH")
        rows = [row for row in rows if row.kind.is_start]
    means, why = (options.distance, "as was asked for") if options.distance else best_means()
    distance = f"{means} ({why})" if why else means

    facts = machine.describe()
    for line in (*(f"{name}: {value}" for name, value in facts.items()), f"distance: {distance}"):
        print(line)
    for what in not_run:
        print(f"not run: {what}")
    print("making images", flush=True)
    scale = options.scale or mode.scale
    images = Images(options.images.absolute() / f"images-{scale:g}", scale)
    images.make(sorted({row.image for row in rows if row.image}))

    found, failures = _measure(rows, ours, rivals, images, mode.effort, means)
    report = Report(
        mode=options.mode,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine=facts,
        programs={program.name: program.version() for program in (ours, *rivals)},
        distance=distance,
        not_run=tuple(not_run),
        results=tuple(found),
        failures=tuple(failures),
    )
    _write(report, options.out)
    return 1 if failures else 0


def _measure(
    rows: Sequence[Row], ours: OciPush, rivals: Sequence[Program], images: Images, effort: Effort, means: Means
) -> tuple[list[Result], list[str]]:
    """Measure row by row and print each; return the results and what failed."""
    found: list[Result] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="oci-push-bench-", ignore_cleanup_errors=True) as folder:
        around = Surroundings(ours, images, Trust.make(Path(folder) / "trust"), Path(folder))
        for row in rows:
            began = time.monotonic()
            bounds = [Python()] if row.kind.is_start else []
            comparison = Comparison(row, [*bounds, ours, *rivals], around, effort)
            result = comparison.measure(means)
            found.append(result)
            failures += comparison.failures
            print(f"{results.summary(result)}   [{time.monotonic() - began:.0f} s]", flush=True)
            for line in (*result.notes, *(f"FAILED {failure}" for failure in comparison.failures)):
                print(f"  {line}", flush=True)
    return found, failures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("mode", nargs="?", choices=MODES, default="quick", help="quick (5 minutes) or full (12)")
    parser.add_argument("--row", action="append", default=[], help="only rows with this in their key; repeat for more")
    parser.add_argument("--rival", action="append", default=[], help="only this rival; repeat for more")
    parser.add_argument("--distance", choices=("netem", "tunnel", "relay"), help="not the best that works here")
    parser.add_argument("--out", type=Path, help="folder for the results; bench/results of a whole full run")
    parser.add_argument("--scale", type=float, help="size of large layers beside the usual one")
    parser.add_argument("--images", type=Path, default=PROJECT / "build" / "bench", help="folder of the images")
    beside = Path(sys.executable).with_name("oci-push")
    parser.add_argument("--program", default=str(beside), help="the oci-push to measure")
    options = parser.parse_args()
    is_whole = options.mode == "full" and not options.row and not options.rival
    options.out = options.out or PROJECT / ("bench/results" if is_whole else "build/bench")
    return options


def _write(report: Report, folder: Path) -> None:
    # The names do not tell the mode: what README shows is what was measured last.
    folder.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=1)
    (folder / "measured.json").write_bytes(encoded + b"\n")
    (folder / "measured.md").write_text(results.table(report))
    (folder / "measured.svg").write_text(plot.draw(report))
    print(f"written: {os.path.relpath(folder)}/measured.json, .md, .svg")


if __name__ == "__main__":
    sys.exit(main())
