"""Run the program in a child and measure its memory: ``python measured.py FILE ARGUMENTS…`` writes the peak to FILE.

The peak is the child's own (VmHWM, kilobytes): what a child inherits in `ru_maxrss` is its parent's.
"""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_KB = 150 * 1024


@dataclass(frozen=True, slots=True)
class Done:
    """Hold how a run ended; `peak_kb` is the most memory it had."""

    code: int
    out: str
    errors: str
    peak_kb: int


def oci_push(*arguments: str, home: Path, timeout_s: float = 100.0) -> Done:
    """Run the program with an empty home; a traceback, or more memory than promised, fails the test."""
    told = home / "peak"
    done = subprocess.run(
        [sys.executable, __file__, str(told), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    peak = int(told.read_text())
    assert peak < LIMIT_KB, f"{peak} KB for {arguments}: {done.stderr}"
    return Done(done.returncode, done.stdout, done.stderr, peak)


def _tell(path: str) -> None:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    Path(path).write_text(found[1] if found else "0")


if __name__ == "__main__":
    from oci_push.cli.app import main

    atexit.register(_tell, sys.argv.pop(1))
    main()
