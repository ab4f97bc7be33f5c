"""Run `oci-push eval` inside this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from program import program


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
    """Run the command."""
    done = program("eval", *arguments, cwd=Path.cwd(), code=None)
    return Ran(done.returncode, done.stdout, done.stderr)
