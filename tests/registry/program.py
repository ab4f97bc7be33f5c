"""The program as a user runs it, from this checkout whichever is installed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from oci_push.cli import app, output
from oci_push.cli.output import Door

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
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
        timeout=60,
        check=False,
        env={**around, **env},
    )
    assert code in (None, done.returncode), done.stderr
    assert "Traceback" not in done.stderr
    return done


@dataclass(frozen=True, slots=True)
class Invoked:
    """Hold how a command ended that ran in this process."""

    code: int
    out: str
    errors: str


def invoke(*arguments: str) -> Invoked:
    """Run a command in this process, in its folder and environment, which a test has set."""
    out, errors, argv = io.StringIO(), io.StringIO(), sys.argv
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    code = 0
    try:
        sys.argv = ["oci-push", *arguments]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            app.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Invoked(code, out.getvalue(), errors.getvalue())


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the limit is for what never will."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        select.select([], [], [], 0.01)


@dataclass(frozen=True, slots=True)
class Done:
    """Hold what the program left when it ran in this process."""

    code: int
    stdout: str
    stderr: str


def inside(*arguments: str, cwd: Path, stdin: str = "", **env: str) -> Done:
    """Run it in this process, from its entry on, with an empty home in `cwd`; a child process takes a second more."""
    around = {"PATH": os.environ["PATH"], "HOME": str(cwd / "home"), "LC_ALL": "C.UTF-8", **env}
    out, err = io.StringIO(), io.StringIO()
    log, handlers = logging.getLogger("oci_push"), {number: signal.getsignal(number) for number in _SIGNALS}
    level, before, here = log.level, list(log.handlers), Path.cwd()
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, around, clear=True))
        stack.enter_context(patch.multiple(sys, argv=["oci-push", *arguments], stdout=Door(out), stderr=Door(err)))
        stack.enter_context(patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))))
        stack.enter_context(patch.object(output, "open_doors"))
        os.chdir(cwd)
        stack.callback(os.chdir, here)
        try:
            app.main()
            code: object = 0
        except SystemExit as end:
            code = end.code
        finally:
            log.setLevel(level)
            log.handlers[:] = before
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert isinstance(code, int)
    return Done(code, out.getvalue(), err.getvalue())
