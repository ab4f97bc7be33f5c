"""`oci-push run`: a pipeline's push steps, for real or rehearsed against a registry inside the process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from oci_push.api import surroundings
from oci_push.cli import options
from oci_push.cli.failures import run_command, show_error
from oci_push.cli.options import Common
from oci_push.cli.pipeline_inputs import (
    Assume,
    AutoPush,
    Candidates,
    Foreign,
    MaxWait,
    PipelineFile,
    Regions,
    WaitReplication,
    check_foreign,
    read_inputs,
    tell_warnings,
)
from oci_push.cli.push import make_pusher, start_debug_log
from oci_push.cli.render.lines import LineRenderer
from oci_push.cli.variables import VariableFiles, VariableOption
from oci_push.errors import ConfigError
from oci_push.pipeline.exports import check_export_names, choose_form
from oci_push.pipeline.retries import MAX_WAIT_S
from oci_push.runner.exports import write_exports
from oci_push.runner.files import check_writable
from oci_push.runner.report import run_to_json, write_report
from oci_push.runner.results import RunReport
from oci_push.runner.run import Runner
from oci_push.runner.settings import RunSettings
from oci_push.runtime.scope import Scope

Export = Annotated[
    Path | None,
    typer.Option("--export", metavar="FILE", help="Write the steps' members as variables, also to $GITHUB_OUTPUT."),
]
ExportFormat = Annotated[
    str, typer.Option("--export-format", metavar="dotenv|github|gitlab", help="By default told by the file and the CI.")
]


def run(
    pipeline: PipelineFile,
    config: options.ConfigFile = None,
    candidate: Candidates = None,
    var: VariableOption = None,
    var_file: VariableFiles = None,
    report: options.Report = None,
    export: Export = None,
    export_format: ExportFormat = "",
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Push into a registry inside this process.")] = False,
    assume: Assume = None,
    foreign: Foreign = "skip",
    auto_push: AutoPush = False,
    allow_exec: Annotated[
        bool, typer.Option("--allow-exec", help="Run the shell commands of hooks on this machine.")
    ] = False,
    annotate_referrer: Annotated[
        bool, typer.Option("--annotate-referrer", help="Attach what is noted about a pushed image to it.")
    ] = False,
    regions: Regions = None,
    wait_replication: WaitReplication = False,
    max_retry_wait: MaxWait = MAX_WAIT_S,
    plain_http: options.PlainHttp = False,
    skip_tls_verify: options.SkipVerify = False,
    ca_file: options.CaFile = "",
    compression: options.Compression = "",
    compression_level: options.Level = 0,
    manifest_format: options.Format = "auto",
    tmpdir: options.TmpDir = None,
    no_mount: options.NoMount = False,
    no_memory: options.NoMemory = False,
    jobs: options.Jobs = 0,
    retries: options.Retries = 4,
    foreign_layers: options.ForeignLayers = False,
    verify: options.Verify = False,
    all_or_nothing: options.AllOrNothing = False,
    limit_rate: options.LimitRate = "",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Run a pipeline: its push steps, in order or in parallel, with their conditions, retries, limits and hooks."""
    common = Common(
        plain_http=plain_http,
        skip_verify=skip_tls_verify,
        ca_file=ca_file,
        compression=compression,
        level=compression_level,
        format=manifest_format,
        tmpdir=tmpdir,
        no_mount=no_mount,
        no_memory=no_memory,
        jobs=jobs,
        retries=retries,
        foreign_layers=foreign_layers,
        verify=verify,
        all_or_nothing=all_or_nothing,
        limit_rate=limit_rate,
    )
    if debug:
        start_debug_log()

    def work(scope: Scope) -> int:
        env = surroundings().env
        if export_format and not export:
            raise ConfigError("--export-format needs --export FILE")
        check_writable(report, "--report")
        check_writable(export, "--export")
        form = choose_form(str(export), export_format, env) if export else None
        inputs = read_inputs(
            pipeline,
            config,
            candidate,
            var,
            var_file,
            scope.clock,
            assume=assume,
            regions=regions,
            wait_replication=wait_replication,
            with_login=not sandbox,
        )
        inputs.assumptions.check_run(inputs.pipeline)
        if form:
            check_export_names(inputs.context.steps)
        tell_warnings(inputs.warnings)
        settings = RunSettings(
            assumed=inputs.assumptions,
            foreign_succeeds=check_foreign(foreign),
            auto_push=auto_push,
            allow_exec=allow_exec,
            annotate_referrer=annotate_referrer,
            max_wait_s=max_retry_wait,
            env=env,
            read_file=_read_text,
        )
        secrets = inputs.context.variables.secret_values()
        with _stand_in(sandbox) as address:
            emit = LineRenderer(sys.stderr, quiet=quiet, secrets=secrets)
            pusher = make_pusher(scope, common, quiet=quiet, emit=emit, rehearsal=address, is_lenient=True)
            with contextlib.closing(pusher):
                done = Runner(pusher, inputs.context, settings, emit).run(inputs.pipeline, scope)
        _show(done)
        try:
            if report:
                write_report(report, run_to_json(done))
        finally:
            if export and form:
                write_exports(export, form, inputs.context.variables.exports())
        return done.exit_code

    run_command(work, what="run")


def _show(done: RunReport) -> None:
    for step in done.steps:
        for result in step.pushed:
            for tag in result.tags:
                if tag.outcome in ("pushed", "unchanged"):
                    print(f"{result.repository}:{tag.tag}@{result.root}")
        if step.error is not None:
            show_error(step.error, before=f"step {step.name}: ")
        elif step.status == "failure" and step.type != "parallel":
            print(f"error: step {step.name}: {step.reason}", file=sys.stderr)
    print(f"Build finished: {done.status}", file=sys.stderr)


def _read_text(path: str) -> str | None:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(1024 * 1024)
    except (OSError, ValueError):
        return None


@contextmanager
def _stand_in(wanted: bool) -> Iterator[str]:
    if not wanted:
        yield ""
        return
    from oci_push.sandbox.server import Sandbox

    with Sandbox() as sandbox:
        yield sandbox.address
