"""One step's life: hook on_elected, the work, then on_success or on_fail, then on_finish."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import Act, perform
from oci_push.errors import OciPushError
from oci_push.events import Emit, Event, LogMessage, StepFinished, Within
from oci_push.language.resolve import title_of
from oci_push.language.resolve_source import build_source
from oci_push.language.resolving import Pushed, ResolveContext
from oci_push.language.steps import BuildStep, PushStep, Step, Text, UnsupportedStep, type_of
from oci_push.model.outcomes import Status
from oci_push.runner.attempts import PushAttempts, exported, pushed_image, read_image_id
from oci_push.runner.conditions import VariablesEvaluator
from oci_push.runner.hooks import ELECTED, HookRunner, RunSteps, Shell, run_foreign
from oci_push.runner.outputs import step_outputs
from oci_push.runner.results import Annotation, StepResult
from oci_push.runner.settings import RunSettings
from oci_push.runner.simulate import step_variables
from oci_push.runtime.context import Context


class PipelineState(Struct, frozen=True):
    """What a step sees of the pipeline when it starts; `is_beside` says that others run at the same time."""

    states: Mapping[str, str]
    workflow: str
    group: int = 0
    is_beside: bool = False


class StepRunner(Struct, frozen=True):
    """Run single steps with one pusher; `pushed` collects what push steps have pushed.

    `needs_ids` are the build steps whose image's id is asked for somewhere. `in_hook` says that the steps are a hook's.
    `act` does each push.
    """

    pusher: Pusher
    resolve_context: ResolveContext
    settings: RunSettings
    emit: Emit
    run_steps: RunSteps
    pushed: MutableMapping[str, Pushed]
    needs_ids: frozenset[str] = frozenset()
    in_hook: bool = False
    act: Act = perform

    def run(self, step: Step, state: PipelineState, context: Context) -> StepResult:
        """Run a step to its end; raises nothing for what goes wrong with it."""
        clock = context.clock
        started = clock.monotonic()
        emit = self._speaking(step, state)
        title = title_of(step.name, step.settings, self.resolve_context)
        result = self._life(step, state, context, emit, title)
        result = replace(
            result,
            type=type_of(step),
            stage=step.settings.stage,
            title=title,
            group=state.group,
            seconds=clock.monotonic() - started,
        )
        said = str(result.error) if result.error else result.reason
        emit(StepFinished(step.name, title, result.status, said, result.seconds, result.type))
        return result

    def _life(self, step: Step, state: PipelineState, context: Context, emit: Emit, title: str) -> StepResult:
        variables = self.resolve_context.variables.overlay(step_variables(step))
        resolve_context = replace(self.resolve_context, variables=variables)
        if isinstance(step, UnsupportedStep) and not self.in_hook:
            return self._foreign(step)
        hooks = HookRunner(
            step.name, resolve_context, self.settings, emit, state.states, state.workflow, self.run_steps
        )
        first, notes = hooks.run(step.settings.hook(ELECTED), context)
        if first is not None and first.status != Status.SUCCESS:
            reason = f"hook on_elected ended with {first.status}: {first.reason}"
            return StepResult(step.name, Status.FAILURE, reason=reason, hooks=(first,), notes=notes, aborts=True)
        result = self._work(step, resolve_context, context, emit, title)
        outputs = {**step_outputs(step, result.status, variables), **self._own_outputs(step, result)}
        self.resolve_context.variables.export(step.name, outputs)
        hooks = replace(hooks, states={**state.states, step.name: result.status}, image=outputs.get("imageId", ""))
        done = [first] if first else []
        found = list(notes)
        for event in ("on_success" if result.status == Status.SUCCESS else "on_fail", "on_finish"):
            if context.is_cancelled:
                break
            told, written = hooks.run(step.settings.hook(event), context)
            done += [told] if told else []
            found += written
        self._attach(result, found, context, emit)
        return replace(result, hooks=tuple(done), notes=tuple(found))

    def _work(
        self, step: Step, resolve_context: ResolveContext, context: Context, emit: Emit, title: str
    ) -> StepResult:
        if isinstance(step, UnsupportedStep):
            status, reason = run_foreign(step, Shell(resolve_context.variables, self.settings, emit), context)
            return StepResult(step.name, status, reason=reason)
        evaluator = VariablesEvaluator(resolve_context.variables)
        if isinstance(step, BuildStep) and not self.settings.pushes(step, evaluator):
            return self._build(step, resolve_context, context, emit)
        if not isinstance(step, PushStep | BuildStep):
            return StepResult(step.name, Status.SKIPPED)
        attempts = PushAttempts(self.pusher, step, resolve_context, emit, self.settings.max_wait_s, self.act)
        done = attempts.run(context, title, step.settings.stage)
        status = (
            Status.SUCCESS
            if done.error is None
            else Status.TERMINATED
            if done.error.exit_code > 128
            else Status.FAILURE
        )
        image = pushed_image(done) if status == Status.SUCCESS else None
        if image is not None:
            self.pushed[step.name] = image
        if status == Status.SUCCESS:
            self.resolve_context.variables.export(step.name, exported(done))
        return StepResult(
            step.name,
            status,
            attempts=done.attempts,
            waits_s=done.waits_s,
            pushed=done.last.results,
            replicas=done.last.replicas,
            changed=done.last.changed,
            error=done.error,
            targets=done.targets,
            cost=done.cost,
        )

    def _build(self, step: BuildStep, resolve_context: ResolveContext, context: Context, emit: Emit) -> StepResult:
        """Read a build step's image as far as somebody asks for it."""
        given = step.name in resolve_context.candidates
        reason = "its image is the one given for it" if given else "read for its names only; no image was given for it"
        if step.name in self.needs_ids and given:
            try:
                source = build_source(step, Text(f"${{{{{step.name}}}}}", step.location), resolve_context)
                image_id = read_image_id(self.pusher.speaking(emit), source, context)
            except OciPushError as problem:
                return StepResult(step.name, Status.FAILURE, error=problem)
            self.resolve_context.variables.export(step.name, {"imageId": image_id})
        return StepResult(step.name, Status.SUCCESS, reason=reason)

    def _foreign(self, step: UnsupportedStep) -> StepResult:
        status, reason = self.settings.of_foreign(step)
        outputs = step_outputs(step, status, self.resolve_context.variables)
        self.resolve_context.variables.export(step.name, outputs)
        return StepResult(step.name, status, reason=reason)

    def _own_outputs(self, step: Step, result: StepResult) -> Mapping[str, str]:
        return self.resolve_context.variables.exports().get(step.name, {}) if result.status == Status.SUCCESS else {}

    def _attach(self, result: StepResult, notes: list[Annotation], context: Context, emit: Emit) -> None:
        """Attach what was noted about the image to it, as a referrer; a registry that refuses is only told about."""
        if not self.settings.annotate_referrer or result.status != Status.SUCCESS or not result.pushed:
            return
        from oci_push.engine.artifacts.push import attach_notes

        values = {note.key: _shown(note) for note in notes if note.entity_type == "image" and not note.is_removal}
        if not values:
            return
        targets = {target.repository: target for target in result.targets}
        for pushed in result.pushed:
            try:
                done = attach_notes(self.pusher, pushed, targets[pushed.repository], values, context)
                emit(LogMessage(f"Annotations attached to {pushed.repository} as {done.root}"))
            except OciPushError as problem:
                emit(LogMessage(f"annotations could not be attached to {pushed.repository}: {problem}", "warning"))

    def _speaking(self, step: Step, state: PipelineState) -> Emit:
        if not state.is_beside:
            return self.emit

        def emit(event: Event) -> None:
            self.emit(Within(step.name, event))

        return emit


def _shown(note: Annotation) -> str:
    value = note.value
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
