"""`oci-push ecr replication`: see and set what a registry copies to other regions, and wait for an image's copies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from oci_push.cli import options
from oci_push.cli.failures import run_command
from oci_push.cli.options import Common, split_regions
from oci_push.cli.output import say, say_form, say_json, start_debug_log
from oci_push.cli.progress import LineRenderer, show_replicas
from oci_push.cli.push import make_pusher
from oci_push.engine.pusher import REPLICATION_S, Pusher
from oci_push.engine.regions import follow
from oci_push.errors import ConfigError, exit_code
from oci_push.events import LogMessage
from oci_push.forms import VERSION
from oci_push.language.replication import load_rules
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Reference
from oci_push.providers.families import known_regional
from oci_push.providers.replication import Difference, Place, Replication, Rule, compare, settle
from oci_push.runner.report import ReplicaForm, ReplicationReport
from oci_push.runtime.context import Context

ecr = typer.Typer(no_args_is_help=True, help="Amazon ECR's own settings.")
replication = typer.Typer(no_args_is_help=True, help="Copies of a registry in other regions.")
ecr.add_typer(replication, name="replication")

_CLOUD = known_regional("ecr")

Region = Annotated[str, typer.Option("--region", help="The registry's region; else AWS_REGION or the profile's.")]
Profile = Annotated[str, typer.Option("--profile", help="Profile of AWS's configuration.")]
RoleArn = Annotated[str, typer.Option("--role-arn", metavar="ARN", help="Assume this role first.")]
ExternalId = Annotated[str, typer.Option("--external-id", help="What the role's trust policy asks for.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@replication.command()
def show(
    region: Region = "",
    profile: Profile = "",
    role_arn: RoleArn = "",
    external_id: ExternalId = "",
    as_json: AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Print the registry's replication rules."""

    def work(context: Context) -> int:
        pusher = make_pusher(context, Common(no_memory=True), quiet=as_json)
        with contextlib.closing(pusher):
            seen = _replication(pusher, _endpoint(region, profile, role_arn, external_id))
            home, rules = seen.home(context), seen.rules(context)
        if as_json:
            say_json({"registry": _place(home), "rules": [_rule(rule) for rule in rules]})
            return 0
        say(f"registry {home}: {len(rules)} replication rules" if rules else f"registry {home}: replication is off")
        for rule in rules:
            say(f"  {rule}")
        return 0

    _run(work, "ecr replication show", debug=debug)


@replication.command("set")
def set_rules(
    file: Annotated[Path, typer.Argument(metavar="RULES.yml", help="The rules, all of them: others are removed.")],
    plan: Annotated[bool, typer.Option("--plan", help="Show the difference and write nothing.")] = False,
    region: Region = "",
    profile: Profile = "",
    role_arn: RoleArn = "",
    external_id: ExternalId = "",
    debug: options.Debug = False,
) -> None:
    """Replace the registry's replication rules by those of a file; shows the difference first."""

    def work(context: Context) -> int:
        try:
            text = file.read_bytes()
        except OSError as problem:
            raise ConfigError(f"{file}: cannot be read ({problem.strerror})") from problem
        pusher = make_pusher(context, Common(no_memory=True), quiet=False)
        with contextlib.closing(pusher):
            endpoint = _endpoint(region, profile, role_arn, external_id)
            seen = _replication(pusher, endpoint)
            here = Place(_CLOUD.identity_at(endpoint.host).region, _CLOUD.account_of(endpoint.host))
            wanted = load_rules(text, str(file), here, seen.limits)
            home = seen.home(context)
            wanted = settle(wanted, home)
            problems = [problem for rule in wanted for problem in seen.limits.rule_problems(rule, home)]
            if problems:
                raise ConfigError(f"{file}: {'; '.join(problems)}")
            if len(wanted) > (usual := seen.limits.usual_rules):
                _say(f"{len(wanted)} rules: registries that are not raised to it take {usual}", "warning")
            difference = compare(seen.rules(context), wanted)
            _show_difference(home, difference)
            if plan or not (difference.added or difference.removed):
                return 0
            seen.set_rules(context, wanted)
            say(f"registry {home}: {len(wanted)} rules set")
        return 0

    _run(work, "ecr replication set", debug=debug)


@replication.command()
def wait(
    reference: Annotated[str, typer.Argument(metavar="REF", help="HOST/REPO:TAG or HOST/REPO@DIGEST.")],
    regions: Annotated[
        list[str] | None,
        typer.Option("--regions", metavar="A,B", help="Wait for these; else for all that the rules name."),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait.")] = REPLICATION_S,
    profile: Profile = "",
    role_arn: RoleArn = "",
    external_id: ExternalId = "",
    ca_file: options.CaFile = "",
    as_json: AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Wait until every region serves an image; copy it where no rule covers a region that was asked for."""
    identity = replace(_CLOUD.IDENTITY(), profile=profile, role_arn=role_arn, external_id=external_id)

    def work(context: Context) -> int:
        named = _reference(reference)
        pusher = make_pusher(context, Common(ca_file=ca_file, no_memory=True), quiet=quiet or as_json)
        with contextlib.closing(pusher):
            emit = LineRenderer(quiet=quiet or as_json)
            inner = context.child(seconds=timeout, what="waiting for replication")
            results = follow(inner, pusher, named, identity, split_regions(regions), emit)
        if as_json:
            say_form(ReplicationReport(VERSION, tuple(ReplicaForm.of(result) for result in results)))
        show_replicas(results, is_quiet=as_json)
        return exit_code([result.error for result in results])

    _run(work, "ecr replication wait", debug=debug)


def _run(work: Callable[[Context], int], what: str, *, debug: bool) -> None:
    if debug:
        start_debug_log()
    run_command(work, what=what)


def _endpoint(region: str, profile: str, role_arn: str, external_id: str) -> RegistryEndpoint:
    region = region or _CLOUD.default_region(profile)
    if not region:
        raise ConfigError("no AWS region is known", hint="give --region or AWS_REGION")
    identity = replace(_CLOUD.IDENTITY(), region=region, profile=profile, role_arn=role_arn, external_id=external_id)
    return RegistryEndpoint(identity.host, identity=identity)


def _replication(pusher: Pusher, endpoint: RegistryEndpoint) -> Replication:
    found = pusher.clients.cloud_services(endpoint).replication
    if found is None:
        raise ConfigError(f"{endpoint.host} is not an ECR registry", hint="give the name of an AWS region")
    return found


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except ValueError as problem:
        raise ConfigError(f"reference {text!r}: {problem}") from problem


def _show_difference(home: Place, difference: Difference) -> None:
    if not (difference.added or difference.removed):
        say(f"registry {home}: the rules are as wanted already")
        return
    say(f"registry {home}:")
    for rule in difference.removed:
        say(f"- {rule}")
    for rule in difference.added:
        say(f"+ {rule}")


def _say(text: str, level: str) -> None:
    LineRenderer()(LogMessage(text, level))


def _place(place: Place) -> dict[str, str]:
    return {"region": place.region, "account": place.account}


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "destinations": [_place(place) for place in rule.destinations],
        "prefixes": list(rule.prefixes),
        "deletes": rule.deletes,
    }
