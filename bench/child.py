"""Run one program and print what it took; a process of its own because a child's peak memory begins at its parent's.

`python -I -S bench/child.py LIMIT_S COMMAND...` prints wall seconds, processor seconds, peak resident KiB, and the exit
status; `late` instead of the status where the program was killed after LIMIT_S. It imports next to nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def main() -> None:
    """Start, wait, print. The program has this process's standard error, and nothing else of it."""
    limit_s, command = float(sys.argv[1]), sys.argv[2:]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    is_late = False
    began = time.perf_counter()
    child = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, nowhere, 1)],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which Python ignores
    )

    def kill(*_: object) -> None:
        nonlocal is_late
        is_late = True
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    _, status, usage = os.wait4(child, 0)
    wall_s = time.perf_counter() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    how = "late" if is_late else os.waitstatus_to_exitcode(status)
    print(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, how)


if __name__ == "__main__":
    main()
