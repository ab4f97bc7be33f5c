"""The root of the command line: what it says, and what it does not load to say it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import typer

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


def loaded(*words: str) -> set[str]:
    """Run the program in a process of its own and return the modules that it had loaded at its end."""
    done = subprocess.run([sys.executable, "-c", _LOADED, *words], capture_output=True, text=True, check=False)
    return set(done.stderr.split())


def test_help_lists_every_command_with_its_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--help") == 0
    told = capsys.readouterr().out
    for name, (_, _, summary) in COMMANDS.items():
        assert any(line.split(None, 1) == [name, summary] for line in told.splitlines()), name
    assert all(f"{title}:" in told for title in GROUPS)
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists_and_helps(name: str) -> None:
    module, function, _ = COMMANDS[name]
    found = getattr(importlib.import_module(f"oci_push.cli.{module}"), function)
    assert isinstance(found, typer.Typer) or found.__doc__


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


@pytest.mark.parametrize(
    ("typed", "offered"), [("oci-push val", "validate"), ("oci-push push --all-or", "--all-or-nothing")]
)
def test_completion_knows_commands_and_their_options(
    typed: str, offered: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_OCI_PUSH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert call(monkeypatch) == 0
    assert offered in capsys.readouterr().out.split()


def test_version_and_help_load_no_command_and_no_library() -> None:
    for word in ("--version", "--help"):
        found = loaded(word)
        ours = {name for name in found if name.startswith("oci_push")}
        assert ours == {"oci_push", "oci_push.cli", "oci_push.cli.app"}
        assert not found & {"typer", "typing", "httpx", "yaml"}


def test_the_version_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"oci-push {__version__}\n"


def test_a_push_loads_neither_pydantic_nor_what_only_pipelines_need() -> None:
    found = loaded("push", "oci:/nonexistent", "127.0.0.1:9/app:1")
    assert "oci_push.cli.push" in found
    assert not found & {"pydantic", "pydantic_core"}
    assert not {name for name in found if name.startswith(("oci_push.providers.google", "oci_push.providers.azure"))}
    assert not {name for name in found if name.startswith(("oci_push.providers.ecr.provider", "oci_push.sandbox"))}
