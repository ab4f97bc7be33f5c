"""`oci-push plan`: what a pipeline would do, without contacting a registry."""

from __future__ import annotations

from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.on import Units
from oci_push.cli.options import ConfigOptions, Delivery
from oci_push.cli.output import say, say_form, tell
from oci_push.cli.pipeline_inputs import PipelineFile, PipelineOptions, read_inputs, tell_idle, tell_warnings
from oci_push.errors import ConfigError
from oci_push.language.steps import Pipeline, flatten, type_of
from oci_push.model.outcomes import Status
from oci_push.runner.hooks import ELECTED
from oci_push.runner.report import PipelinePlan
from oci_push.runner.simulate import Simulation, simulate
from oci_push.runner.simulated_results import SimulatedResults
from oci_push.runtime.context import Context
from oci_push.runtime.files import check_writable


@takes(ConfigOptions, PipelineOptions, Delivery)
def plan(
    pipeline: PipelineFile,
    units: Units = None,
    *,
    config: ConfigOptions,
    given: PipelineOptions,
    delivery: Delivery,
) -> None:
    """Show what a pipeline would do: order, skips and why, targets, attempts. No registry is contacted.

    With --units the registries of sources are asked for digests.
    """

    def work(context: Context) -> int:
        check_writable(units, "--units")
        inputs = read_inputs(
            pipeline, config, given, context.clock, for_run=False, with_login=bool(units), **delivery.resolving()
        )
        done = simulate(inputs.pipeline, inputs.resolve_context, given.settings(inputs.simulated_results))
        if delivery.as_json:
            say_form(PipelinePlan.of(done, inputs.resolve_context))
        else:
            tell_warnings(inputs.warnings)
            _print(done)
            tell_idle(done.pushes)
            _tell_commands(done, inputs.pipeline, inputs.simulated_results)
        if done.problems:
            show_error(ConfigError(problems=tuple(dict.fromkeys(done.problems))))
            return 2
        if units:
            from oci_push.cli.units import lay_out_pipeline

            return lay_out_pipeline(context, done, inputs.resolve_context, config, units, str(pipeline))
        return 0

    run_command(work, what="plan")


def _tell_commands(done: Simulation, pipeline: Pipeline, assumed: SimulatedResults) -> None:
    """Print which hooks that can end a run count as done here, though `run` would not do them unasked."""
    elected = {"": pipeline.hook(ELECTED)} | {
        step.name: step.settings.hook(ELECTED) for step in flatten(pipeline.steps)
    }
    for owner, hook in elected.items():
        name = f"{owner}.{ELECTED}" if owner else ELECTED
        if hook and hook.commands and name in done.events and assumed.of_hook(owner, ELECTED).status == Status.SUCCESS:
            tell(
                f"note: {name}: its shell commands are taken to succeed; run does them only with --allow-exec, or fails"
            )


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
