"""What `run` and `plan` read before anything happens: the pipeline, the configuration, variables and candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct
from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli.inputs import CONFIG_NAME, pairs, read_bytes, read_config, tell_found
from oci_push.cli.options import ConfigOptions, split_regions
from oci_push.cli.output import tell, warn
from oci_push.cli.variables import VariableFiles, VariableOption, gather_variables
from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.integrations import add_stand_ins
from oci_push.language.parse import read_pipeline
from oci_push.language.resolving import ResolveContext
from oci_push.language.steps import MAX_WAIT_S, Pipeline, flatten
from oci_push.model.identity import RepositoryCreation
from oci_push.runner.results import Pushes
from oci_push.runner.simulated_results import SimulatedResults
from oci_push.runtime.clock import Clock
from oci_push.sources.table import GRAMMAR

PipelineFile = Annotated[Path, typer.Argument(metavar="PIPELINE.yml", help="The pipeline file; - reads stdin.")]
Candidates = Annotated[
    list[str] | None, typer.Option("--candidate", metavar="STEP=SOURCE", help="The image of a build step.")
]
Assume = Annotated[
    list[str] | None,
    typer.Option(
        "--assume",
        metavar="STEP=RESULT",
        help="What a step comes to: success, failure, timeout or terminated; "
        "failure,success is a result for each attempt. STEP.on_elected names a hook.",
    ),
]
Foreign = Annotated[
    str,
    typer.Option("--foreign", metavar="skip|success", help="What steps of types that are not run here count as."),
]
AutoPush = Annotated[
    bool, typer.Option("--auto-push", help="Push the images of build steps too, unless they say disable_push.")
]
RequirePush = Annotated[
    bool | None,
    typer.Option(
        "--require-push/--no-require-push",
        help="Fail a run in which no push step ran, or let it pass; by default only where a step's own when: said no.",
    ),
]
MaxWait = Annotated[
    float, typer.Option("--max-retry-wait", metavar="SECONDS", min=0, help="The longest wait of a retry: block.")
]
Regions = Annotated[
    list[str] | None,
    typer.Option("--regions", metavar="A,B", help="AWS regions that every push to ECR goes to, all at once."),
]
WaitReplication = Annotated[
    bool,
    typer.Option("--wait-replication", help="End a push to ECR only when every region serves it, copying if need be."),
]


class PipelineOptions(Struct, frozen=True):
    """What `run` and `plan` can be told of a pipeline."""

    candidate: Candidates = None
    var: VariableOption = None
    var_file: VariableFiles = None
    assume: Assume = None
    foreign: Foreign = "skip"
    auto_push: AutoPush = False
    require_push: RequirePush = None
    regions: Regions = None
    max_retry_wait: MaxWait = MAX_WAIT_S


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
    wait_replication: bool = False,
    creation: RepositoryCreation | None = None,
    with_login: bool,
    for_run: bool = True,
) -> Inputs:
    """Read and check it all; raises `ConfigError` with everything that is wrong."""
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
    candidates = pairs(given.candidate or [], "--candidate", "STEP=SOURCE")
    for step in candidates:
        if step not in known:
            raise ConfigError(f"--candidate {step}: the pipeline has no step {step!r}")
    gathered = gather_variables(given.var or [], given.var_file or [], settings, env, clock, own=parsed.variables)
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
        regions=split_regions(given.regions),
        wait_replication=wait_replication,
        creation=creation,
        with_login=with_login,
        wants_images=for_run,
    )
    return Inputs(
        parsed,
        resolve_context,
        SimulatedResults.parse(given.assume or [], parsed),
        (*settings.warnings, *reading.warnings),
    )


def check_foreign(value: str) -> bool:
    """Say whether steps of other types count as successful; raises `ConfigError` for another word."""
    if value not in ("skip", "success"):
        raise ConfigError(f"--foreign {value!r} is not known", hint="skip or success")
    return value == "success"


def tell_idle(pushes: Pushes) -> None:
    """Say how many push steps ran, where not all did, and why the others did not."""
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
        warn(str(problem), problem.hint)
