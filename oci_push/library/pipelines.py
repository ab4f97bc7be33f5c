"""What a library user calls for a pipeline: `run_pipeline` and `plan_pipeline`.

They read what they are given by name and look for no oci-push.yaml: a program knows which one it means, and one that
lies about may be a stranger's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.engine.pusher import Options
from oci_push.errors import ConfigError, IncompleteError
from oci_push.events import Emit, LogMessage
from oci_push.language.config import load_config
from oci_push.language.integrations import Config
from oci_push.language.parse import read_pipeline
from oci_push.library.calls import OnEvent, call, check_texts, check_type, discreet_form, path_of, pusher_for
from oci_push.library.pipeline_inputs import Inputs, join_inputs, rehearsal_registry
from oci_push.library.variables import gather
from oci_push.model.outcomes import Status
from oci_push.runner.report import PipelinePlan, PipelineReport
from oci_push.runner.results import RunReport
from oci_push.runner.run import Runner
from oci_push.runner.settings import RunSettings
from oci_push.runner.simulate import simulate
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context
from oci_push.variables.lookup import VariableSource

_MOST_NOTED_BYTES = 1024 * 1024


def run_pipeline(
    pipeline: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    variables: Mapping[str, str] | None = None,
    candidates: Mapping[str, str] | None = None,
    assume: Mapping[str, str] | None = None,
    foreign_succeeds: bool = False,
    auto_push: bool = False,
    require_push: bool | None = None,
    allow_exec: bool = False,
    annotate_referrer: bool = False,
    rehearse: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> PipelineReport:
    """Run a pipeline's push steps, with their conditions, retries and limits, and return what became of each step.

    `pipeline` is the file; `config` is an ``oci-push.yaml`` that is trusted, and no other is read. `variables` are
    looked up first, then those of `config`, of the pipeline, of the environment, of CI and git. `candidates` are the
    images of build steps, each a source as `push` takes it. `assume` says what steps that are not run here came to:
    ``success`` or ``failure``; `foreign_succeeds` says success of all of them. `auto_push` also pushes the images of
    build steps, `require_push` fails a run in which nothing was pushed, `allow_exec` runs the shell commands of hooks,
    `annotate_referrer` attaches what is noted about an image to it. `rehearse` puts a registry inside this process in
    the place of all others: nothing is sent anywhere, and no login is needed.

    `on_event`, `cancel` and `timeout_s` mean what they mean to `push`; warnings about the files are events as well.

    Raises `OciPushError` unless the build succeeded: `ConfigError` for the files, before any registry is contacted;
    else `IncompleteError`, `Cancelled` or `DeadlineError`, whose `report` says what became of each step.
    """
    check_type("options", options, Options)
    settings = RunSettings(
        foreign_succeeds=foreign_succeeds,
        auto_push=auto_push,
        requires_push=require_push,
        allow_exec=allow_exec,
        annotate_referrer=annotate_referrer,
        read_file=_read_noted,
    )

    def work(context: Context, emit: Emit) -> PipelineReport:
        env = this_environment().env
        inputs = _read(pipeline, config, variables, candidates, assume, env, context.clock, emit, rehearse=rehearse)
        inputs.simulated_results.check_run(inputs.pipeline)
        with rehearsal_registry(rehearse) as address:
            asked = replace(options or Options(), rehearsal=address, is_lenient=True)
            with pusher_for(context, asked, emit) as pusher:
                runner = Runner(
                    pusher, inputs.resolve_context, replace(settings, results=inputs.simulated_results, env=env), emit
                )
                return _finished(runner.run(inputs.pipeline, context), context)

    return call(work, what="run", on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def plan_pipeline(
    pipeline: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    variables: Mapping[str, str] | None = None,
    candidates: Mapping[str, str] | None = None,
    assume: Mapping[str, str] | None = None,
    foreign_succeeds: bool = False,
    auto_push: bool = False,
    require_push: bool | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> PipelinePlan:
    """Return what `run_pipeline` would do with these arguments, in which order, and why; no registry is contacted.

    `assume` may say of every step what it comes to: ``failure,success`` is a result for each attempt.
    Raises `ConfigError` for the files, and for steps that cannot be resolved; its `report` is then the plan.
    """
    settings = RunSettings(foreign_succeeds=foreign_succeeds, auto_push=auto_push, requires_push=require_push)

    def work(context: Context, emit: Emit) -> PipelinePlan:
        env = this_environment().env
        inputs = _read(pipeline, config, variables, candidates, assume, env, context.clock, emit)
        done = simulate(inputs.pipeline, inputs.resolve_context, replace(settings, results=inputs.simulated_results))
        found = discreet_form(PipelinePlan.of(done, inputs.resolve_context))
        if done.problems:
            raise ConfigError(problems=tuple(dict.fromkeys(done.problems))).with_report(found)
        return found

    return call(work, what="plan", on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def _read(
    pipeline: str | os.PathLike[str],
    config: str | os.PathLike[str] | None,
    variables: Mapping[str, str] | None,
    candidates: Mapping[str, str] | None,
    assume: Mapping[str, str] | None,
    env: Mapping[str, str],
    clock: Clock,
    emit: Emit,
    *,
    rehearse: bool | None = None,
) -> Inputs:
    """Read and check it all; raises `ConfigError` with everything that is wrong. `rehearse` is ``None`` for a plan."""
    path = path_of(pipeline, "pipeline")
    for name, values in (("variables", variables), ("candidates", candidates), ("assume", assume)):
        check_texts(name, values)
    reading = read_pipeline(_bytes(path), path)
    by_hand = VariableSource("variables", variables or {}, is_literal=True, is_own=True)
    inputs = join_inputs(
        reading,
        lambda: _config(config, env),
        lambda described, parsed: gather([by_hand], described, env, clock, own=parsed.variables),
        candidates or {},
        [f"{step}={result}" for step, result in (assume or {}).items()],
        for_run=rehearse is not None,
        with_login=rehearse is False,
    )
    for problem in dict.fromkeys(inputs.warnings):
        emit(LogMessage(str(problem), "warning"))
    for one in inputs.stand_ins:
        emit(LogMessage(f"registry {one!r} is not described; something stands in for it"))
    return inputs


def _config(config: str | os.PathLike[str] | None, env: Mapping[str, str]) -> Config:
    if config is None:
        return Config()
    path = path_of(config, "config")
    found = load_config(_bytes(path), path, env, lambda file: file.read_text(encoding="utf-8"))
    found.learn_secrets()
    return found


def _finished(done: RunReport, context: Context) -> PipelineReport:
    """Return the report of a build that succeeded; raise why it did not, with the report."""
    report = discreet_form(PipelineReport.of(done))
    if not done.exit_code:
        return report
    if context.reason is not None:
        raise context.reason.with_report(report)
    failed = [step for step in done.steps if step.status is Status.FAILURE]
    errors = [step.error for step in failed if step.error is not None]
    if errors:
        names = ", ".join(step.name for step in failed if step.error is not None)
        raise IncompleteError.of(f"the build failed at {names}", errors).with_report(report)
    reasons = [f"step {step.name}: {step.reason}" for step in failed if step.reason]
    reasons += [f"{name}: {reason}" for name, reason in done.pushes.idle]
    why = f"the build failed: {'; '.join(reasons)}" if reasons else "the build failed"
    raise IncompleteError(why, hint=done.pushes.hint or None).with_report(report)


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror})", hint="check the file's name") from problem


def _read_noted(path: str) -> str | None:
    """Return the text of a file that an annotation names, or nothing."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_NOTED_BYTES)
    except (OSError, ValueError):
        return None
