"""What a `kill -9` costs: many images pushed one way, a process killed when half of them are there, and the rest.

Of workers that somebody replaces one is killed, and nobody does anything about it. What nobody replaces is started
again with the same words.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from bench.measuring import Command, RunError
from bench.registry import Registry

_TICK_S = 0.005
_LIMIT_S = 300.0


class Killed(msgspec.Struct, frozen=True):
    """How many pushes were done at the kill, the seconds from it to the end of all, and one registry's requests."""

    pushes_before: int
    after_s: float
    requests: int


def kill_at_half(
    commands: Sequence[Command],
    env: Mapping[str, str],
    registries: Sequence[Registry],
    pushes: int,
    victims: Callable[[int], Sequence[int]] | None,
) -> Killed:
    """Run commands beside one another, kill when half of all `pushes` are done, and wait until all of them are.

    `victims` returns, of the first command's number, processes of which one is killed; without it that is the first
    command, which is started again. Raises `RunError` where not all is there in the end.
    """
    children = [_start(one, env) for one in commands]
    try:
        _wait(lambda: _done(registries) >= pushes // 2 or any(one.poll() is not None for one in children))
        before = _done(registries)
        if victims is None:
            children[0].kill()
            began = time.perf_counter()
            children[0].wait()
            children[0] = _start(commands[0], env)
        else:
            os.kill(victims(children[0].pid)[0], signal.SIGKILL)
            began = time.perf_counter()
        codes = [one.wait(timeout=_LIMIT_S) for one in children]
        after_s = time.perf_counter() - began
    finally:
        for one in children:
            one.kill()
            one.wait()
    if any(codes):
        raise RunError(f"{' '.join(commands[0])}: exit {codes} after a kill")
    there = sum(len(one.tagged()) for one in registries)
    if there != pushes:
        raise RunError(f"{' '.join(commands[0])}: {there} of {pushes} pushes are there after a kill")
    return Killed(before, round(after_s, 2), registries[0].requests())


def children_of(process: int) -> list[int]:
    """Return the processes that a process, by any of its threads, has started."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def _done(registries: Sequence[Registry]) -> int:
    return sum(len(one.tagged()) for one in registries)


def _start(command: Command, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=env, cwd=env["HOME"], **quiet)  # type: ignore[call-overload, no-any-return]


def _wait(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _LIMIT_S
    while not holds():
        if time.monotonic() > end:
            raise RunError(f"half of the pushes were not done within {_LIMIT_S:.0f} s")
        time.sleep(_TICK_S)
