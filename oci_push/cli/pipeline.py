"""`oci-push run` and `oci-push plan`: a pipeline file, for real or only shown."""

from __future__ import annotations

import contextlib
import json
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
from oci_push.cli.push import make_pusher, start_debug_log
from oci_push.cli.render.lines import LineRenderer
from oci_push.errors import ConfigError
from oci_push.events import Note
from oci_push.pipeline.integrations import Config, load_config
from oci_push.pipeline.parse import parse_pipeline
from oci_push.pipeline.resolve import Context, resolve_push
from oci_push.pipeline.steps import BuildStep, ParallelStep, Pipeline, PushStep, Step
from oci_push.pipeline.variables import Variables
from oci_push.runner.report import write_report
from oci_push.runner.run import Runner, wait_s
from oci_push.runtime.scope import Scope
from oci_push.sources.table import path_exists

PipelineFile = Annotated[Path, typer.Argument(metavar="PIPELINE.yml", help="The pipeline file.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="oci-push.yaml, if not found by itself.")
]
Candidates = Annotated[
    list[str] | None, typer.Option("--candidate", metavar="STEP=SOURCE", help="The image of a build step.")
]
Variable = Annotated[list[str] | None, typer.Option("--var", metavar="NAME=VALUE", help="Set a variable.")]


def run(
    pipeline: PipelineFile,
    config: ConfigFile = None,
    candidate: Candidates = None,
    var: Variable = None,
    report: options.Report = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Push into a registry inside this process.")] = False,
    plain_http: options.PlainHttp = False,
    skip_tls_verify: options.SkipVerify = False,
    ca_file: options.CaFile = "",
    compression: options.Compression = "gzip",
    compression_level: options.Level = 0,
    manifest_format: options.Format = "auto",
    tmpdir: options.TmpDir = None,
    no_mount: options.NoMount = False,
    no_memory: options.NoMemory = False,
    jobs: options.Jobs = 0,
    retries: options.Retries = 4,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Run a pipeline's push steps."""
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
    )
    if debug:
        start_debug_log()

    def work(scope: Scope) -> int:
        parsed, context = _read(pipeline, config, candidate or [], var or [], with_login=not sandbox)
        emit = LineRenderer(sys.stderr, quiet=quiet)
        for problem in context.config.warnings:
            emit(Note(str(problem), "warning"))
        with _stand_in(sandbox) as address:
            pusher = make_pusher(scope, common, quiet=quiet, rehearsal=address)
            with contextlib.closing(pusher):
                done = Runner(pusher, context, emit).run(parsed, scope)
        if report:
            write_report(report, done.to_json())
        for step in done.steps:
            for result in step.pushed:
                for tag in result.tags:
                    if tag.outcome in ("pushed", "unchanged"):
                        print(f"{result.repository}:{tag.tag}@{result.root}")
            if step.error is not None:
                show_error(step.error)
        print(f"Build finished: {done.status}", file=sys.stderr)
        return done.exit_code

    run_command(work, what="run")


def plan(
    pipeline: PipelineFile,
    config: ConfigFile = None,
    candidate: Candidates = None,
    var: Variable = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Show what a pipeline would push and where, without contacting a registry."""

    def work(scope: Scope) -> int:
        parsed, context = _read(pipeline, config, candidate or [], var or [], with_login=False)
        rows = [row for group, step in enumerate(parsed.steps, 1) for row in _rows(step, group, context)]
        if as_json:
            print(json.dumps({"steps": rows, "build_status": "success", "exit_code": 0}, indent=2))
            return 0
        for row in rows:
            print(f"{row['group']}. {row['name']} ({row['type']}): {row['decision']}")
            if row["source"]:
                print(f"   from {row['source']}")
            targets = row["targets"]
            for target in targets if isinstance(targets, list) else []:
                print(f"   to   {target}")
        return 0

    run_command(work, what="plan")


def _rows(step: Step, group: int, context: Context) -> Iterator[dict[str, object]]:
    if isinstance(step, ParallelStep):
        for child in step.steps:
            yield from _rows(child, group, context)
        return
    row: dict[str, object] = {
        "name": step.name,
        "type": "push" if isinstance(step, PushStep) else "build" if isinstance(step, BuildStep) else step.type,
        "stage": step.stage if isinstance(step, PushStep) and step.stage else "default",
        "group": group,
        "decision": "run" if isinstance(step, PushStep | BuildStep) else "skip",
        "reason": None if isinstance(step, PushStep | BuildStep) else "this type is not run by oci-push",
        "source": None,
        "targets": [],
        "attempts": 1,
        "waits_s": [],
        "timeout_s": None,
        "result": "success" if isinstance(step, PushStep | BuildStep) else "skipped",
    }
    if isinstance(step, PushStep):
        resolved = resolve_push(step, context)
        row["source"] = resolved.source
        row["targets"] = [f"{resolved.repository}:{tag}" for tag in resolved.tags]
        row["timeout_s"] = resolved.timeout_s
        row["waits_s"] = [wait_s(step.retry, n) for n in range(1, step.retry.max_attempts)]
    yield row


def _read(
    pipeline: Path, config: Path | None, candidates: list[str], variables: list[str], *, with_login: bool
) -> tuple[Pipeline, Context]:
    env = dict(surroundings().env)
    parsed = parse_pipeline(_bytes(pipeline), str(pipeline))
    settings = _config(pipeline, config, env)
    given = _pairs(candidates, "--candidate", "STEP=SOURCE")
    known = {step.name for step in _all(parsed.steps)}
    for name in given:
        if name not in known:
            raise ConfigError(f"--candidate {name}: the pipeline has no step {name!r}")
    context = Context(
        settings,
        Variables(_pairs(variables, "--var", "NAME=VALUE"), settings.variables, env),
        parsed.builds(),
        {**settings.candidates, **given},
        path_exists,
        with_login,
    )
    return parsed, context


def _config(pipeline: Path, given: Path | None, env: dict[str, str]) -> Config:
    """Find ``oci-push.yaml``: named, beside the pipeline, in the working folder, in the user's folder."""
    user = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else "")
    places = [given] if given else [pipeline.parent / "oci-push.yaml", Path("oci-push.yaml")]
    if not given and user:
        places.append(Path(user) / "oci-push" / "oci-push.yaml")
    for place in places:
        if given or place.is_file():
            return load_config(_bytes(place), str(place), env, lambda path: path.read_text(encoding="utf-8"))
    return Config()


@contextmanager
def _stand_in(wanted: bool) -> Iterator[str]:
    if not wanted:
        yield ""
        return
    from oci_push.sandbox.server import Sandbox

    with Sandbox() as sandbox:
        yield sandbox.address


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror})", hint="check the file's name") from problem


def _pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"{option} {text!r}: expected {form}")
        found[name] = value
    return found


def _all(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step, ParallelStep):
            yield from _all(step.steps)
