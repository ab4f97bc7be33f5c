"""The program as a user runs it, in this process: its words, its streams, its home, its exit code.

Starting Python and importing takes longer than most of what is tested. What is about processes (signals, memory, closed
streams) starts one by itself.
"""

from __future__ import annotations

import io
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oci_push.cli.app import main


def program(
    *arguments: str, cwd: Path, code: int | None = 0, stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run it with an empty home in `cwd`, expecting an exit code, or with ``None`` any."""
    around = {"PATH": os.environ["PATH"], "HOME": str(cwd / "home"), "LC_ALL": "C.UTF-8", **env}
    words = ["oci-push", *arguments]
    with _process(words, cwd, around, stdin) as (out, errors):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
    done = subprocess.CompletedProcess(words, status, _text(out), _text(errors))
    assert code in (None, done.returncode), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


@contextmanager
def _process(
    words: list[str], cwd: Path, env: dict[str, str], stdin: str
) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    """Lend this process to the program, and take it back as it was."""
    streams, place, environment = (sys.stdin, sys.stdout, sys.stderr), Path.cwd(), dict(os.environ)
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logs = [(log, log.level, log.handlers) for log in (logging.getLogger(), logging.getLogger("oci_push"))]
    out, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    arguments, sys.argv = sys.argv, words
    try:
        sys.stdin, sys.stdout, sys.stderr = given, out, errors
        os.chdir(cwd)
        logging.getLogger().handlers = []  # those of the test runner: whoever finds some makes none for --debug
        os.environ.clear()
        os.environ.update(env)
        yield out, errors
    finally:
        sys.argv = arguments
        sys.stdin, sys.stdout, sys.stderr = streams
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(place)
        for number, handler in signals.items():
            signal.signal(number, handler)
        for log, level, handlers in logs:
            log.handlers = handlers
            log.setLevel(level)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    content = stream.buffer
    assert isinstance(content, io.BytesIO)
    return content.getvalue().decode().replace("\r\n", "\n")


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the limit is for what never will."""
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        select.select([], [], [], 0.01)


def workers_of(process: int) -> list[int]:
    """Return the processes that a process has started: each thread of it that is still there is asked."""
    found: set[int] = set()
    for task in Path(f"/proc/{process}/task").glob("*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, (task / "children").read_text().split()))
    return sorted(found)
