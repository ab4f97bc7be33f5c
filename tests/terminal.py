"""A program behind a terminal: what is typed goes in, what is shown can be waited for."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LIMIT_S = 60
"""For what never comes."""


class Terminal:
    """Type to a program, and wait for what it shows."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self._process = process
        self.shown = ""

    def type(self, text: str) -> None:
        """Hand it keys."""
        os.write(self._fd, text.encode())

    def wait(self, text: str) -> None:
        """Read until something was shown."""
        end = time.monotonic() + LIMIT_S
        while text not in self.shown:
            assert self._read(end), f"{text!r} was not shown in {self.shown!r}"

    def end(self) -> int:
        """Read to the program's end, and return its exit code."""
        end = time.monotonic() + LIMIT_S
        while self._read(end):
            pass
        return self._process.wait(LIMIT_S)

    def press(self, key: str) -> int:
        """Press a key until the program ends, and return its exit code.

        Python loses a signal that comes in the instant between a question and the reading of its answer; people press
        again.
        """
        end = time.monotonic() + LIMIT_S
        while self._process.poll() is None and time.monotonic() < end:
            self.type(key)
            while self._read(time.monotonic() + 0.5):
                pass
        return self.end()

    def _read(self, end: float) -> bool:
        """Read what there is; return false at the end of all, or of the time."""
        if not select.select([self._fd], [], [], max(0, end - time.monotonic()))[0]:
            return False
        try:
            read = os.read(self._fd, 65536)
        except OSError:  # Linux: nobody has the other side any more
            return False
        self.shown += read.decode(errors="replace")
        return bool(read)


@contextmanager
def terminal(argv: Sequence[str], folder: Path) -> Iterator[Terminal]:
    """Run a program in a folder that is its home, behind a terminal of its own; it is ended at the end."""
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TERM": "vt100",
        "LC_ALL": "C.UTF-8",
    }
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *argv], cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    with process:
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
            os.close(ours)
