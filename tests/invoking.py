"""Run one of the program's commands inside this process, in a folder, with an environment of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import typer
from typer.testing import CliRunner
from validating import own_signals

from oci_push.cli.app import command_of


@dataclass(frozen=True, slots=True)
class Invoked:
    """Hold what a call came to."""

    exit_code: int
    output: str
    errors: str


def invoke(folder: Path, name: str, *arguments: str, code: int | None = 0, stdin: str = "", **env: str) -> Invoked:
    """Run a command by its name, expecting an exit code, or with ``None`` any; the home holds nothing."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command_of(name))
    around = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "LC_ALL": "C.UTF-8", **env}
    with own_signals(), contextlib.chdir(folder), _surroundings(around):
        done = CliRunner().invoke(app, list(arguments), input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert code in (None, done.exit_code), done.stderr
    return Invoked(done.exit_code, done.stdout, done.stderr)


@contextmanager
def _surroundings(env: Mapping[str, str]) -> Iterator[None]:
    with mock.patch.dict(os.environ, env, clear=True):
        yield
