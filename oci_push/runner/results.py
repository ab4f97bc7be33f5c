"""What became of a run: of each step, of hooks, of the whole, and of runs that push nothing.

A `when` that says no is the user's will. Steps that are not run here, and variables that nobody knows, are not.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import TypeAlias

from msgspec import Struct, field

from oci_push.engine.plan import PushTarget
from oci_push.engine.push import PushResult, ReplicaResult
from oci_push.errors import OciPushError
from oci_push.language.steps import Step
from oci_push.model.changes import Changed
from oci_push.model.outcomes import Status
from oci_push.runner.schedule import Entry
from oci_push.runtime.costs import Cost

Plain: TypeAlias = str | int | float | bool | None


class Annotation(Struct, frozen=True):
    """One key noted, or removed, of an entity: an image, a build, a pipeline, a project.

    `display` marks the annotation that the vendor's page would show.
    """

    entity_type: str
    entity_id: str
    key: str
    value: Plain = None
    event: str = ""
    is_display: bool = field(default=False, name="display")
    is_removal: bool = field(default=False, name="removed")


class HookResult(Struct, frozen=True):
    """What became of one hook."""

    event: str
    status: Status
    reason: str | None = None


class StepResult(Struct, frozen=True):
    """What became of a step.

    `aborts` says that its hook on_elected failed, which ends the pipeline whatever `fail_fast` says. `targets` are how
    the repositories of a push that went well were reached. `changed` is there where its image went out under another
    digest than it had. `cost` is that of all attempts.
    """

    name: str
    status: Status
    type: str = ""
    stage: str = ""
    title: str = ""
    group: int = 0
    attempts: int = 0
    waits_s: tuple[float, ...] = ()
    pushed: tuple[PushResult, ...] = ()
    replicas: tuple[ReplicaResult, ...] = ()
    error: OciPushError | None = None
    reason: str = ""
    seconds: float = 0.0
    hooks: tuple[HookResult, ...] = ()
    notes: tuple[Annotation, ...] = ()
    aborts: bool = False
    targets: tuple[PushTarget, ...] = ()
    changed: Changed | None = None
    cost: Cost = field(default_factory=Cost)


class Pushes(Struct, frozen=True):
    """How many push steps there were and ran; `idle` are names and reasons of the others.

    `roots` are the steps behind those; `is_blocked` says that no step's own conditions kept it from running.
    """

    total: int = 0
    ran: int = 0
    idle: tuple[tuple[str, str], ...] = ()
    roots: tuple[str, ...] = ()
    is_blocked: bool = False

    def fails(self, *, required: bool | None) -> bool:
        """Return whether a run failed by pushing nothing: as `required` says, or where nobody wanted it so."""
        if self.ran or required is False:
            return False
        return bool(required) or (self.total > 0 and self.is_blocked)

    @property
    def hint(self) -> str:
        """Return what would make the steps run, where that is known."""
        assumed = " ".join(f"--assume {shlex.quote(f'{name}=success')}" for name in self.roots)
        if assumed:
            return f"say what steps that are not run here came to: {assumed}, or --foreign success for all"
        if self.is_blocked and any("branch" in reason.lower() for _, reason in self.idle):
            return "say what the branch is: --var CF_BRANCH=NAME"
        return ""


class RunReport(Struct, frozen=True):
    """What became of a pipeline; `exit_code` is 0, 1 for a failed build, or that of what stopped it."""

    steps: tuple[StepResult, ...]
    exit_code: int
    status: Status = Status.SUCCESS
    hooks: tuple[HookResult, ...] = ()
    notes: tuple[Annotation, ...] = ()
    seconds: float = 0.0
    pushes: Pushes = field(default_factory=Pushes)


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
