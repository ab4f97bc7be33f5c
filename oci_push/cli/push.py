"""`oci-push push`: one image to one or several repositories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec.structs import replace

from oci_push.api import parse_destinations, this_environment
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.options import Common, Delivery, Family, split_regions
from oci_push.cli.output import say, say_form
from oci_push.cli.progress import LineRenderer, show_replicas, show_tags, size
from oci_push.cli.words import SAFETY, SOURCE, TARGET, Argument, Option
from oci_push.engine.plan import PushPlan
from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget, perform, plan_unit
from oci_push.errors import ConfigError, exit_code
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.platform import Platform
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR


@takes(Common, Delivery)
def push(
    source: Annotated[str, Argument(metavar="SOURCE", help=f"{GRAMMAR.known}.")],
    destination: Annotated[list[str], Argument(metavar="DESTINATION...", help="HOST[:PORT]/REPO[:TAG[,TAG…]]")],
    tag: Annotated[
        list[str] | None, Option("One more tag for every destination.", short="-t", metavar="TAG", under=TARGET)
    ] = None,
    platform: Annotated[
        list[str] | None, Option("Only this image of an index.", metavar="OS/ARCH[/VARIANT]", under=SOURCE)
    ] = None,
    plan: Annotated[bool, Option("Show what would be done and write nothing.", under=SAFETY)] = False,
    family: Family = "",
    *,
    common: Common,
    delivery: Delivery,
) -> None:
    """Push an image to one or several repositories, with one or several tags each.

    A registry that oci-push.yaml describes is reached and logged in to as it says there.
    """

    def work(context: Context) -> int:
        if common.password_stdin and source == "-":
            raise ConfigError("--password-stdin and the source - cannot both read stdin")
        if plan and common.export:
            raise ConfigError("--export has no effect with --plan: nothing is pushed", hint="leave out one of them")
        env = this_environment().env
        form = common.export_form(env)
        destinations = parse_destinations(destination, tag or [])
        wanted = _platform(platform)
        regions = split_regions(delivery.regions)
        if regions and not common.wait_replication:
            from oci_push.engine.regions import fan_out

            destinations = fan_out(destinations, regions)
        endpoints: Mapping[str, RegistryEndpoint] = {}
        if common.find(None, env)[0] is not None:
            from oci_push.cli.inputs import described_endpoints

            endpoints = described_endpoints(source, destinations, common, env)
        if common.create_repository or common.wait_replication:
            from oci_push.engine.regions import managed_endpoints

            endpoints = {**endpoints, **managed_endpoints(destinations, common.creation(), endpoints)}
        hosts = tuple(dict.fromkeys(one.repository.host for one in destinations))
        if family:
            known = {host: endpoints.get(host) or RegistryEndpoint(host) for host in hosts}
            endpoints = {**endpoints, **{host: replace(one, family=family) for host, one in known.items()}}
        unit = PushUnit(
            source,
            tuple(UnitTarget(one.repository, one.tags) for one in destinations),
            platform=wanted,
            served_in=regions if common.wait_replication else None,
            is_final=True,
        )
        emit = LineRenderer(quiet=common.quiet or delivery.as_json)
        with common.pusher(context, emit, endpoints=endpoints, login_host=common.login_host(hosts)) as pusher:
            if plan:
                show_plan(source, plan_unit(unit, pusher, context), common.report, as_json=delivery.as_json)
                return 0
            done = perform(unit, pusher, context, emit)
        if done.error is not None and not done.results:
            raise done.error
        try:
            return show_result(source, done, common.report, as_json=delivery.as_json)
        finally:
            if common.export and form:
                from oci_push.variables.exports import write_exports

                write_exports(common.export, form, _exported(done))

    run_command(work, what="push", timeout_s=common.timeout or None)


def _exported(done: UnitResult) -> Mapping[str, Mapping[str, str]]:
    """Return what push steps export, of each destination that was pushed to: of ``push``, ``push_2`` and so on."""
    from oci_push.runner.outputs import push_outputs

    return {
        "push" if number == 1 else f"push_{number}": push_outputs(
            result.repository.host, result.repository, result.root, done.image_id
        )
        for number, result in enumerate(done.results, 1)
        if result.error is None
    }


def show_result(source: str, done: UnitResult, report: Path | None, *, as_json: bool) -> int:
    """Print each tag with its digest, and each failure, and write the report; return the exit code."""
    if as_json or report:
        from oci_push.runner.report import PushReport, write_report

        form = PushReport.of(source, done.results, done.replicas, done.trouble)
        if as_json:
            say_form(form)
    for result in done.results:
        for tag in result.tags:
            if tag.outcome.is_there and not as_json:
                say(f"{result.repository}:{tag.tag}@{result.root}")
        if result.error is not None:
            show_error(result.error)
            show_tags(result)
    show_replicas(done.replicas, is_quiet=as_json)
    if done.trouble is not None:
        show_error(done.trouble)
    if report:
        write_report(report, form)
    errors = [*(one.error for one in done.results), *(one.error for one in done.replicas)]
    return exit_code(errors) or exit_code([done.trouble])


def show_plan(source: str, plan: PushPlan, report: Path | None, *, as_json: bool) -> None:
    """Print the very object that would be executed, and write it as the report."""
    if as_json or report:
        from oci_push.runner.report import ImagePlan, write_report

        form = ImagePlan.of(plan)
        if as_json:
            say_form(form)
        if report:
            write_report(report, replace(form, source=source, status="planned"))
    if as_json:
        return
    graph = plan.graph
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
