"""The bench runs: a row with a registry and one at a distance, in small; what it measured is nobody's test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from programs import clean_environment, require

ROOT = Path(__file__).parents[2]


def test_the_bench_measures_and_says_what_it_could_not_run(tmp_path: Path) -> None:
    require("docker-registry")
    folders = ["--images", str(tmp_path / "images"), "--out", str(tmp_path / "results")]
    rows = ["--row", "version", "--row", "many-near", "--row", "new-tag-80"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "quick", "--scale", "0.001", "--rival", "no-such-rival", *rows, *folders],
        cwd=ROOT,
        env=clean_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "distance: " in done.stdout
    assert "not run: no-such-rival: no rival of this bench" in done.stdout

    report = json.loads((tmp_path / "results" / "measured.json").read_text())
    assert [result["row"]["key"] for result in report["results"]] == ["version", "many-near", "new-tag-80"]
    pushed = report["results"][1]["runs"]
    assert [runs["program"] for runs in pushed] == ["oci-push"]
    # 60 layers and a config, none of which is there, and a manifest: asked for, sent, and each takes two requests.
    assert pushed[0]["traffic"]["requests"] > 2 * 61
    assert (tmp_path / "results" / "measured.svg").read_text().startswith("<svg")
    assert "| **oci-push** |" in (tmp_path / "results" / "measured.md").read_text()


def test_units_that_go_nowhere_are_measured(tmp_path: Path) -> None:
    words = ["--counts", "10,30", "--ways", "threads,local:2", "--out", str(tmp_path / "results")]
    done = subprocess.run(
        [sys.executable, "-m", "bench.units", *words],
        cwd=ROOT,
        env=clean_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    taken = json.loads((tmp_path / "results" / "units.json").read_text())["taken"]
    measured = [(one["way"], one["units"]) for one in taken]
    assert measured == [("threads", 10), ("threads", 30), ("local:2", 10), ("local:2", 30)]
    assert all(one["cpu_s"] > 0 and one["peak_mib"] > 1 for one in taken)
    assert "local:2: " in (tmp_path / "results" / "units.svg").read_text()
