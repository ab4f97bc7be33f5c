"""`oci-push push`: one image to one or several repositories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from msgspec.structs import replace

from oci_push.api import parse_destinations, this_environment
from oci_push.cli.command import run_command, takes
from oci_push.cli.conversion import Conversion
from oci_push.cli.options import Common, Delivery, Family, split_regions
from oci_push.cli.output import is_terminal, say_form, terminal_size
from oci_push.cli.reporting import Follower, Reporting
from oci_push.cli.signed import Signing
from oci_push.cli.words import SAFETY, TARGET, Argument, Option
from oci_push.engine.artifacts.attachment import Attachment
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import PushUnit, UnitResult, UnitTarget, perform, plan_unit
from oci_push.errors import ConfigError, exit_code
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR

if TYPE_CHECKING:
    from oci_push.runner.report import PushReport


@takes(Signing, Conversion, Common, Delivery, Reporting)
def push(
    source: Annotated[str, Argument(metavar="SOURCE", help=f"{GRAMMAR.known}.")],
    destination: Annotated[list[str], Argument(metavar="DESTINATION...", help="HOST[:PORT]/REPO[:TAG[,TAG…]]")],
    tag: Annotated[
        list[str] | None, Option("One more tag for every destination.", short="-t", metavar="TAG", under=TARGET)
    ] = None,
    attach: Annotated[
        list[str] | None,
        Option(
            "Attach a file to the image: an SBOM, an attestation, …; told by content.",
            metavar="FILE[:TYPE]",
            under=TARGET,
        ),
    ] = None,
    plan: Annotated[
        bool, Option("Ask what is there, show what would be done, and write nothing.", under=SAFETY)
    ] = False,
    no_ask: Annotated[bool, Option("With --plan: ask the targets nothing.", under=SAFETY)] = False,
    family: Family = "",
    *,
    signing: Signing,
    conversion: Conversion,
    common: Common,
    delivery: Delivery,
    reporting: Reporting,
) -> None:
    """Push an image to one or several repositories, with one or several tags each.

    A registry that oci-push.yaml describes is reached and logged in to as it says there.
    """

    def work(context: Context) -> int:
        if common.password_stdin and source == "-":
            raise ConfigError("--password-stdin and the source - cannot both read stdin")
        if no_ask and not plan:
            raise ConfigError("--no-ask has no effect without --plan", hint="give both, or neither")
        if plan and common.export:
            raise ConfigError("--export has no effect with --plan: nothing is pushed", hint="leave out one of them")
        env = this_environment().env
        reporting.check_with(common, env, is_plan=plan)
        form = common.export_form(env)
        destinations = parse_destinations(destination, tag or [])
        changes = conversion.changes(common)
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
            platform=conversion.only(),
            served_in=regions if common.wait_replication else None,
            is_final=True,
            attach=_attachments(attach, env, conversion.source_date_epoch) if attach else (),
            changes=changes,
            sign=signing.rules(),
        )
        is_quiet = common.quiet or delivery.as_json
        login_host = common.login_host(hosts)
        with (
            reporting.following(context.clock, env, is_quiet=is_quiet, title=f"Push {source}") as follower,
            common.pusher(context, follower.emit, endpoints=endpoints, login_host=login_host, hosts=hosts) as pusher,
        ):
            if plan:
                return _plan(unit, pusher, context, common, env, asks=not no_ask, as_json=delivery.as_json)
            done = perform(unit, pusher, context, follower.emit)
        try:
            return _finish(source, done, follower, common, reporting, env, as_json=delivery.as_json)
        finally:
            if common.export and form:
                from oci_push.variables.exports import write_exports

                write_exports(common.export, form, _exported(done))

    run_command(work, what="push", timeout_s=common.timeout or None)


def _plan(
    unit: PushUnit,
    pusher: Pusher,
    context: Context,
    common: Common,
    env: Mapping[str, str],
    *,
    asks: bool,
    as_json: bool,
) -> int:
    """Lay the push out, ask what is there unless told not to, and show both; return the exit code."""
    from oci_push.cli.planned import Planned
    from oci_push.engine.forecast import Forecaster

    laid_out = plan_unit(unit, pusher, context)
    found = Forecaster(pusher.clients).forecast(context, laid_out) if asks else None
    columns = terminal_size().columns if is_terminal(env) else None
    return Planned(unit.source, laid_out, found, columns).show(common.report, as_json=as_json)


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


def _finish(
    source: str,
    done: UnitResult,
    follower: Follower,
    common: Common,
    reporting: Reporting,
    env: Mapping[str, str],
    *,
    as_json: bool,
) -> int:
    """Print and write what became of a push; return the exit code."""
    from oci_push.cli.results import rows_of_push, show_errors, show_tags_of

    def report() -> PushReport:
        from oci_push.runner.report import PushReport

        return PushReport.of(source, done)

    rows = rows_of_push(done.results, follower.tally)
    if as_json:
        say_form(report())
    if not as_json:
        show_tags_of(done.results, done.replicas)
    reporting.show_rows(rows, follower.tally, env, is_quiet=common.quiet or as_json)
    errors = show_errors(done)
    reporting.finish(common, env, title=f"Push {source}", rows=rows, errors=[("", one) for one in errors], form=report)
    ended = [*(one.error for one in done.results), *(one.error for one in done.replicas)]
    return exit_code(ended) or exit_code([done.trouble])


def _attachments(texts: list[str], env: Mapping[str, str], epoch: str) -> tuple[Attachment, ...]:
    """Read ``--attach``."""
    from oci_push.cli.files import EPOCH, created
    from oci_push.sources.artifact_files import FileSpec

    when = created({**env, EPOCH: epoch} if epoch else env)
    specs = [FileSpec.parse(text) for text in texts]
    return tuple(Attachment(one.path, one.media_type, created=when) for one in specs)
