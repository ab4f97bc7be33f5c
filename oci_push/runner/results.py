"""What became of a run: of each step, of hooks, and of the whole."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from oci_push.engine.plan import Target
from oci_push.engine.push import PushResult
from oci_push.engine.replicate import ReplicaResult
from oci_push.errors import OciPushError
from oci_push.model.outcomes import Status
from oci_push.runner.idle import Pushes

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
    the repositories of a push that went well were reached.
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
    targets: tuple[Target, ...] = ()


class RunReport(Struct, frozen=True):
    """What became of a pipeline; `exit_code` is 0, 1 for a failed build, or that of what stopped it."""

    steps: tuple[StepResult, ...]
    exit_code: int
    status: Status = Status.SUCCESS
    hooks: tuple[HookResult, ...] = ()
    notes: tuple[Annotation, ...] = ()
    seconds: float = 0.0
    pushes: Pushes = field(default_factory=Pushes)
