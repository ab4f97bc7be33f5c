"""Running real programs: input, output, limits."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from oci_push.runtime.clock import SystemClock
from oci_push.runtime.commands import MAX_OUTPUT_BYTES, Finished, RunCommand, command_runner


@pytest.fixture
def run() -> RunCommand:
    return command_runner({"PATH": os.environ["PATH"], "PLANTED": "yes"}, SystemClock())


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def test_input_goes_in_and_outputs_and_code_come_out(run: RunCommand) -> None:
    code = "import sys; sys.stdout.write(sys.stdin.read()[::-1]); sys.stderr.write('e'); sys.exit(3)"
    assert run(python(code), b"abc", 30) == Finished(3, b"cba", b"e")


def test_program_sees_the_given_environment_only(run: RunCommand) -> None:
    code = "import os; print(os.environ['PLANTED'], 'HOME' in os.environ)"
    assert run(python(code), b"", 30).stdout == b"yes False\n"


def test_program_is_found_on_the_given_path(tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    run = command_runner({"PATH": f"{tmp_path}:/bin:/usr/bin"}, SystemClock())
    assert run(["docker-credential-here", "get"], b"", 30).stdout == b"found\n"


def test_missing_program_raises_file_not_found(run: RunCommand) -> None:
    with pytest.raises(FileNotFoundError):
        run(["oci-push-no-such-program"], b"", 30)


def test_program_that_does_not_end_is_ended(run: RunCommand) -> None:
    with pytest.raises(TimeoutError):
        run(python("import time; time.sleep(60)"), b"", 0.2)


def test_program_that_closes_its_outputs_and_stays_is_ended(run: RunCommand) -> None:
    with pytest.raises(TimeoutError):
        run(python("import os, time; os.close(1); os.close(2); time.sleep(60)"), b"", 0.5)


def test_what_a_program_leaves_in_the_background_is_not_waited_for(run: RunCommand, tmp_path: Path) -> None:
    """It holds the outputs open until it is let go."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = f"import os; os.fork() or (open({str(gate)!r}), os._exit(0)); print('token', flush=True); os._exit(4)"
    try:
        assert run(python(code), b"", 30) == Finished(4, b"token\n", b"")
    finally:
        os.close(os.open(gate, os.O_RDWR))


def test_program_that_does_not_read_its_input_is_fine(run: RunCommand) -> None:
    assert run(python("import os; os.close(0)"), b"x" * 60000, 30).code == 0


def test_program_that_writes_without_end_is_stopped(run: RunCommand) -> None:
    code = f"import sys\nfor _ in range(100): sys.stdout.write('x' * {MAX_OUTPUT_BYTES // 10})"
    with pytest.raises(OSError, match="over the limit"):
        run(python(code), b"", 30)


def test_outputs_do_not_show() -> None:
    assert "hunter2" not in repr(Finished(0, b"hunter2", b"hunter2"))
