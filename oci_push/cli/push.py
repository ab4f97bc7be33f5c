"""`oci-push push`: one image to one or several repositories."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from oci_push import __version__
from oci_push.api import parse_destinations, surroundings
from oci_push.cli import options
from oci_push.cli.failures import run_command, show_error
from oci_push.cli.options import Common, split_regions
from oci_push.cli.render.lines import LineRenderer, size
from oci_push.cli.render.replicas import show_replicas
from oci_push.engine.plan import PushPlan
from oci_push.engine.push import Care, PushResult
from oci_push.engine.replicate import ReplicaResult
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit
from oci_push.model.access import Access
from oci_push.model.identity import EcrCreation
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination
from oci_push.model.source import KNOWN_FORMS
from oci_push.runner.files import check_writable
from oci_push.runner.pusher import Options, Pusher
from oci_push.runner.regions import REPLICATION_S, ecr_accesses, fan_out, serve_everywhere
from oci_push.runner.report import error_to_json, exit_code, push_to_json, replica_to_json, write_report
from oci_push.runtime.scope import Scope
from oci_push.sources.settings import SourceSettings
from oci_push.transport.session import TransportSettings


def push(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help=f"{KNOWN_FORMS}."),
    ],
    destination: Annotated[list[str], typer.Argument(metavar="DESTINATION...", help="HOST[:PORT]/REPO[:TAG[,TAG…]]")],
    tag: Annotated[list[str] | None, typer.Option("--tag", "-t", help="One more tag for every destination.")] = None,
    platform: Annotated[
        list[str] | None, typer.Option("--platform", metavar="OS/ARCH[/VARIANT]", help="Only this image of an index.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result (or the plan) as JSON.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds for the whole command; 0: none.")] = 0,
    regions: Annotated[
        list[str] | None,
        typer.Option("--regions", metavar="A,B", help="ECR: push to these regions as well, all at once."),
    ] = None,
    create_repository: Annotated[
        bool, typer.Option("--create-repository", help="ECR: create repositories that are missing.")
    ] = False,
    wait_replication: Annotated[
        bool,
        typer.Option(
            "--wait-replication",
            help="ECR: push once, and end when every region of the registry's rules (or of --regions) serves it.",
        ),
    ] = False,
    report: options.Report = None,
    plain_http: options.PlainHttp = False,
    skip_tls_verify: options.SkipVerify = False,
    ca_file: options.CaFile = "",
    cert_file: options.CertFile = "",
    key_file: options.KeyFile = "",
    username: options.Username = "",
    password_stdin: options.PasswordStdin = False,
    compression: options.Compression = "",
    compression_level: options.Level = 0,
    manifest_format: options.Format = "auto",
    tmpdir: options.TmpDir = None,
    no_mount: options.NoMount = False,
    no_memory: options.NoMemory = False,
    foreign_layers: options.ForeignLayers = False,
    verify: options.Verify = False,
    all_or_nothing: options.AllOrNothing = False,
    limit_rate: options.LimitRate = "",
    jobs: options.Jobs = 0,
    retries: options.Retries = 4,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Push an image to one or several repositories, with one or several tags each."""
    common = Common(
        plain_http,
        skip_tls_verify,
        ca_file,
        cert_file,
        key_file,
        username,
        password_stdin,
        compression,
        compression_level,
        manifest_format,
        tmpdir,
        no_mount,
        no_memory,
        jobs,
        retries,
        foreign_layers,
        verify,
        all_or_nothing,
        limit_rate,
    )
    if debug:
        start_debug_log()

    def work(scope: Scope) -> int:
        if password_stdin and source == "-":
            raise ConfigError("--password-stdin and the source - cannot both read stdin")
        check_writable(report, "--report")
        destinations = parse_destinations(destination, tag or [])
        wanted = _platform(platform)
        listed = split_regions(regions)
        if listed and not wait_replication:
            destinations = fan_out(destinations, listed)
        accesses: Mapping[str, Access] = {}
        if create_repository or wait_replication:
            accesses = ecr_accesses(destinations, EcrCreation() if create_repository else None)
        login_host = _login_host(destinations) if username else ""
        pusher = make_pusher(scope, common, quiet=quiet or as_json, accesses=accesses, login_host=login_host)
        with contextlib.closing(pusher):
            targets = pusher.targets(destinations)
            with pusher.open(source, scope, targets=len(targets)) as opened:
                if not plan:
                    pusher.check(opened, targets, scope, wanted)
                planned = pusher.plan(opened, targets, scope, wanted)
                if plan:
                    show_plan(planned, as_json=as_json)
                    if report:
                        write_report(report, {"source": source, "status": "planned", **plan_to_json(planned)})
                    return 0
                results = pusher.execute(planned, opened, scope)
            replicas: list[ReplicaResult] = []
            trouble: OciPushError | None = None
            if wait_replication:
                emit = LineRenderer(sys.stderr, quiet=quiet or as_json)
                try:
                    wait_everywhere(scope, pusher, planned, results, listed, emit, replicas)
                except OciPushError as error:  # what was pushed is told all the same
                    trouble = error
        return show_results(source, results, replicas, trouble, report=report, as_json=as_json)

    run_command(work, what="push", timeout_s=timeout or None)


def make_pusher(scope: Scope, common: Common, *, quiet: bool, emit: Emit | None = None, **more: object) -> Pusher:
    """Join the options of the command line with this process's surroundings; `emit` replaces lines on stderr."""
    common.check()
    around = surroundings()
    made = Options(
        trust=common.trust(),
        login=common.login(),
        sources=SourceSettings(
            temp_folder=common.tmpdir,
            compression=common.compression or "gzip",
            level=common.level,
            format=common.format,
            asked=common.asked(),
        ),
        transport=TransportSettings(
            near_requests=common.jobs or 4,
            far_requests=common.jobs or 16,
            call_retry=common.retry(),
            limit_bytes_per_s=common.limit_bytes_per_s(),
            user_agent=f"oci-push/{__version__}",
            env=around.env,
        ),
        blob_retry=common.retry(),
        care=Care(common.verify, common.all_or_nothing),
        mount=not common.no_mount,
        remember=not common.no_memory,
        foreign_layers=common.foreign_layers,
    )
    made = replace(made, **more)  # type: ignore[arg-type]  # the names are Options' own, checked by replace
    return Pusher(scope, made, around, emit or LineRenderer(sys.stderr, quiet=quiet))


def wait_everywhere(
    scope: Scope,
    pusher: Pusher,
    plan: PushPlan,
    results: Sequence[PushResult],
    regions: Sequence[str],
    emit: Emit,
    found: list[ReplicaResult],
) -> None:
    """Wait, for each repository that was pushed to, until the other regions serve the image; fills `found`."""
    inner = scope.child(seconds=REPLICATION_S, what="waiting for replication")
    for leg, result in zip(plan.legs, results, strict=True):
        if result.error is None:
            found += serve_everywhere(inner, pusher.connections, leg.target.access, result, regions, emit)


def show_results(
    source: str,
    results: Sequence[PushResult],
    replicas: Sequence[ReplicaResult],
    trouble: OciPushError | None,
    *,
    report: Path | None,
    as_json: bool,
) -> int:
    """Print each tag with its digest, and each failure; give the exit code."""
    failures = [*(result.error for result in results), *(replica.error for replica in replicas)]
    code = exit_code(failures) or exit_code([trouble])
    value: dict[str, object] = {
        "source": source,
        "status": "success" if code == 0 else "failure",
        "exit_code": code,
        "targets": [push_to_json(result) for result in results],
    }
    if replicas:
        value["replicas"] = [replica_to_json(replica) for replica in replicas]
    if trouble is not None:
        value["error"] = error_to_json(trouble)
    if as_json:
        print(json.dumps(value, indent=2))
    for result in results:
        done = [tag.tag for tag in result.tags if tag.outcome in ("pushed", "unchanged")]
        if not as_json:
            for name in done:
                print(f"{result.repository}:{name}@{result.root}")
        if result.error is not None:
            show_error(result.error)
            missing = [tag.tag for tag in result.tags if tag.tag not in done]
            if missing:
                print(f"  tags not pushed to {result.repository}: {', '.join(missing)}", file=sys.stderr)
            for tag in result.tags:
                if tag.outcome in ("restored", "removed", "left"):
                    print(f"  tag {tag.tag}: {tag.outcome}" + (f" ({tag.error})" if tag.error else ""), file=sys.stderr)
    show_replicas(replicas, is_quiet=as_json)
    if trouble is not None:
        show_error(trouble)
    if report:
        write_report(report, value)
    return code


def show_plan(plan: PushPlan, *, as_json: bool) -> None:
    """Print the very object that would be executed."""
    graph = plan.graph
    if as_json:
        print(json.dumps(plan_to_json(plan), indent=2))
        return
    print(f"image {graph.root.digest} ({graph.root.media_type})")
    print(f"  {len(graph.nodes)} manifests, {len(graph.blobs)} blobs, {size(graph.size_bytes)}")
    for leg in plan.legs:
        after = f", after {plan.legs[leg.after].target.repository}" if leg.after is not None else ""
        print(f"to {leg.target.repository} (tags: {', '.join(leg.target.tags)}{after})")
        for blob in leg.blobs:
            asked = ", ".join(str(r) for r in leg.mounts.get(blob.digest, ()))
            print(f"  blob {blob.digest} {size(blob.size)}" + (f", mount from {asked}" if asked else ""))


def plan_to_json(plan: PushPlan) -> dict[str, object]:
    """Give a plan as JSON values."""
    graph = plan.graph
    return {
        "digest": str(graph.root.digest),
        "media_type": graph.root.media_type,
        "manifests": [str(node.digest) for node in graph.nodes],
        "blobs": [{"digest": str(b.digest), "size": b.size, "media_type": b.media_type} for b in graph.blobs],
        "targets": [
            {
                "repository": str(leg.target.repository),
                "tags": list(leg.target.tags),
                "after": str(plan.legs[leg.after].target.repository) if leg.after is not None else None,
                "mounts": {str(digest): [str(r) for r in asked] for digest, asked in leg.mounts.items()},
            }
            for leg in plan.legs
        ],
    }


def start_debug_log() -> None:
    """Send the core's log to stderr."""
    logging.basicConfig(stream=sys.stderr, format="%(relativeCreated)6d ms %(threadName)s %(message)s")
    logging.getLogger("oci_push").setLevel(logging.DEBUG)


def _login_host(destinations: Sequence[Destination]) -> str:
    """Give the registry that ``--username`` is for, so that no other is shown the password, the source's included."""
    hosts = tuple(dict.fromkeys(destination.repository.host for destination in destinations))
    if len(hosts) > 1:
        raise ConfigError(
            f"--username is one login, and there are several registries: {', '.join(hosts)}",
            hint="use oci-push login for each, or push to one after the other",
        )
    return hosts[0]


def _platform(texts: list[str] | None) -> Platform | None:
    """Read ``--platform``: one, as no index of several is made."""
    try:
        found = tuple(dict.fromkeys(Platform.parse(part) for text in texts or () for part in text.split(",")))
    except ValueError as problem:
        raise ConfigError(f"--platform: {problem}") from problem
    if len(found) > 1:
        raise ConfigError(
            f"--platform names {', '.join(map(str, found))}; one image goes out, and an index of several is not made",
            hint="leave it out for all platforms, or push each to a tag of its own",
        )
    return found[0] if found else None
