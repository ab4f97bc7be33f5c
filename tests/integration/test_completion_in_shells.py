"""Completion in the shells themselves: a terminal, a line that is begun, a TAB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import program
from terminal import Terminal, terminal

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
FIRST = {"zsh": "autoload -Uz compinit; compinit -u -d $HOME/dump\n"}
CONFIG = "registries:\n  - name: hub-of-mine  # ours\n    domain: reg.example.com:5000\nvariables:\n  name: none\n"


@contextmanager
def shell_with_completion(shell: str, folder: Path) -> Iterator[Terminal]:
    (folder / "complete").write_text(program("completion", shell, cwd=folder).stdout)
    with terminal(SHELLS[shell], folder) as found:
        found.type(f"{FIRST.get(shell, '')}source ./complete\necho read''y\n")
        found.wait("ready")
        yield found


def check_completed(at: Terminal, line: str, words: str) -> None:
    """Type a line and a TAB; `words` are what the shell then has, each in brackets."""
    at.shown = ""
    at.type(f"{line}\t\x01printf '<%s>' \n")
    at.wait(words)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tab_completes_what_is_begun(shell: str, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "some archive.tar").touch()
    (tmp_path / "oci-push.yaml").write_text(CONFIG)
    with shell_with_completion(shell, tmp_path) as at:
        for line, words in (
            ("oci-push val", "<oci-push><validate>"),
            ("oci-push push --all-or", "<--all-or-nothing>"),
            ("oci-push push --compression z", "<--compression><zstd>"),
            ("oci-push push --compression=z", "<--compression=zstd>"),
            ("oci-push push oci:im", "<oci:image/>"),
            ("oci-push push some", "<some archive.tar>"),
            ("oci-push login hub", "<login><hub-of-mine>"),
            ("oci-push whoami reg.example.com:50", "<reg.example.com:5000>"),
            ("oci-push push oci:image reg", "<reg.example.com:5000/>"),
            ("oci-push ecr replication sh", "<ecr><replication><show>"),
        ):
            check_completed(at, line, words)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_tab_shows_what_there_is(shell: str, tmp_path: Path) -> None:
    with shell_with_completion(shell, tmp_path) as at:
        at.type("oci-push push --export-format \t\t")
        for value in ("dotenv", "github", "gitlab"):
            at.wait(value)
