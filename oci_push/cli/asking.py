"""Asking before something is deleted: only where somebody can answer, and no longer than until a stop."""

from __future__ import annotations

import select
import sys

from oci_push.cli.output import prompt, tell
from oci_push.errors import ConfigError
from oci_push.runtime.context import Context


def check_answerable(command: str, *, is_needed: bool) -> None:
    """Refuse to begin where an answer `is_needed` and nobody can give one; raises `ConfigError`."""
    if is_needed and not (sys.stdin is not None and sys.stdin.isatty()):
        raise ConfigError(
            f"{command} asks before it deletes, and there is no terminal", hint="give --yes, or --dry-run"
        )


def is_agreed(context: Context, count: int) -> bool:
    """Ask whether so many things shall go; the end of input is no yes."""
    prompt(f"Delete {'this' if count == 1 else f'these {count}'}? [y/N]: ")
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        context.check()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        tell("")
    return answer.strip().lower() in ("y", "yes")
