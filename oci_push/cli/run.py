"""`oci-push run`: a pipeline's push steps, for real or rehearsed against a registry inside the process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.on import OnOptions
from oci_push.cli.options import Common, Delivery
from oci_push.cli.output import issue, say_form, tell
from oci_push.cli.pipeline_inputs import (
    PipelineFile,
    PipelineOptions,
    read_inputs,
    tell_idle,
    tell_warnings,
)
from oci_push.cli.reporting import Follower, Reporting
from oci_push.cli.words import OUTPUT, SAFETY, Option
from oci_push.errors import ConfigError, OciPushError
from oci_push.language.resolving import raise_together
from oci_push.library.pipeline_inputs import Inputs, rehearsal_registry
from oci_push.model.outcomes import Status
from oci_push.runner.report import PipelineReport
from oci_push.runner.results import RunReport
from oci_push.runner.run import Runner
from oci_push.runner.settings import RunSettings
from oci_push.runner.simulate import simulate
from oci_push.runtime.context import Context
from oci_push.variables.exports import check_export_names, write_exports


@takes(PipelineOptions, Common, Delivery, Reporting, OnOptions)
def run(
    pipeline: PipelineFile,
    sandbox: Annotated[bool, Option("Push into a registry inside this process.", under=SAFETY)] = False,
    allow_exec: Annotated[bool, Option("Run the shell commands of hooks on this machine.", under=SAFETY)] = False,
    annotate_referrer: Annotated[
        bool, Option("Attach what is noted about a pushed image to it.", under=OUTPUT)
    ] = False,
    *,
    given: PipelineOptions,
    common: Common,
    delivery: Delivery,
    reporting: Reporting,
    where: OnOptions,
) -> None:
    """Run a pipeline: its push steps, in order or in parallel, with their conditions, retries, limits and hooks."""

    def work(context: Context) -> int:
        env = this_environment().env
        reporting.check_with(common, env)
        if where.on and sandbox:
            raise ConfigError(
                "--sandbox is a registry in this process, and --on pushes from others", hint="leave out one"
            )
        form = common.export_form(env)
        resolving = {**common.resolving(), **delivery.resolving()}
        inputs = read_inputs(pipeline, common, given, context.clock, for_run=True, with_login=not sandbox, **resolving)
        inputs.simulated_results.check_run(inputs.pipeline)
        if form:
            check_export_names(inputs.resolve_context.steps)
        tell_warnings(inputs.warnings)
        settings = given.settings(
            inputs.simulated_results,
            allow_exec=allow_exec,
            annotate_referrer=annotate_referrer,
            env=env,
            read_file=_read_text,
        )
        login_host, hosts = _check_effects(common, inputs, settings)
        is_quiet = common.quiet or delivery.as_json
        with (
            rehearsal_registry(sandbox) as address,
            reporting.following(context.clock, env, is_quiet=is_quiet) as follower,
            common.pusher(
                context, follower.emit, hosts=hosts, rehearsal=address, login_host=login_host, is_lenient=True
            ) as pusher,
            where.act(
                context,
                common,
                config=inputs.resolve_context.config,
                pipeline=None if str(pipeline) == "-" else pipeline,
                hosts=hosts,
                is_run=True,
            ) as act,
        ):
            done = Runner(pusher, inputs.resolve_context, settings, follower.emit, act).run(inputs.pipeline, context)
        try:
            _finish(str(pipeline), done, follower, common, reporting, env, as_json=delivery.as_json)
        finally:
            if common.export and form:
                write_exports(common.export, form, inputs.resolve_context.variables.exports())
        return done.exit_code

    run_command(work, what="run", timeout_s=common.timeout or None)


def _check_effects(common: Common, inputs: Inputs, settings: RunSettings) -> tuple[str, tuple[str, ...]]:
    """Refuse options for some registries where there are none such.

    Return the host that ``--username`` is for, and all of them, where an option wants to know.
    """
    if not (common.username or common.create_repository or common.header):
        return "", ()
    apart = replace(inputs.resolve_context, variables=inputs.resolve_context.variables.inside_hooks())
    planned = simulate(inputs.pipeline, apart, settings)
    raise_together(planned.problems)
    pushes = [step.resolved for step in planned.steps if step.resolved]
    endpoints = [target.endpoint for push in pushes for target in push.targets]
    if common.create_repository and not any(one.identity and one.identity.can_create for one in endpoints):
        raise ConfigError("--create-repository: no step pushes to ECR", hint="leave it out")
    without = (one.host for one in endpoints if not (one.credential or one.identity or one.is_alone))
    return common.login_host(tuple(dict.fromkeys(without))), tuple(dict.fromkeys(one.host for one in endpoints))


def _finish(
    pipeline: str,
    done: RunReport,
    follower: Follower,
    common: Common,
    reporting: Reporting,
    env: Mapping[str, str],
    *,
    as_json: bool,
) -> None:
    """Print and write what became of a run."""
    from oci_push.cli.results import rows_of_run, show_tags_of

    rows = rows_of_run(done.steps, follower.tally)
    if as_json:
        say_form(PipelineReport.of(done))
    else:
        for step in done.steps:
            show_tags_of(step.pushed, ())
    reporting.show_rows(rows, follower.tally, env, is_quiet=common.quiet or as_json)
    _show_failures(done)
    failed = [
        (step.name, step.error or OciPushError(step.reason))
        for step in done.steps
        if step.error is not None or (step.status is Status.FAILURE and step.type != "parallel")
    ]
    reporting.finish(
        common,
        env,
        title=f"{pipeline}: {done.status}",
        rows=rows,
        errors=failed,
        skipped=[(step.name, step.reason) for step in done.steps if step.status is Status.SKIPPED],
        form=lambda: PipelineReport.of(done),
    )


def _show_failures(done: RunReport) -> None:
    from oci_push.cli.results import show_tags

    for step in done.steps:
        if step.error is not None:
            show_error(step.error, before=f"step {step.name}: ")
            for result in step.pushed:
                if result.error is not None:
                    show_tags(result)
        elif step.status is Status.FAILURE and step.type != "parallel":
            issue("error", f"step {step.name}: {step.reason}")
    tell_idle(done.pushes)
    tell(f"Build finished: {done.status}")


def _read_text(path: str) -> str | None:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(1024 * 1024)
    except (OSError, ValueError):
        return None
