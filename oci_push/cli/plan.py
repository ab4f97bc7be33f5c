"""`oci-push plan`: what a pipeline would do, without contacting a registry."""

from __future__ import annotations

from typing import Annotated

import typer

from oci_push.cli import options
from oci_push.cli.failures import run_command, show_error
from oci_push.cli.output import say, say_form
from oci_push.cli.pipeline_inputs import (
    Assume,
    AutoPush,
    Candidates,
    Foreign,
    MaxWait,
    PipelineFile,
    Regions,
    RequirePush,
    check_foreign,
    read_inputs,
    tell_idle,
    tell_warnings,
)
from oci_push.cli.variables import VariableFiles, VariableOption
from oci_push.errors import ConfigError
from oci_push.language.retries import MAX_WAIT_S
from oci_push.language.steps import type_of
from oci_push.runner.report import PipelinePlan
from oci_push.runner.simulate import Assumed, Simulation, simulate
from oci_push.runtime.context import Context


def plan(
    pipeline: PipelineFile,
    config: options.ConfigFile = None,
    allow_env: options.AllowEnv = None,
    candidate: Candidates = None,
    var: VariableOption = None,
    var_file: VariableFiles = None,
    assume: Assume = None,
    foreign: Foreign = "skip",
    auto_push: AutoPush = False,
    require_push: RequirePush = None,
    regions: Regions = None,
    max_retry_wait: MaxWait = MAX_WAIT_S,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Show what a pipeline would do: order, skips and why, targets, attempts. No registry is contacted."""

    def work(context: Context) -> int:
        inputs = read_inputs(
            pipeline,
            config,
            allow_env,
            candidate,
            var,
            var_file,
            context.clock,
            assume=assume,
            regions=regions,
            with_login=False,
            for_run=False,
        )
        assumed = Assumed(
            inputs.simulated_results, check_foreign(foreign), auto_push, max_retry_wait, requires_push=require_push
        )
        done = simulate(inputs.pipeline, inputs.resolve_context, assumed)
        if as_json:
            say_form(PipelinePlan.of(done, inputs.resolve_context))
        else:
            tell_warnings(inputs.warnings)
            _print(done)
            tell_idle(done.pushes)
        if done.problems:
            show_error(ConfigError(problems=tuple(dict.fromkeys(done.problems))))
            return 2
        return 0

    run_command(work, what="plan")


def _print(done: Simulation) -> None:
    stage = ""
    for planned in done.steps:
        step = planned.step
        if step.settings.stage and step.settings.stage != stage:
            stage = step.settings.stage
            say(f"stage {stage}")
        number = f"{planned.group:>3}." if planned.group else "  - "
        told = f" ({planned.reason})" if planned.reason else ""
        say(f"{number} {step.name} ({type_of(step)}): {planned.result}{told}")
        if planned.resolved:
            source = planned.resolved.source
            shown = f" ({source.source})" if source.source and source.source != source.text else ""
            say(f"       from {source.text}{shown}")
            for target in planned.resolved.references():
                say(f"       to   {target}")
        if planned.attempts > 1:
            waits = ", ".join(f"{wait:g} s" for wait in planned.waits_s)
            say(f"       {planned.attempts} attempts, waits of {waits}")
        if step.settings.timeout_s is not None and planned.runs:
            say(f"       time limit {step.settings.timeout_s:g} s")
    say(f"build status: {done.status} (exit code {done.exit_code})")
