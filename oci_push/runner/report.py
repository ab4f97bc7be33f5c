"""Reports and plans: what commands print with ``--json`` and write with ``--report``, each form made in one place.

Sizes are in bytes, times in seconds. A form is an own structure where the published JSON differs from our values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from oci_push import forms
from oci_push.engine.artifacts.attachment import AttachedForm
from oci_push.engine.push import PushResult, ReplicaResult
from oci_push.engine.transfer import BlobResult
from oci_push.engine.unit import UnitResult
from oci_push.errors import exit_code
from oci_push.events import Event
from oci_push.forms import VERSION, ErrorForm, Version, derive
from oci_push.language.resolving import ResolveContext
from oci_push.language.steps import type_of
from oci_push.model.changes import Changed
from oci_push.model.digest import Digest
from oci_push.model.display import clean_json
from oci_push.model.outcomes import BlobOutcome, ReplicaOutcome, Status, TagOutcome
from oci_push.model.reference import Repository
from oci_push.runner.results import Annotation, HookResult, RunReport, StepResult
from oci_push.runner.simulate import PlannedStep, Simulation
from oci_push.runtime.costs import Cost
from oci_push.runtime.files import write_result
from oci_push.runtime.phases import seconds_of


class TagForm(Struct, frozen=True):
    """What became of one tag."""

    tag: str
    outcome: TagOutcome
    error: str | None


class BlobForm(Struct, frozen=True):
    """What became of one blob; `bytes_found` were there already from an upload that had broken off."""

    digest: Digest
    size: int
    outcome: BlobOutcome
    bytes_sent: int
    bytes_found: int
    mounted_from: str | None

    @classmethod
    def of(cls, blob: BlobResult) -> BlobForm:
        """Return a blob's result."""
        return derive(cls, blob, mounted_from=blob.mounted_from or None)


_SUMS = ("bytes_sent", "bytes_resent", "bytes_found")


class TargetForm(Struct, frozen=True):
    """What became of one repository; `counts` are of blobs by outcome, `attached` is there if anything was to be.

    `requests` are all over HTTP, `round_trip_s` is about what each takes at least (null by a proxy), `retries` are
    tries after a failure, `waited_s` the waits before them. `phases` are seconds: ``look``, ``blobs``, ``manifests``,
    ``tags`` and ``verify``, as far as each was reached.
    """

    repository: Repository
    digest: Digest
    media_type: str
    size: int
    tags: tuple[TagForm, ...]
    blobs: tuple[BlobForm, ...]
    counts: dict[str, int]
    bytes_sent: int
    bytes_resent: int
    bytes_found: int
    verified: bool
    repaired: tuple[Digest, ...]
    seconds: float
    error: ErrorForm | None
    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    phases: dict[str, float] = {}
    round_trip_s: float | None = None
    attached: tuple[AttachedForm, ...] | UnsetType = UNSET

    @classmethod
    def of(cls, result: PushResult) -> TargetForm:
        """Return one repository's result."""
        outcomes = [blob.outcome for blob in result.blobs]
        return derive(
            cls,
            result,
            digest=result.root,
            size=result.root_size,
            tags=tuple(derive(TagForm, tag, error=tag.error or None) for tag in result.tags),
            blobs=tuple(BlobForm.of(blob) for blob in result.blobs),
            counts={outcome.value: outcomes.count(outcome) for outcome in BlobOutcome},
            **{name: sum(getattr(blob, name) for blob in result.blobs) for name in _SUMS},
            seconds=round(result.seconds, 3),
            error=ErrorForm.or_none(result.error),
            attached=tuple(AttachedForm.of(one) for one in result.attached) or UNSET,
            requests=result.cost.requests,
            retries=result.cost.retries,
            waited_s=round(result.cost.waited_s, 3),
            phases=seconds_of(result.cost),
            round_trip_s=None if result.round_trip_s is None else round(result.round_trip_s, 4),
        )


class TotalsForm(Struct, frozen=True):
    """What all of it cost, every attempt of a step included.

    `targets` and `failed` count repositories, `counts` blobs by outcome. `bytes_sent` are those of uploads that failed,
    too. `phases` are seconds, of all repositories together, which are pushed to at once: ``source`` is opening, reading
    and compressing, ``replication`` waiting for regions.
    """

    targets: int
    failed: int
    counts: dict[str, int]
    requests: int
    retries: int
    waited_s: float
    bytes_sent: int
    bytes_resent: int
    bytes_found: int
    phases: dict[str, float]

    @classmethod
    def of(cls, results: Sequence[PushResult], cost: Cost) -> TotalsForm:
        """Return the sums over repositories; `cost` is that of everything."""
        blobs = [blob for result in results for blob in result.blobs]
        outcomes = [blob.outcome for blob in blobs]
        return derive(
            cls,
            cost,
            targets=len(results),
            failed=sum(result.error is not None for result in results),
            counts={outcome.value: outcomes.count(outcome) for outcome in BlobOutcome},
            waited_s=round(cost.waited_s, 3),
            bytes_resent=sum(blob.bytes_resent for blob in blobs),
            bytes_found=sum(blob.bytes_found for blob in blobs),
            phases=seconds_of(cost),
        )


class ReplicaForm(Struct, frozen=True):
    """What became of one copy in another region or account."""

    repository: Repository
    region: str
    account: str
    outcome: ReplicaOutcome
    seconds: float
    error: ErrorForm | None

    @classmethod
    def of(cls, result: ReplicaResult) -> ReplicaForm:
        """Return one place's result."""
        place, error = result.place, ErrorForm.or_none(result.error)
        seconds = round(result.seconds, 3)
        return derive(cls, result, region=place.region, account=place.account, seconds=seconds, error=error)


class PushReport(Struct, frozen=True):
    """What ``oci-push push`` did; `error` is of all repositories, `replicas` are there if waited for.

    `changed` is there where the image went out under another digest than it had.
    """

    version: Version
    source: str
    status: Literal["success", "failure"]
    exit_code: int
    targets: tuple[TargetForm, ...]
    replicas: tuple[ReplicaForm, ...] | UnsetType = UNSET
    error: ErrorForm | UnsetType = UNSET
    changed: Changed | UnsetType = UNSET
    seconds: float = 0.0
    totals: TotalsForm | UnsetType = UNSET

    @classmethod
    def of(cls, source: str, done: UnitResult) -> PushReport:
        """Return a push's report, with the exit code that follows from its results."""
        results, replicas, error = done.results, done.replicas, done.trouble
        code = exit_code([*(one.error for one in results), *(one.error for one in replicas)]) or exit_code([error])
        return cls(
            VERSION,
            source,
            "failure" if code else "success",
            code,
            tuple(TargetForm.of(one) for one in results),
            tuple(ReplicaForm.of(one) for one in replicas) or UNSET,
            ErrorForm.of(error) if error is not None else UNSET,
            done.changed or UNSET,
            round(done.seconds, 3),
            TotalsForm.of(results, done.cost),
        )


class ReplicationReport(Struct, frozen=True):
    """What ``oci-push ecr replicate`` found."""

    version: Version
    replicas: tuple[ReplicaForm, ...]


class StepForm(Struct, frozen=True):
    """What became of one step; `notes` are metadata and annotations, `waits_s` the times between attempts."""

    name: str
    type: str
    title: str
    stage: str
    group: int
    status: Status
    attempts: int
    waits_s: tuple[float, ...]
    reason: str | None
    seconds: float
    error: ErrorForm | None
    targets: tuple[TargetForm, ...]
    replicas: tuple[ReplicaForm, ...]
    hooks: tuple[HookResult, ...]
    notes: tuple[Annotation, ...]
    changed: Changed | UnsetType = UNSET
    totals: TotalsForm | UnsetType = UNSET

    @classmethod
    def of(cls, step: StepResult) -> StepForm:
        """Return a step's result."""
        return derive(
            cls,
            step,
            title=step.title or step.name,
            stage=step.stage or "default",
            reason=step.reason or None,
            seconds=round(step.seconds, 3),
            error=ErrorForm.or_none(step.error),
            targets=tuple(TargetForm.of(one) for one in step.pushed),
            replicas=tuple(ReplicaForm.of(one) for one in step.replicas),
            changed=step.changed or UNSET,
            totals=TotalsForm.of(step.pushed, step.cost) if step.attempts else UNSET,
        )


class PushCounts(Struct, frozen=True):
    """How many steps of a pipeline push, and how many of them ran."""

    total: int
    ran: int


class PipelineReport(Struct, frozen=True):
    """What ``oci-push run`` did."""

    version: Version
    build_status: Status
    exit_code: int
    seconds: float
    push_steps: PushCounts
    steps: tuple[StepForm, ...]
    hooks: tuple[HookResult, ...]
    notes: tuple[Annotation, ...]
    totals: TotalsForm | UnsetType = UNSET

    @classmethod
    def of(cls, report: RunReport) -> PipelineReport:
        """Return a run's report."""
        return derive(
            cls,
            report,
            version=VERSION,
            build_status=report.status,
            seconds=round(report.seconds, 3),
            push_steps=derive(PushCounts, report.pushes),
            steps=tuple(StepForm.of(one) for one in report.steps),
            totals=TotalsForm.of(
                [one for step in report.steps for one in step.pushed], sum((s.cost for s in report.steps), Cost())
            ),
        )


class PlannedStepForm(Struct, frozen=True):
    """What would become of a step; `source` is ``step:NAME``, a reference or a file, `image` where it is read from."""

    name: str
    type: str
    stage: str
    group: int
    decision: Literal["run", "skip"]
    reason: str | None
    source: str | None
    image: str | None
    registry: str | None
    pull_registry: str | None
    targets: tuple[str, ...]
    attempts: int
    waits_s: tuple[float, ...]
    timeout_s: float | None
    result: Status

    @classmethod
    def of(cls, planned: PlannedStep, resolve_context: ResolveContext) -> PlannedStepForm:
        """Return a step of a simulated run."""
        step, resolved = planned.step, planned.resolved
        return derive(
            cls,
            planned,
            name=step.name,
            type=type_of(step),
            stage=step.settings.stage or "default",
            decision="run" if planned.runs else "skip",
            reason=planned.reason or None,
            source=resolved.source.text if resolved else None,
            image=(resolved.source.source or None) if resolved else resolve_context.candidates.get(step.name),
            registry=resolved.registry if resolved else None,
            pull_registry=(resolved.source.registry or None) if resolved else None,
            targets=resolved.references() if resolved else (),
            timeout_s=step.settings.timeout_s,
        )


class PipelinePlan(Struct, frozen=True):
    """What ``oci-push plan`` shows; `events` are names of steps and hooks in the order in which they end."""

    version: Version
    steps: tuple[PlannedStepForm, ...]
    build_status: Status
    exit_code: int
    events: tuple[str, ...]

    @classmethod
    def of(cls, done: Simulation, resolve_context: ResolveContext) -> PipelinePlan:
        """Return a simulated run."""
        steps = tuple(PlannedStepForm.of(step, resolve_context) for step in done.steps)
        return cls(VERSION, steps, done.status, done.exit_code, tuple(done.events))


class EventForm(Struct, frozen=True):
    """One event on a line of its own; `time` is in seconds since 1970."""

    version: Version
    event: Event
    time: float | UnsetType = UNSET


def report_schema() -> dict[str, object]:
    """Return the JSON Schema of what ``--report`` writes, and of ``--json`` of push, run and ecr replicate."""
    return forms.schema("oci-push report", PushReport, PipelineReport, ReplicationReport)


def plan_schema() -> dict[str, object]:
    """Return the JSON Schema of ``oci-push plan --json``, ``push --plan --json`` and ``copy --plan --json``."""
    from oci_push.runner.copy_plan import CopyPlan  # a run makes none
    from oci_push.runner.image_plan import ImagePlan

    return forms.schema("oci-push plan", PipelinePlan, ImagePlan, CopyPlan)


def events_schema() -> dict[str, object]:
    """Return the JSON Schema of events."""
    return forms.schema("oci-push events", EventForm)


def write_report(path: Path, form: Struct) -> None:
    """Write a form's JSON, masked, in one move; raises `ConfigError`."""
    write_result(path, clean_json(forms.to_builtins(form)) + "\n", "the report")
