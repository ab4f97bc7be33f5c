"""Run `oci-push eval` inside this process."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass

import typer
from typer.testing import CliRunner

from oci_push.cli.evaluate import evaluate_command


@dataclass(frozen=True, slots=True)
class Ran:
    """Hold what a call printed."""

    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> dict[str, object]:
        """Give what ``--json`` printed."""
        found = json.loads(self.stdout)
        assert list(found) == ["value", "result", "error", "hint", "expression", "position", "undefined"]
        return dict(found)


def run_eval(*arguments: str) -> Ran:
    """Run the command; the test runner gets its signal handlers back."""
    app = typer.Typer()
    app.command()(evaluate_command)
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        done = CliRunner().invoke(app, list(arguments))
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)
