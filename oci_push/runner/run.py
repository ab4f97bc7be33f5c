"""A pipeline's run: resolve, push, retry, report; sequential steps and parallel groups.

Joins the pipeline with the engine, which do not know each other. A step's failure stops what follows unless its
effective ``fail_fast`` is false; children of a parallel step finish whatever becomes of their siblings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oci_push.engine.push import PushResult
from oci_push.errors import ConfigError, DeadlineError, OciPushError, Problem
from oci_push.events import Emit, Note, RetryScheduled, StepFinished, StepStarted
from oci_push.pipeline.resolve import Context, ResolvedPush, resolve_push
from oci_push.pipeline.steps import BuildStep, ForeignStep, ParallelStep, Pipeline, PushStep, Retry, Step
from oci_push.runner.pusher import Pusher
from oci_push.runner.report import error_to_json, push_to_json
from oci_push.runtime.scope import Scope
from oci_push.runtime.tasks import run_all

_MAX_WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class StepResult:
    """Tell what became of a step: ``success``, ``failure``, ``skipped`` or ``terminated``."""

    name: str
    status: str
    attempts: int = 0
    pushed: tuple[PushResult, ...] = ()
    error: OciPushError | None = None
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """Tell what became of a pipeline; `exit_code` is 0, or 1 for a failed build."""

    steps: tuple[StepResult, ...]
    exit_code: int

    @property
    def status(self) -> str:
        """Give the build status."""
        return "success" if self.exit_code == 0 else "failure"

    def to_json(self) -> dict[str, object]:
        """Give the report's one serial form."""
        return {
            "build_status": self.status,
            "exit_code": self.exit_code,
            "steps": [
                {
                    "name": step.name,
                    "status": step.status,
                    "attempts": step.attempts,
                    "reason": step.reason or None,
                    "seconds": round(step.seconds, 3),
                    "error": error_to_json(step.error),
                    "targets": [push_to_json(result) for result in step.pushed],
                }
                for step in self.steps
            ],
        }


class Runner:
    """Run pipelines with one pusher."""

    def __init__(self, pusher: Pusher, context: Context, emit: Emit) -> None:
        self._pusher = pusher
        self._context = context
        self._emit = emit

    def run(self, pipeline: Pipeline, scope: Scope) -> RunReport:
        """Run every step in order; a cancel still gives the report, with what was not reached."""
        self.check(pipeline)
        results: list[StepResult] = []
        failed = stopped = False
        for step in pipeline.steps:
            if stopped or scope.is_cancelled:
                reason = "cancelled" if scope.is_cancelled else "an earlier step failed"
                results.extend(StepResult(name, "skipped", reason=reason) for name in _names(step))
                continue
            done = self._step(step, scope)
            results.extend(done)
            fail_fast = pipeline.fail_fast if (own := _fail_fast(step)) is None else own
            if _has_failed(step, done, pipeline.fail_fast) and fail_fast:
                failed = stopped = True
        code = scope.reason.exit_code if scope.reason is not None else int(failed)
        return RunReport(tuple(results), code)

    def check(self, pipeline: Pipeline) -> None:
        """Resolve every step whose variables are known, so that mistakes show before anything is pushed."""
        problems: list[Problem] = []
        for step in _pushes(pipeline.steps):
            try:
                resolve_push(step, self._context)
            except ConfigError as error:
                if not any(_is_member(problem.message) for problem in error.problems):
                    problems.extend(error.problems)
        if problems:
            raise ConfigError(problems=problems)

    def _step(self, step: Step, scope: Scope) -> list[StepResult]:
        match step:
            case PushStep():
                return [self._push(step, scope)]
            case ParallelStep():
                outcomes = run_all(
                    scope,
                    [lambda s, child=child: self._step(child, s) for child in step.steps],  # type: ignore[misc]
                    limit=len(step.steps) or 1,
                )
                return [result for outcome in outcomes for result in outcome.get()]
            case BuildStep():
                self._emit(Note(f"Build step {step.name}: its image comes from --candidate or candidates:"))
                return [StepResult(step.name, "success", reason="read for its image name only")]
            case ForeignStep():
                reason = f"type {step.type} is not run by oci-push"
                self._emit(Note(f"{step.name}: skipped, {reason}", "warning"))
                return [StepResult(step.name, "skipped", reason=reason)]

    def _push(self, step: PushStep, scope: Scope) -> StepResult:
        clock = scope.clock
        started = clock.monotonic()
        attempt, pushed, error = 0, tuple[PushResult, ...](), None
        inner = scope.child(seconds=step.timeout_s, what=f"step {step.name}")
        try:
            resolved = resolve_push(step, self._context)
            while True:
                attempt += 1
                self._emit(
                    StepStarted(step.name, resolved.title, step.stage, attempt, step.retry.max_attempts, step.timeout_s)
                )
                pushed, error = self._attempt(resolved, inner)
                if error is None or not _may_retry(error, attempt, step.retry):
                    break
                wait = wait_s(step.retry, attempt)
                self._emit(RetryScheduled(f"step {step.name}", str(error), attempt, wait))
                inner.sleep(wait)
        except OciPushError as problem:
            error = problem
        if isinstance(error, DeadlineError) and step.timeout_s:
            error = DeadlineError(
                f"step {step.name}: time limit of {step.timeout_s:g} s exceeded "
                f"(ended after {clock.monotonic() - started:.1f} s)"
            )
        status = "success" if error is None else ("terminated" if error.exit_code > 128 else "failure")
        if error is None:
            self._export(step, resolved, pushed)
        seconds = clock.monotonic() - started
        self._emit(StepFinished(step.name, step.title, status, str(error) if error else "", seconds))
        return StepResult(step.name, status, attempt, pushed, error, seconds=seconds)

    def _attempt(self, resolved: ResolvedPush, scope: Scope) -> tuple[tuple[PushResult, ...], OciPushError | None]:
        try:
            target = self._pusher.target(resolved.repository, resolved.tags, resolved.access)
            with self._pusher.open(resolved.source, scope, given=resolved.source_access) as source:
                plan = self._pusher.plan(source, (target,), scope)
                results = self._pusher.execute(plan, source, scope)
        except OciPushError as error:
            return (), error
        return results, next((result.error for result in results if result.error is not None), None)

    def _export(self, step: PushStep, resolved: ResolvedPush, pushed: Sequence[PushResult]) -> None:
        digest = str(pushed[0].root) if pushed else ""
        members = {
            "registry": resolved.registry_name,
            "imageRepoDigest": f"{resolved.repository.familiar}@{digest}",
            "imageId": digest,
            "result": "success",
            "name": step.name,
            "type": "push",
        }
        self._context.variables.export(step.name, members)


def wait_s(retry: Retry, attempt: int) -> float:
    """Give the wait after the n-th failed attempt: ``delay`` to the power of ``factor``ⁿ, at most 300 s."""
    wait = retry.delay_s
    if retry.factor != 1:
        for _ in range(attempt):
            wait = min(wait**retry.factor, _MAX_WAIT_S)
    return min(wait, _MAX_WAIT_S)


def _may_retry(error: OciPushError, attempt: int, retry: Retry) -> bool:
    final = isinstance(error, ConfigError | DeadlineError) or error.exit_code > 128
    return not final and attempt < retry.max_attempts


def _has_failed(step: Step, results: Sequence[StepResult], root_fail_fast: bool) -> bool:
    failed = {result.name for result in results if result.status in ("failure", "terminated")}
    if isinstance(step, ParallelStep):
        counted = [c for c in step.steps if (root_fail_fast if _fail_fast(c) is None else _fail_fast(c))]
        return any(name in failed for child in counted for name in _names(child))
    return bool(failed)


def _fail_fast(step: Step) -> bool | None:
    return step.fail_fast if isinstance(step, PushStep | ParallelStep) else None


def _names(step: Step) -> list[str]:
    return [name for child in step.steps for name in _names(child)] if isinstance(step, ParallelStep) else [step.name]


def _pushes(steps: Sequence[Step]) -> list[PushStep]:
    found: list[PushStep] = []
    for step in steps:
        if isinstance(step, PushStep):
            found.append(step)
        elif isinstance(step, ParallelStep):
            found.extend(_pushes(step.steps))
    return found


def _is_member(message: str) -> bool:
    """Say whether a name is only unknown because its step has not run yet."""
    return "unresolved variable" in message and "." in message
