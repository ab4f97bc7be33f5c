"""A pipeline's run: the schedule driven by real steps, from the hooks before it to the report."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import Act, perform
from oci_push.errors import Cancelled
from oci_push.events import Emit, StepFinished, discreet
from oci_push.language.resolve import title_of
from oci_push.language.resolving import Pushed, ResolveContext, raise_together
from oci_push.language.steps import Pipeline, Text, type_of
from oci_push.model.outcomes import Status
from oci_push.runner.conditions import VariablesEvaluator
from oci_push.runner.hooks import ELECTED, HookRunner
from oci_push.runner.results import RunReport, StepResult, count_pushes
from oci_push.runner.schedule import Entry, Rules, Schedule
from oci_push.runner.settings import MAX_STEPS_AT_ONCE, RunSettings
from oci_push.runner.simulate import settled, simulate
from oci_push.runner.steps import PipelineState, StepRunner
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import TaskGroup
from oci_push.variables.lookup import names_in


class Runner:
    """Run pipelines with one pusher; `act` does each push, here or elsewhere."""

    def __init__(
        self,
        pusher: Pusher,
        resolve_context: ResolveContext,
        settings: RunSettings,
        emit: Emit,
        act: Act = perform,
    ) -> None:
        self._pusher = pusher
        self._pushed: dict[str, Pushed] = {}
        self._context = replace(resolve_context, pushed=self._pushed)
        self._settings = settings
        self._emit = discreet(emit)
        self._act = act

    def check(self, pipeline: Pipeline) -> None:
        """Resolve every step that may run, so that mistakes show before anything is contacted; raises `ConfigError`.

        Left out is what a condition skips, as far as that can be known.
        """
        apart = replace(self._context, variables=self._context.variables.inside_hooks())
        assumed = replace(self._settings, checks_all=True)
        raise_together(simulate(pipeline, apart, assumed).problems)

    def run(self, pipeline: Pipeline, context: Context) -> RunReport:
        """Run every step; a cancel still gives the report, with what was not reached. Raises `ConfigError`."""
        self.check(pipeline)
        assumed = self._settings
        pipeline = settled(pipeline, self._context, assumed)
        started = context.clock.monotonic()
        evaluator = VariablesEvaluator(self._context.variables)
        schedule = Schedule(pipeline.steps, Rules.of(pipeline), evaluator)
        hooks = HookRunner(
            "pipeline", self._context, self._settings, self._emit, schedule.states, "running", self._run_hook_steps
        )
        told, notes = hooks.run(pipeline.hook(ELECTED), context)
        done = [told] if told else []
        if told is not None and told.status != Status.SUCCESS:
            schedule.abort(f"the pipeline's hook on_elected ended with {told.status}")
        steps = self._step_runner(self._context, needs_ids=_needed_ids(pipeline))
        results = self._drive(schedule, steps, context)
        pushes = count_pushes(schedule.entries(), lambda step: assumed.pushes(step, evaluator))
        has_failed = pushes.fails(required=assumed.requires_push)
        status = Status.FAILURE if has_failed else schedule.status()
        found = list(notes)
        hooks = replace(hooks, workflow=schedule.workflow())
        for event in ("on_success" if status == Status.SUCCESS else "on_fail", "on_finish"):
            told, written = hooks.run(pipeline.hook(event), context) if not context.is_cancelled else (None, ())
            done += [told] if told else []
            found += written
        context.expire()  # a step's own scope may have noticed first that the time is over
        code = context.reason.exit_code if context.reason is not None else int(status != Status.SUCCESS)
        rows = tuple(_row(entry, results, self._context) for entry in schedule.entries())
        return RunReport(rows, code, status, tuple(done), tuple(found), context.clock.monotonic() - started, pushes)

    def _drive(self, schedule: Schedule, steps: StepRunner, context: Context) -> dict[str, StepResult]:
        """Start what is ready and take in what ends, until nothing is left."""
        tasks: TaskGroup[StepResult] = TaskGroup(context, limit=MAX_STEPS_AT_ONCE)
        results: dict[str, StepResult] = {}
        while True:
            started = schedule.ready()
            self._tell_skipped(schedule)
            is_beside = len(started) > 1 or not tasks.is_idle
            for entry in started:
                state = PipelineState(dict(schedule.states), schedule.workflow(entry), entry.group, is_beside)
                tasks.start(entry.name, lambda s, e=entry, m=state: steps.run(e.step, m, s))  # type: ignore[misc]
            for name in schedule.to_cancel():
                tasks.cancel(name, Cancelled("another step failed"))
            if tasks.is_idle:
                break
            name, outcome = tasks.wait()
            result = outcome.get()
            results[name] = result
            schedule.finish(name, result.status, str(result.error) if result.error else result.reason)
            if result.aborts:
                schedule.abort(f"hook on_elected of step {name!r} failed")
            if context.is_cancelled:
                schedule.stop("cancelled")
        return results

    def _run_hook_steps(self, schedule: Schedule, resolve_context: ResolveContext, context: Context) -> Status:
        self._drive(schedule, self._step_runner(resolve_context, in_hook=True), context)
        return schedule.status()

    def _step_runner(
        self, resolve_context: ResolveContext, *, needs_ids: frozenset[str] = frozenset(), in_hook: bool = False
    ) -> StepRunner:
        return StepRunner(
            self._pusher,
            resolve_context,
            self._settings,
            self._emit,
            self._run_hook_steps,
            self._pushed,
            needs_ids,
            in_hook,
            self._act,
        )

    def _tell_skipped(self, schedule: Schedule) -> None:
        for entry in schedule.take_skipped():
            title = title_of(entry.name, entry.step.settings, self._context)
            self._emit(StepFinished(entry.name, title, Status.SKIPPED, entry.reason, step_type=type_of(entry.step)))


def _row(entry: Entry, results: dict[str, StepResult], resolve_context: ResolveContext) -> StepResult:
    known = results.get(entry.name)
    if known is not None:
        return known
    state = Status.TERMINATED if entry.state in (Status.PENDING, Status.RUNNING) else entry.state
    settings = entry.step.settings
    title = title_of(entry.name, settings, resolve_context)
    return StepResult(entry.name, state, type_of(entry.step), settings.stage, title, entry.group, reason=entry.reason)


def _needed_ids(pipeline: Pipeline) -> frozenset[str]:
    """Name the build steps whose ``imageId`` is asked for somewhere in the pipeline."""
    builds = pipeline.builds()
    if not builds:
        return frozenset()
    named = {name.removeprefix("steps.") for text in _texts(pipeline) for name in names_in(text.text)}
    return frozenset(name for name in builds if f"{name}.imageId" in named)


def _texts(value: object) -> Iterator[Text]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _texts(getattr(value, name))
