"""What the bench ran on, in words."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from pathlib import Path

from bench import measuring


def describe() -> dict[str, str]:
    """Return the facts that decide the figures."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory_gib():.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}, {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": _commit(),
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "peak memory": f"reads no lower than {_least_peak_mib():.0f} MiB",
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


def _least_peak_mib() -> float:
    """Return what is read of a program that has next to no memory of its own: that of the process that starts it."""
    with tempfile.TemporaryDirectory() as home:
        env = measuring.clean_environment(Path(home), {})
        return measuring.run([("true",)], (), env).peak_mib


def _commit() -> str:
    words = ("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
