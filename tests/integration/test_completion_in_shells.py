"""Completion in the shells themselves: a terminal, a line that is begun, a TAB."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import program

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
FIRST = {"zsh": "autoload -Uz compinit; compinit -u -d $HOME/dump\n"}
CONFIG = "registries:\n  - name: hub-of-mine  # ours\n    domain: reg.example.com:5000\nvariables:\n  name: none\n"
LIMIT_S = 60


class Terminal:
    """A shell behind a terminal; `wait` reads until something was shown."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait(self, text: str) -> None:
        end = time.monotonic() + LIMIT_S
        while text not in self.shown:
            ready, _, _ = select.select([self._fd], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} was not shown in {self.shown!r}"
            self.shown += os.read(self._fd, 65536).decode(errors="replace")

    def completed(self, line: str, words: str) -> None:
        """Type a line and a TAB; `words` are what the shell then has, each in brackets."""
        self.shown = ""
        self.type(f"{line}\t\x01printf '<%s>' \n")
        self.wait(words)


@contextmanager
def terminal(shell: str, folder: Path) -> Iterator[Terminal]:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (folder / "complete").write_text(program("completion", shell, cwd=folder).stdout)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TERM": "vt100",
        "LC_ALL": "C.UTF-8",
    }
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", *SHELLS[shell]], cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        try:
            found = Terminal(ours)
            found.type(f"{FIRST.get(shell, '')}source ./complete\necho read''y\n")
            found.wait("ready")
            yield found
        finally:
            process.kill()
            os.close(ours)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tab_completes_what_is_begun(shell: str, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "some archive.tar").touch()
    (tmp_path / "oci-push.yaml").write_text(CONFIG)
    with terminal(shell, tmp_path) as at:
        at.completed("oci-push val", "<oci-push><validate>")
        at.completed("oci-push push --all-or", "<--all-or-nothing>")
        at.completed("oci-push push --compression z", "<--compression><zstd>")
        at.completed("oci-push push --compression=z", "<--compression=zstd>")
        at.completed("oci-push push oci:im", "<oci:image/>")
        at.completed("oci-push push some", "<some archive.tar>")
        at.completed("oci-push login hub", "<login><hub-of-mine>")
        at.completed("oci-push whoami reg.example.com:50", "<reg.example.com:5000>")
        at.completed("oci-push push oci:image reg", "<reg.example.com:5000/>")
        at.completed("oci-push ecr replication sh", "<ecr><replication><show>")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tab_shows_what_there_is(shell: str, tmp_path: Path) -> None:
    with terminal(shell, tmp_path) as at:
        at.type("oci-push push --export-format \t\t")
        for value in ("dotenv", "github", "gitlab"):
            at.wait(value)
