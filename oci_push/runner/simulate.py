"""Simulating a run: the schedule driven by assumed results, with every target resolved and no registry contacted."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.resolve import ResolvedPush, resolve_build, resolve_push
from oci_push.language.resolving import ResolveContext
from oci_push.language.steps import MAX_WAIT_S, BuildStep, Hook, Pipeline, PushStep, Step, UnsupportedStep, wait_s
from oci_push.model.outcomes import Status
from oci_push.runner.conditions import VariablesEvaluator
from oci_push.runner.given_images import count_given
from oci_push.runner.outputs import planned_outputs
from oci_push.runner.results import Pushes, count_pushes
from oci_push.runner.schedule import Entry, Rules, Schedule
from oci_push.runner.simulated_results import AssumedResult, SimulatedResults


class PlannedStep(Struct):
    """What would become of one step; `waits_s` are those between attempts, in seconds.

    `problem` is what keeps its target from being resolved; `is_kept_back` says that its hook on_elected failed.
    """

    step: Step
    group: int = 0
    result: Status = Status.PENDING
    reason: str = ""
    resolved: ResolvedPush | None = None
    attempts: int = 0
    waits_s: tuple[float, ...] = ()
    problem: str = ""
    is_kept_back: bool = False

    @property
    def runs(self) -> bool:
        """Return whether its work would be begun."""
        return self.result != Status.SKIPPED and not self.is_kept_back


class Simulation(Struct):
    """A simulated run: steps in file order, `events` in time order (hooks as ``STEP.EVENT``)."""

    steps: list[PlannedStep] = field(default_factory=list)
    status: Status = Status.SUCCESS
    problems: list[Diagnostic] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    pushes: Pushes = field(default_factory=Pushes)

    @property
    def exit_code(self) -> int:
        """Return what the run would exit with."""
        return 2 if self.problems else int(self.status != Status.SUCCESS)


class Assumed(Struct, frozen=True):
    """What is assumed of a run: results, whether steps of other types count as successful, pushes of builds.

    `requires_push` fails a run in which no push step ran, or lets it pass; where nothing is said it fails, unless a
    step's own conditions wanted it so. With `checks_all` steps that only wait for another result of a step are resolved
    too, so that mistakes show early.
    """

    results: SimulatedResults = field(default_factory=lambda: SimulatedResults({}))
    foreign_succeeds: bool = False
    auto_push: bool = False
    max_wait_s: float = MAX_WAIT_S
    checks_all: bool = False
    requires_push: bool | None = None

    def of_foreign(self, step: UnsupportedStep) -> tuple[Status, str]:
        """Return the result of a step of another type, which is not run here, and the reason for it."""
        reason = f"type {step.type} is not run by oci-push"
        if step.is_done and not self.results.is_given(step):
            return Status.SUCCESS, "the image of its build stands for it"
        if not (self.results.is_given(step) or self.foreign_succeeds):
            return Status.SKIPPED, reason
        return self.results.of(step.name).status, f"assumed; {reason}"

    def pushes(self, step: Step, evaluator: VariablesEvaluator) -> bool:
        """Return whether a step pushes an image, which a build step does where that was asked for."""
        if isinstance(step, BuildStep):
            return self.auto_push and evaluator.flag(step.disable_push) is not True
        return isinstance(step, PushStep)


def step_variables(step: Step, attempt: int = 1) -> dict[str, str]:
    """Return the variables that a step has for itself."""
    return {
        "CF_STEP_NAME": step.name,
        "CF_CURRENT_ATTEMPT": str(attempt),
        "CF_MAX_ATTEMPTS": str(step.settings.retry.max_attempts),
    }


def simulate(pipeline: Pipeline, resolve_context: ResolveContext, assumed: Assumed) -> Simulation:
    """Go through a run; what cannot be resolved is among the problems."""
    return _Simulator(pipeline, replace(resolve_context, is_plan=True), assumed).run()


def settled(pipeline: Pipeline, resolve_context: ResolveContext, assumed: Assumed) -> Pipeline:
    """Return the pipeline with what the images of its builds say; in a plan each is taken to be there."""
    given = resolve_context.candidates if resolve_context.wants_images else pipeline.builds()
    return count_given(pipeline, given, assumed.results.results)


class _Simulator:
    def __init__(self, pipeline: Pipeline, resolve_context: ResolveContext, assumed: Assumed) -> None:
        self._pipeline = pipeline = settled(pipeline, resolve_context, assumed)
        self._names: dict[str, str] = {}
        self._context = replace(resolve_context, image_names=self._names)
        self._assumed = assumed
        self._evaluator = VariablesEvaluator(resolve_context.variables)
        self._schedule = Schedule(pipeline.steps, Rules.of(pipeline), self._evaluator)
        self._done = Simulation()
        self._planned: dict[str, PlannedStep] = {}

    def run(self) -> Simulation:
        if not self._hook("", self._pipeline.hook("on_elected"), "on_elected"):
            self._schedule.abort("the pipeline's hook on_elected ended with failure")
        while running := self._schedule.ready():
            self._end(running)
        self._done.pushes = count_pushes(
            self._schedule.entries(), lambda step: self._assumed.pushes(step, self._evaluator)
        )
        has_failed = self._done.pushes.fails(required=self._assumed.requires_push)
        self._done.status = Status.FAILURE if has_failed else self._schedule.status()
        event = "on_success" if self._done.status == Status.SUCCESS else "on_fail"
        for name in (event, "on_finish"):
            self._hook("", self._pipeline.hook(name), name)
        for entry in self._schedule.entries():
            planned = self._planned.setdefault(entry.name, PlannedStep(entry.step))
            planned.group, planned.result, planned.reason = entry.group, entry.state, entry.reason
            if planned.problem:
                planned.result, planned.reason = Status.FAILURE, planned.problem
        if self._assumed.checks_all:
            self._resolve_waiting()
        if self._done.problems:
            self._done.status = Status.FAILURE
        self._done.steps = [self._planned[entry.name] for entry in self._schedule.entries()]
        return self._done

    def _end(self, running: list[Entry]) -> None:
        """End all that runs; failures first, for they may end the others."""
        results = [(entry, *self._result(entry)) for entry in running]
        ended: frozenset[str] = frozenset()
        for entry, result, reason in sorted(results, key=lambda one: one[1] == Status.SUCCESS):
            if entry.name in ended and not self._assumed.results.is_given(entry.step):
                result, reason = Status.TERMINATED, "another step failed"
            planned = self._planned.get(entry.name)
            resolved = planned.resolved if planned else None
            self._context.variables.export(
                entry.name, planned_outputs(entry.step, result, self._context.variables, resolved)
            )
            self._schedule.finish(entry.name, result, reason)
            ended = ended or frozenset(self._schedule.to_cancel())

    def _result(self, entry: Entry) -> tuple[Status, str]:
        step = entry.step
        planned = self._planned[entry.name] = PlannedStep(step)
        if isinstance(step, UnsupportedStep):
            return self._assumed.of_foreign(step)
        hooks = step.settings
        if not self._hook(step.name, hooks.hook("on_elected"), "on_elected"):
            self._schedule.abort(f"hook on_elected of step {step.name!r} ended with failure")
            planned.is_kept_back = True
            return Status.FAILURE, "hook on_elected ended with failure"
        planned.resolved, planned.problem = self._resolve(step)
        if planned.resolved:
            self._names[step.name] = planned.resolved.image_name
        result, reason = self._attempts(step, planned)
        self._done.events.append(step.name)
        for event in ("on_success" if result == Status.SUCCESS else "on_fail", "on_finish"):
            self._hook(step.name, hooks.hook(event), event)
        return result, reason

    def _attempts(self, step: Step, planned: PlannedStep) -> tuple[Status, str]:
        retry = step.settings.retry
        waits: list[float] = []
        while True:
            attempt = len(waits) + 1
            result = self._assumed.results.of(step.name, attempt)
            if result is not AssumedResult.FAILURE or attempt >= retry.max_attempts:
                break
            waits.append(wait_s(retry, attempt, self._assumed.max_wait_s))
        planned.attempts, planned.waits_s = attempt, tuple(waits)
        reasons = {AssumedResult.TIMEOUT: "its time limit is exceeded", AssumedResult.SUCCESS: ""}
        return result.status, reasons.get(result, "assumed")

    def _resolve(self, step: Step) -> tuple[ResolvedPush | None, str]:
        resolve_context = replace(self._context, variables=self._context.variables.overlay(step_variables(step)))
        try:
            if isinstance(step, PushStep):
                return resolve_push(step, resolve_context), ""
            if isinstance(step, BuildStep) and self._assumed.pushes(step, self._evaluator):
                return resolve_build(step, resolve_context), ""
        except ConfigError as problem:
            self._done.problems.extend(problem.problems)
            return None, problem.problems[0].message
        return None, ""

    def _resolve_waiting(self) -> None:
        """Resolve what was skipped only because a step it waits for came to something else."""
        for entry in self._schedule.entries():
            when = entry.step.settings.when
            if entry.state == Status.SKIPPED and when.dependencies is not None and not entry.children:
                alone = replace(when, dependencies=None)
                if self._evaluator.allows(alone, self._schedule.states, self._schedule.workflow(entry)).runs:
                    self._resolve(entry.step)

    def _hook(self, owner: str, hook: Hook | None, event: str) -> bool:
        """Note a hook; return whether it lets go on."""
        if hook is None or not (hook.commands or hook.steps or hook.notes != type(hook.notes)()):
            return True
        self._done.events.append(f"{owner}.{event}" if owner else event)
        if self._assumed.results.of_hook(owner, event) is AssumedResult.SUCCESS:
            return True
        return bool(hook.steps) and all(self._is_let_pass(step, hook) for step in hook.steps)

    def _is_let_pass(self, step: Step, hook: Hook) -> bool:
        own = self._evaluator.flag(step.settings.fail_fast)
        return (own if own is not None else self._evaluator.flag(hook.fail_fast)) is False
