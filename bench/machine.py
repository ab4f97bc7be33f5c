"""What the bench ran on, in words."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path


def describe() -> dict[str, str]:
    """Return the facts that decide the figures."""
    own_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory_gib():.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}, {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})",
        "commit": _commit(),
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "peak memory": f"reads no lower than the bench's own, {own_mib:.0f} MiB",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _commit() -> str:
    words = ("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
