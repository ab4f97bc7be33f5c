"""What `run` and `plan` read before anything happens: the pipeline, the configuration, variables and candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from oci_push.api import this_environment
from oci_push.cli.ci import Place
from oci_push.cli.inputs import read_bytes, read_config, tell_found
from oci_push.cli.options import CONFIG_NAME, ConfigOptions, pairs
from oci_push.cli.output import tell, warn
from oci_push.cli.variable_inputs import VariableOptions, gather_variables
from oci_push.cli.words import SAFETY, SOURCE, SPEED, TARGET, Argument, Option
from oci_push.errors import Diagnostic
from oci_push.language.integrations import Config
from oci_push.language.parse import read_pipeline
from oci_push.language.steps import MAX_WAIT_S
from oci_push.library.pipeline_inputs import Inputs, join_inputs
from oci_push.runner.results import Pushes
from oci_push.runner.settings import RunSettings
from oci_push.runner.simulated_results import SimulatedResults
from oci_push.runtime.clock import Clock

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
    is_stdin = str(pipeline) == "-"

    def read_described() -> Config:
        found = read_config(None if is_stdin else pipeline, config, env)
        tell_found(found)
        return found

    inputs = join_inputs(
        read_pipeline(read_bytes(pipeline), "<stdin>" if is_stdin else str(pipeline)),
        read_described,
        lambda described, parsed: gather_variables(given, described, env, clock, own=parsed.variables),
        pairs(given.candidate, "--candidate", "STEP=SOURCE"),
        given.assume or (),
        for_run=for_run,
        with_login=with_login,
        **resolving,
    )
    for one in inputs.stand_ins:
        tell(f"registry {one!r} is not described in {CONFIG_NAME}; something stands in for it")
    return inputs


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
