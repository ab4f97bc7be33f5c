"""Foreign programs as child processes: found or a loud failure, run in a clean environment with a time limit.

Nothing here knows what a program is for; see `registries`, `skopeo` and `real_images`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


class ProgramError(Exception):
    """Say which program failed, how, and what it wrote to standard error."""

    def __init__(self, arguments: Sequence[str], status: int, said: str) -> None:
        super().__init__(f"{' '.join(arguments)}: exit {status}\n{said}")
        self.status = status
        self.said = said


@dataclass(frozen=True, slots=True)
class Output:
    """Hold what a program wrote; it ended with status 0."""

    out: bytes
    said: str

    @property
    def text(self) -> str:
        """Give standard output as text without the last line end."""
        return self.out.decode().rstrip("\n")


def require(name: str) -> str:
    """Find a program or fail the test: a missing one is never a reason to skip."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed; `make test` installs it, or: apt-get install {name}", pytrace=False)
    return path


def clean_environment(home: Path, additions: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give an environment that has no more of this machine than PATH; everything a program keeps goes under `home`.

    What coverage needs to follow a child passes through.
    """
    home.mkdir(parents=True, exist_ok=True)
    runtime = home / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    return {
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "TMPDIR": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        **(additions or {}),
    }


def run(
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_s: float = 300,
) -> Output:
    """Run a program to its end. Raises `ProgramError` unless it ends with status 0."""
    words = [str(argument) for argument in arguments]
    done = subprocess.run(
        [require(words[0]), *words[1:]],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    said = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise ProgramError(words, done.returncode, said)
    return Output(done.stdout, said)
