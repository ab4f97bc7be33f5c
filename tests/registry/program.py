"""The program as a user runs it, from this checkout whichever is installed."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
_START = "import sys; sys.argv[0] = 'oci-push'; from oci_push.cli.app import main; main()"


def program(
    *arguments: str, cwd: Path, code: int | None = 0, stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run it with an empty home in `cwd`, expecting an exit code, or with ``None`` any."""
    around = {"PATH": os.environ["PATH"], "HOME": str(cwd / "home"), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    if measured := os.environ.get("COVERAGE_PROCESS_CONFIG"):
        around["COVERAGE_PROCESS_CONFIG"] = measured
    done = subprocess.run(
        [sys.executable, "-c", _START, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=300,
        check=False,
        env={**around, **env},
    )
    assert code in (None, done.returncode), done.stderr
    assert "Traceback" not in done.stderr
    return done


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the limit is for what never will."""
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        select.select([], [], [], 0.01)
