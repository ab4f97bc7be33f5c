"""The root of the command line: what it says, and what it does not load to say it."""

from __future__ import annotations

import os
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path

import pytest
from images import layer, make_layout

from oci_push import __version__
from oci_push.cli.app import COMMANDS, GROUPS, main, root_help

_LOADED = "import sys; from oci_push.cli.app import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["oci-push", *words])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def loaded(*words: str, cwd: Path | None = None) -> set[str]:
    """Run the program in a process of its own and return the modules that it had loaded at its end."""
    env = {**os.environ, "HOME": str(cwd or "/nonexistent")}
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *words], capture_output=True, text=True, check=False, cwd=cwd, env=env
    )
    return set(done.stderr.splitlines()[-1].split())


def test_help_lists_every_command_with_its_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--help") == 0
    told = capsys.readouterr().out
    for name, (summary, _) in COMMANDS.items():
        assert any(line.split(None, 1) == [name, summary] for line in told.splitlines()), name
    assert all(f"{title}:" in told for title in GROUPS)
    assert max(map(len, told.splitlines())) <= 80


def test_no_command_at_all_is_a_usage_error_that_helps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch) == 2
    assert capsys.readouterr().out.strip() == root_help()


@pytest.mark.parametrize(
    ("word", "hint"),
    [("psuh", "did you mean push?"), ("frobnicate", "see oci-push --help"), ("--verison", "--version")],
)
def test_an_unknown_word_is_refused_with_what_is_near(
    word: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, word) == 2
    assert word in (told := capsys.readouterr().err)
    assert hint in told


@pytest.mark.parametrize("word", ["--password=hunter2", "-phunter2", "--usernme=a=hunter2", "-=hunter2"])
def test_the_value_of_an_unknown_option_is_not_shown(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([word, "push"], ["push", "oci:a", "localhost/a", word], ["auth", word, "explain"]):
        assert call(monkeypatch, *words) == 2
        told = capsys.readouterr().err
        assert "hunter2" not in told
        assert word[:2] in told


def test_version_and_help_load_no_command_and_no_library() -> None:
    for word in ("--version", "--help"):
        found = loaded(word)
        ours = {name for name in found if name.startswith("oci_push")}
        assert ours == {"oci_push", "oci_push.cli", "oci_push.cli.app"}
        assert not found & {"typer", "typing", "httpx", "yaml"}


def test_the_version_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"oci-push {__version__}\n"


PIPELINE = """
version: "1.0"
steps:
  it: {type: push, candidate: "oci:image", image_name: app, tag: "1", registry: 127.0.0.1:9}
"""
MOST_OTHERS = 165
"""Modules of Python and of libraries: 154 with Python 3.11, of which msgspec and h11 bring most."""


@pytest.mark.parametrize(
    "command", [("push", "oci:image", "127.0.0.1:9/app:1", "--retries", "0"), ("run", "it.yml", "--retries", "0")]
)
def test_a_command_loads_what_it_uses(command: tuple[str, ...], tmp_path: Path) -> None:
    """Run a command up to its first request; what it loads of ours is listed beside this file."""
    make_layout(tmp_path / "image", layer(1))
    (tmp_path / "it.yml").write_text(PIPELINE)
    found = loaded(*command, cwd=tmp_path)
    ours = sorted(name for name in found if name.partition(".")[0] == "oci_push")
    listed = Path(__file__).with_name(f"loaded_by_{command[0]}.txt")
    changed = "\n".join(unified_diff(listed.read_text().splitlines(), ours, listed.name, "loaded", lineterm="", n=0))
    assert not changed, f"is it needed before the first request? if so, list it\n{changed}"
    others = sorted(found - set(ours))
    assert len(others) <= MOST_OTHERS + 20 * (command[0] == "run"), " ".join(others)
    unused = {
        "httpx",
        "ssl",
        "boto3",
        "zstandard",
        "pydantic",
        "email",
        "typer",
        "rich",
        "logging",
        "typing_extensions",
    }
    assert not set(others) & unused


@pytest.mark.parametrize(("word", "code"), [("--version", 0), ("frobnicate", 2)])
def test_the_process_ends_with_its_last_answer(word: str, code: int) -> None:
    """Nothing is run after it, and nothing of what was said is lost."""
    late = "import atexit; atexit.register(print, 'late'); from oci_push.cli.app import start; start()"
    done = subprocess.run([sys.executable, "-c", late, word], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "late" not in done.stdout
    assert (__version__ if code == 0 else "no such command") in done.stdout + done.stderr
