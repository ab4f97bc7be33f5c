"""Other programs: one short run with bytes in and bytes out, and shell commands of hooks with their output by lines.

The core receives a `RunCommand`, bounded in time and size; `command_runner` makes the real one where the program is put
together. `run_shell` runs what the user allowed, for as long as its scope lasts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, Protocol

from msgspec import Struct

from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context
from oci_push.secret import repr_without

if TYPE_CHECKING:
    import subprocess

MAX_OUTPUT_BYTES = 1024 * 1024
_AFTER_END_S = 1.0
"""How long outputs may be silent and stay open when the program itself has ended."""
_SCRIPT = "OCI_PUSH_COMMANDS"
_MAX_LINE = 64 * 1024


class Finished(Struct, frozen=True):
    """What a program left: its exit `code`, and its outputs, which may be secret and never show."""

    code: int
    stdout: bytes = b""
    stderr: bytes = b""

    def __repr__(self) -> str:
        return repr_without(self, "stdout", "stderr")


class RunCommand(Protocol):
    """Run a program to its end.

    Raises ``FileNotFoundError`` when there is no such program, ``TimeoutError`` when it was ended after
    `timeout_s` seconds, and ``OSError`` for everything else that keeps it from running.
    """

    def __call__(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
        """Run `argv` without a shell, with `stdin` as its whole input, which is short (under 64 KiB)."""
        ...


def no_command(argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
    """Find no program: the runner of those who were given none."""
    raise FileNotFoundError(argv[0])


def command_runner(env: Mapping[str, str], clock: Clock) -> RunCommand:
    """Return the real runner, which finds programs on ``PATH`` of `env` and hands `env` to them."""
    return partial(_run, env, clock)


def _run(env: Mapping[str, str], clock: Clock, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Finished:
    import subprocess  # most runs have no helper to ask

    end = clock.monotonic() + timeout_s
    # The same process group as ours: Ctrl-C at a terminal reaches the program as well.
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
        )
    except ValueError as problem:  # NUL, or half of a character
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from problem
    with process:
        try:
            _write(process.stdin, stdin)
            stdout, stderr = _read_both(process, end, clock)
            return Finished(process.wait(max(0.0, end - clock.monotonic())), stdout, stderr)
        except subprocess.TimeoutExpired as problem:
            raise TimeoutError(f"no end after {timeout_s:g} s") from problem
        finally:
            if process.poll() is None:
                process.kill()


def _write(pipe: IO[bytes] | None, data: bytes) -> None:
    # A program that does not read its input is no matter of ours.
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write(data)
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _read_both(process: subprocess.Popen[bytes], end: float, clock: Clock) -> tuple[bytes, bytes]:
    import selectors

    outputs: dict[int, bytearray] = {}
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                outputs[stream.fileno()] = bytearray()
                selector.register(stream.fileno(), selectors.EVENT_READ)
        while selector.get_map():
            left = end - clock.monotonic()
            if left <= 0:
                raise TimeoutError("its outputs stay open")
            ready = selector.select(min(left, _AFTER_END_S))
            if not ready and process.poll() is not None:
                break  # what it has left running in the background holds them open
            for key, _ in ready:
                block = os.read(key.fd, 65536)
                outputs[key.fd] += block
                if not block:
                    selector.unregister(key.fd)
                if len(outputs[key.fd]) > MAX_OUTPUT_BYTES:
                    raise OSError(f"its output is over the limit of {MAX_OUTPUT_BYTES} bytes")
    stdout, stderr = outputs.values()
    return bytes(stdout), bytes(stderr)


def run_shell(script: str, env: Mapping[str, str], context: Context, on_line: Callable[[str], None]) -> int:
    """Run a script with ``sh -e`` and return its exit code; raises what ended `context`, and ``OSError``.

    The script travels in the environment, since arguments are seen by every user of the machine. The commands have a
    process group of their own, all of which is killed when the scope ends.
    """
    import subprocess  # few runs have hooks

    process = subprocess.Popen(
        ["/bin/sh", "-e", "-c", f'eval "${_SCRIPT}"'],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**env, _SCRIPT: script},
        start_new_session=True,
    )

    def kill() -> None:
        # The group may outlive its leader: something left running in the background holds the pipe open.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()

    with process, context.blocked(kill):
        try:
            while process.stdout is not None and (line := process.stdout.readline(_MAX_LINE)):
                on_line(line.decode(errors="replace").rstrip("\r\n"))
            code = process.wait()
        except BaseException:
            kill()
            raise
    context.check()
    return code
