"""What `run` and `plan` read before anything happens: the pipeline, the configuration, variables and candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Struct
from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli.ci import Place
from oci_push.cli.inputs import read_bytes, read_config, tell_found
from oci_push.cli.options import CONFIG_NAME, ConfigOptions, pairs
from oci_push.cli.output import tell, warn
from oci_push.cli.variable_inputs import VariableOptions, gather_variables
from oci_push.cli.words import SAFETY, SOURCE, SPEED, TARGET, Argument, Option
from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.parse import read_pipeline
from oci_push.language.registry_choice import add_stand_ins
from oci_push.language.resolving import ResolveContext
from oci_push.language.steps import MAX_WAIT_S, Pipeline, flatten
from oci_push.runner.results import Pushes
from oci_push.runner.settings import RunSettings
from oci_push.runner.simulated_results import SimulatedResults
from oci_push.runtime.clock import Clock
from oci_push.sources.table import GRAMMAR

PipelineFile = Annotated[Path, Argument(metavar="PIPELINE.yml", help="The pipeline file; - reads stdin.")]


class PipelineOptions(VariableOptions, frozen=True):
    """What `run` and `plan` can be told of a pipeline."""

    candidate: Annotated[
        list[str] | None, Option("The image of a build step.", metavar="STEP=SOURCE", under=SOURCE)
    ] = None
    assume: Annotated[
        list[str] | None,
        Option(
            "What a step comes to: success, failure, timeout or terminated; "
            "failure,success is a result for each attempt. STEP.on_elected names a hook.",
            metavar="STEP=RESULT",
            under=SAFETY,
        ),
    ] = None
    foreign: Annotated[
        str, Option("What steps of types that are not run here count as.", choices=("skip", "success"))
    ] = "skip"
    auto_push: Annotated[
        bool, Option("Push the images of build steps too, unless they say disable_push.", under=TARGET)
    ] = False
    require_push: Annotated[
        bool | None,
        Option(
            "Fail a run in which no push step ran, or let it pass; by default only where a step's own when: said no.",
            name="--require-push/--no-require-push",
            under=SAFETY,
        ),
    ] = None
    max_retry_wait: Annotated[
        float, Option("The longest wait of a retry: block.", metavar="SECONDS", min=0, under=SPEED)
    ] = MAX_WAIT_S

    def settings(self, assumed: SimulatedResults, **more: Any) -> RunSettings:
        """Return what these options say of a run; `more` are its fields that a plan has not."""
        return RunSettings(
            assumed,
            foreign_succeeds=self.foreign == "success",
            auto_push=self.auto_push,
            max_wait_s=self.max_retry_wait,
            requires_push=self.require_push,
            **more,
        )


class Inputs(Struct, frozen=True):
    """Everything that was read."""

    pipeline: Pipeline
    resolve_context: ResolveContext
    simulated_results: SimulatedResults
    warnings: tuple[Diagnostic, ...]


def read_inputs(
    pipeline: Path,
    config: ConfigOptions,
    given: PipelineOptions,
    clock: Clock,
    *,
    for_run: bool,
    with_login: bool,
    **resolving: Any,
) -> Inputs:
    """Read and check it all; raises `ConfigError` with everything that is wrong.

    `resolving` are fields of `ResolveContext` that options give.
    """
    env = this_environment().env
    name = "<stdin>" if str(pipeline) == "-" else str(pipeline)
    reading = read_pipeline(read_bytes(pipeline), name)
    if reading.pipeline is None:
        raise ConfigError(problems=reading.errors)
    parsed = reading.pipeline
    settings = read_config(None if str(pipeline) == "-" else pipeline, config, env)
    tell_found(settings)
    settings = replace(settings, lacking={**parsed.lacking, **settings.lacking})
    known = frozenset(step.name for step in flatten(parsed.steps))
    candidates = pairs(given.candidate, "--candidate", "STEP=SOURCE")
    for step in candidates:
        if step not in known:
            raise ConfigError(f"--candidate {step}: the pipeline has no step {step!r}")
    gathered = gather_variables(given, settings, env, clock, own=parsed.variables)
    if for_run and not with_login:
        settings, missing = add_stand_ins(parsed, settings, gathered)
        for one in missing:
            tell(f"registry {one!r} is not described in {CONFIG_NAME}; something stands in for it")
    resolve_context = ResolveContext(
        settings,
        gathered,
        parsed.builds(),
        {**settings.candidates, **candidates},
        GRAMMAR,
        steps=known,
        with_login=with_login,
        wants_images=for_run,
        **resolving,
    )
    assumed = SimulatedResults.parse(given.assume or [], parsed)
    return Inputs(parsed, resolve_context, assumed, (*settings.warnings, *reading.warnings))


def tell_idle(pushes: Pushes) -> None:
    """Print how many push steps ran, where not all did, and why the others did not."""
    if not pushes.idle:
        return
    tell(f"{pushes.ran} of {pushes.total} push steps ran")
    for name, reason in pushes.idle:
        tell(f"  {name}: {reason}")
    if pushes.hint:
        tell(f"  hint: {pushes.hint}")


def tell_warnings(warnings: tuple[Diagnostic, ...]) -> None:
    """Print what is strange about the files."""
    for problem in dict.fromkeys(warnings):
        warn(str(problem), problem.hint, Place(problem.file, problem.line, problem.column))
