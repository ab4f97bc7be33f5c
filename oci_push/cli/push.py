"""`oci-push push`: one image to one or several repositories."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from oci_push import __version__
from oci_push.api import parse_destinations, this_environment
from oci_push.cli.failures import run_command, show_error
from oci_push.cli.inputs import described_endpoints
from oci_push.cli.options import Common, Family, split_regions, takes
from oci_push.cli.output import say, say_form, start_debug_log
from oci_push.cli.progress import LineRenderer, show_replicas, show_tags, size
from oci_push.engine.plan import PushPlan
from oci_push.engine.push import PushOptions, PushResult
from oci_push.engine.pusher import REPLICATION_S, Options, Pusher
from oci_push.errors import ConfigError, OciPushError, exit_code
from oci_push.events import Emit
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import EcrCreation
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.source import KNOWN_FORMS
from oci_push.runtime.context import Context
from oci_push.sources.settings import SourceSettings
from oci_push.transport.session import TransportSettings

if TYPE_CHECKING:
    from oci_push.engine.replicate import ReplicaResult


@takes(Common)
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
    regions: Annotated[
        list[str] | None,
        typer.Option("--regions", metavar="A,B", help="ECR: push to these regions as well, all at once."),
    ] = None,
    wait_replication: Annotated[
        bool,
        typer.Option(
            "--wait-replication",
            help="ECR: push once, and end when every region of the registry's rules (or of --regions) serves it.",
        ),
    ] = False,
    family: Family = "",
    *,
    common: Common,
) -> None:
    """Push an image to one or several repositories, with one or several tags each.

    A registry that oci-push.yaml describes is reached and logged in to as it says there.
    """
    if common.debug:
        start_debug_log()

    def work(context: Context) -> int:
        if common.password_stdin and source == "-":
            raise ConfigError("--password-stdin and the source - cannot both read stdin")
        if plan and common.export:
            raise ConfigError("--export has no effect with --plan: nothing is pushed", hint="leave out one of them")
        env = this_environment().env
        form = common.export_form(env)
        destinations = parse_destinations(destination, tag or [])
        wanted = _platform(platform)
        listed = split_regions(regions)
        if listed and not wait_replication:
            from oci_push.engine.regions import fan_out

            destinations = fan_out(destinations, listed)
        endpoints = described_endpoints(source, destinations, common, env)
        if common.create_repository or wait_replication:
            from oci_push.engine.regions import ecr_accesses

            creation = EcrCreation() if common.create_repository else None
            endpoints = {**endpoints, **ecr_accesses(destinations, creation, endpoints)}
        hosts = tuple(dict.fromkeys(one.repository.host for one in destinations))
        if family:
            known = {host: endpoints.get(host) or RegistryEndpoint(host) for host in hosts}
            endpoints = {**endpoints, **{host: replace(one, family=family) for host, one in known.items()}}
        quiet = common.quiet or common.as_json
        pusher = make_pusher(context, common, quiet=quiet, endpoints=endpoints, login_host=common.login_host(hosts))
        with contextlib.closing(pusher):
            targets = pusher.targets(destinations)
            with pusher.open(source, context, targets=len(targets)) as opened:
                if plan:
                    planned = pusher.plan(opened, targets, context, wanted)
                    show_plan(planned, as_json=common.as_json)
                    if common.report:
                        from oci_push.runner.report import ImagePlan, write_report

                        shown = ImagePlan.of(planned)
                        write_report(common.report, replace(shown, source=source, status="planned"))
                    return 0
                planned, results = pusher.push(opened, targets, context, wanted)
            replicas: list[ReplicaResult] = []
            trouble: OciPushError | None = None
            if wait_replication:
                emit = LineRenderer(quiet=quiet)
                try:
                    wait_everywhere(context, pusher, planned, results, listed, emit, replicas)
                except OciPushError as error:  # what was pushed is told all the same
                    trouble = error
        try:
            return show_results(source, results, replicas, trouble, report=common.report, as_json=common.as_json)
        finally:
            if common.export and form:
                from oci_push.variables.exports import write_exports

                write_exports(common.export, form, _members(results, planned.graph.root))

    run_command(work, what="push", timeout_s=common.timeout or None)


def _members(results: Sequence[PushResult], root: Manifest) -> Mapping[str, Mapping[str, str]]:
    """Return what push steps export, of each destination that was pushed to: of ``push``, ``push_2`` and so on."""
    from oci_push.engine.unit import image_id_of
    from oci_push.runner.outputs import push_members

    image_id = image_id_of(root)
    return {
        "push" if number == 1 else f"push_{number}": push_members(
            result.repository.host, result.repository, result.root, image_id
        )
        for number, result in enumerate(results, 1)
        if result.error is None
    }


def make_pusher(context: Context, common: Common, *, quiet: bool, emit: Emit | None = None, **more: object) -> Pusher:
    """Join the options of the command line with this process's surroundings; `emit` replaces lines on stderr."""
    common.check()
    environment = this_environment()
    made = Options(
        tls=common.tls(),
        credential=common.credential(),
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
            env=environment.env,
        ),
        blob_retry=common.retry(),
        push_options=PushOptions(common.verify, common.all_or_nothing),
        mount=not common.no_mount,
        remember=not common.no_memory,
        foreign_layers=common.foreign_layers,
    )
    made = replace(made, **more)
    return Pusher(context, made, environment, emit or LineRenderer(quiet=quiet))


def wait_everywhere(
    context: Context,
    pusher: Pusher,
    plan: PushPlan,
    results: Sequence[PushResult],
    regions: Sequence[str],
    emit: Emit,
    found: list[ReplicaResult],
) -> None:
    """Wait, for each repository that was pushed to, until the other regions serve the image; fills `found`."""
    from oci_push.engine.regions import serve_everywhere

    inner = context.child(seconds=REPLICATION_S, what="waiting for replication")
    for work, result in zip(plan.repositories, results, strict=True):
        if result.error is None:
            found += serve_everywhere(inner, pusher.clients, work.target.endpoint, result, regions, emit)


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
    if as_json:
        from oci_push.runner.report import PushReport

        say_form(PushReport.of(source, results, replicas, trouble))
    for result in results:
        done = [tag.tag for tag in result.tags if tag.outcome.is_there]
        if not as_json:
            for name in done:
                say(f"{result.repository}:{name}@{result.root}")
        if result.error is not None:
            show_error(result.error)
            show_tags(result)
    show_replicas(replicas, is_quiet=as_json)
    if trouble is not None:
        show_error(trouble)
    if report:
        from oci_push.runner.report import PushReport, write_report

        write_report(report, PushReport.of(source, results, replicas, trouble))
    return code


def show_plan(plan: PushPlan, *, as_json: bool) -> None:
    """Print the very object that would be executed."""
    graph = plan.graph
    if as_json:
        from oci_push.runner.report import ImagePlan

        say_form(ImagePlan.of(plan))
        return
    say(f"image {graph.root.digest} ({graph.root.media_type})")
    say(f"  {len(graph.nodes)} manifests, {len(graph.blobs)} blobs, {size(graph.size_bytes)}")
    for work in plan.repositories:
        after = f", after {plan.repositories[work.after].target.repository}" if work.after is not None else ""
        say(f"to {work.target.repository} (tags: {', '.join(work.target.tags)}{after})")
        for blob in work.blobs:
            asked = ", ".join(str(r) for r in work.mount_candidates.get(blob.digest, ()))
            say(f"  blob {blob.digest} {size(blob.size)}" + (f", mount from {asked}" if asked else ""))


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
