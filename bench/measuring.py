"""One run of a program: what it took, and how long until its first request. Nothing here knows what is run."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

_REQUEST_LIMIT_S = 30.0
_SAID_CHARACTERS = 2000

Command = tuple[str, ...]


class Cost(msgspec.Struct, frozen=True):
    """Wall and processor seconds, and the peak of the resident set in MiB; the registry's are not in it."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class RunError(Exception):
    """A program that failed, with the end of what it said."""


class TooSlowError(Exception):
    """A program that was stopped, as it took longer than it is worth."""


def run(commands: Sequence[Command], prefix: Command, env: Mapping[str, str], limit_s: float = 300.0) -> Cost:
    """Run commands one after the other and return their sum; the peak is the largest.

    Raises `RunError`, and `TooSlowError` after `limit_s` for all of them.
    """
    end = time.monotonic() + limit_s
    costs = [_run_one((*prefix, *command), env, end) for command in commands]
    return Cost(
        sum(cost.wall_s for cost in costs),
        sum(cost.cpu_s for cost in costs),
        max(cost.peak_mib for cost in costs),
    )


def run_to_first_request(command: Command, server: socket.socket, env: Mapping[str, str]) -> Cost:
    """Start a program that sends a request to `server`; the wall seconds end when its first bytes have come.

    The program gets no answer and is killed. Raises `RunError` if it ends without a request.
    """
    with tempfile.TemporaryFile() as said, selectors.DefaultSelector() as waiting:
        waiting.register(server, selectors.EVENT_READ)
        connections: list[socket.socket] = []
        began = time.perf_counter()
        child = _start(command, env, said.fileno())
        try:
            wall_s = 0.0
            while not wall_s:
                ready = waiting.select(_REQUEST_LIMIT_S if child.poll() is None else 0)
                if not ready:
                    raise RunError(f"no request came: {_end_of(said.fileno())}")
                for key, _ in ready:
                    if key.fileobj is server:
                        connections.append(server.accept()[0])
                        waiting.register(connections[-1], selectors.EVENT_READ)
                    elif os.read(key.fd, 1):
                        wall_s = time.perf_counter() - began
                    else:
                        waiting.unregister(key.fileobj)
        finally:
            child.kill()
            _, _, usage = os.wait4(child.pid, 0)
            child.returncode = -signal.SIGKILL
            for connection in connections:
                connection.close()
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def clean_environment(home: Path, additions: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that has no more of this machine than PATH; what a program keeps goes under `home`."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    names = {"HOME": str(home), "TMPDIR": str(home), "XDG_RUNTIME_DIR": str(home), "LC_ALL": "C.UTF-8"}
    return {"PATH": os.environ["PATH"], **names, **additions}


def _run_one(command: Command, env: Mapping[str, str], end: float) -> Cost:
    limit_s = max(0.001, end - time.monotonic())
    words = (sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py")), str(limit_s), *command)
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            words, env=env, cwd=env["HOME"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, check=False
        )
        if done.returncode != 0:
            raise RunError(f"{' '.join(command)[:500]}: {_end_of(said.fileno())}")
        wall_s, cpu_s, peak_kib, how = done.stdout.decode().split()
        if how == "late":
            raise TooSlowError
        if how != "0":
            raise RunError(f"{' '.join(command)[:500]}: exit {how}: {_end_of(said.fileno())}")
    return Cost(float(wall_s), float(cpu_s), float(peak_kib) / 1024)


def _start(command: Command, env: Mapping[str, str], said: int) -> subprocess.Popen[bytes]:
    # In a folder of its own making: some programs look for a configuration where they are started.
    return subprocess.Popen(
        command, env=env, cwd=env["HOME"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
    )


def _end_of(said: int) -> str:
    size = os.fstat(said).st_size
    return os.pread(said, _SAID_CHARACTERS, max(0, size - _SAID_CHARACTERS)).decode(errors="replace").strip()
