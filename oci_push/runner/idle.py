"""Runs that push nothing: how many push steps ran, why the others did not, and when that fails the build.

A `when` that says no is the user's will. Steps that are not run here, and variables that nobody knows, are not.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable

from msgspec import Struct

from oci_push.language.steps import Step
from oci_push.model.outcomes import Status
from oci_push.runner.schedule import Entry


class Pushes(Struct, frozen=True):
    """Tell how many push steps there were and ran; `idle` are names and reasons of the others.

    `roots` are the steps behind those; `is_blocked` says that no step's own conditions kept it from running.
    """

    total: int = 0
    ran: int = 0
    idle: tuple[tuple[str, str], ...] = ()
    roots: tuple[str, ...] = ()
    is_blocked: bool = False

    def fails(self, *, required: bool | None) -> bool:
        """Say whether a run that pushed nothing failed by that; where nothing is said, unless somebody wanted it so."""
        if self.ran or required is False:
            return False
        return bool(required) or (self.total > 0 and self.is_blocked)

    @property
    def hint(self) -> str:
        """Say what would make the steps run, where that is known."""
        assumed = " ".join(f"--assume {shlex.quote(f'{name}=success')}" for name in self.roots)
        if assumed:
            return f"say what steps that are not run here came to: {assumed}, or --foreign success for all"
        if self.is_blocked and any("branch" in reason.lower() for _, reason in self.idle):
            return "say what the branch is: --var CF_BRANCH=NAME"
        return ""


def count_pushes(entries: Iterable[Entry], pushes: Callable[[Step], bool]) -> Pushes:
    """Count what ran among the steps that push."""
    found = [entry for entry in entries if pushes(entry.step)]
    idle = [entry for entry in found if entry.state == Status.SKIPPED]
    roots = dict.fromkeys(root for entry in idle for root in entry.roots)
    return Pushes(
        len(found),
        len(found) - len(idle),
        tuple((entry.name, entry.reason) for entry in idle),
        tuple(roots),
        bool(idle) and all(entry.is_blocked for entry in idle),
    )
