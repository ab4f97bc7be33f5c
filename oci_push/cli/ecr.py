"""`oci-push ecr replication`: see and set what a registry copies to other regions, and wait for an image's copies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Struct
from msgspec.structs import asdict, replace

from oci_push.cli.command import run_command, takes
from oci_push.cli.inputs import read_bytes
from oci_push.cli.options import AsJson, CaFile, Common, Debug, Quiet, split_regions
from oci_push.cli.output import say, say_form, say_json, warn
from oci_push.cli.progress import LineRenderer
from oci_push.cli.results import show_replicas
from oci_push.cli.words import LOGIN, SAFETY, SPEED, TARGET, Argument, Option
from oci_push.engine.pusher import REPLICATION_S, Pusher
from oci_push.engine.regions import follow
from oci_push.errors import ConfigError, exit_code
from oci_push.forms import VERSION, to_builtins
from oci_push.language.replication import load_rules
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import CloudIdentity
from oci_push.providers.families import known_regional
from oci_push.providers.replication import Difference, Place, Replication, compare, settle
from oci_push.runner.report import ReplicaForm, ReplicationReport
from oci_push.runtime.context import Context

_CLOUD = known_regional("ecr")


class Caller(Struct, frozen=True):
    """Who asks AWS."""

    profile: Annotated[str, Option("Profile of AWS's configuration.", metavar="NAME", under=LOGIN)] = ""
    role_arn: Annotated[str, Option("Assume this role first.", metavar="ARN", under=LOGIN)] = ""
    external_id: Annotated[str, Option("What the role's trust policy asks for.", metavar="ID", under=LOGIN)] = ""
    debug: Debug = False

    def identity(self, region: str = "") -> CloudIdentity:
        """Return the identity that these options say."""
        given = {"profile": self.profile, "role_arn": self.role_arn, "external_id": self.external_id}
        return replace(_CLOUD.IDENTITY(region=region), **given)


class RegionalCaller(Caller, frozen=True):
    """Who asks AWS, and about the registry of which region."""

    region: Annotated[
        str, Option("The registry's region; else AWS_REGION or the profile's.", metavar="NAME", under=LOGIN)
    ] = ""

    def endpoint(self) -> RegistryEndpoint:
        """Return the registry; raises `ConfigError` where no region is known."""
        region = self.region or _CLOUD.default_region(self.profile)
        if not region:
            raise ConfigError("no AWS region is known", hint="give --region or AWS_REGION")
        identity = self.identity(region)
        return RegistryEndpoint(identity.host, identity=identity)


@takes(RegionalCaller)
def show(as_json: AsJson = False, *, caller: RegionalCaller) -> None:
    """Print the registry's replication rules."""

    def work(context: Context) -> int:
        with Common(no_memory=True).pusher(context, LineRenderer(quiet=as_json)) as pusher:
            seen = _replication(pusher, caller.endpoint())
            home, rules = seen.home(context), seen.rules(context)
        if as_json:
            say_json({"registry": asdict(home), "rules": to_builtins(rules)})
            return 0
        say(f"registry {home}: {len(rules)} replication rules" if rules else f"registry {home}: replication is off")
        for rule in rules:
            say(f"  {rule}")
        return 0

    run_command(work, what="ecr replication show")


@takes(RegionalCaller)
def set_rules(
    file: Annotated[Path, Argument(metavar="RULES.yml", help="The rules, all of them: others are removed.")],
    plan: Annotated[bool, Option("Show the difference and write nothing.", under=SAFETY)] = False,
    *,
    caller: RegionalCaller,
) -> None:
    """Replace the registry's replication rules by those of a file; shows the difference first."""

    def work(context: Context) -> int:
        raw = read_bytes(file)
        with Common(no_memory=True).pusher(context, LineRenderer()) as pusher:
            endpoint = caller.endpoint()
            seen = _replication(pusher, endpoint)
            here = Place(_CLOUD.identity_at(endpoint.host).region, _CLOUD.account_of(endpoint.host))
            wanted = load_rules(raw, str(file), here, seen.limits)
            home = seen.home(context)
            wanted = settle(wanted, home)
            problems = [problem for rule in wanted for problem in seen.limits.rule_problems(rule, home)]
            if problems:
                raise ConfigError(f"{file}: {'; '.join(problems)}")
            if len(wanted) > (usual := seen.limits.usual_rules):
                warn(f"{len(wanted)} rules: registries that are not raised to it take {usual}")
            difference = compare(seen.rules(context), wanted)
            _show_difference(home, difference)
            if plan or not (difference.added or difference.removed):
                return 0
            seen.set_rules(context, wanted)
            say(f"registry {home}: {len(wanted)} rules set")
        return 0

    run_command(work, what="ecr replication set")


@takes(Caller)
def wait(
    reference: Annotated[str, Argument(metavar="REF", help="HOST/REPO:TAG or HOST/REPO@DIGEST.")],
    regions: Annotated[
        list[str] | None, Option("Wait for these; else for all that the rules name.", metavar="A,B", under=TARGET)
    ] = None,
    timeout: Annotated[float, Option("Seconds to wait.", min=1, under=SPEED)] = REPLICATION_S,
    ca_file: CaFile = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    caller: Caller,
) -> None:
    """Wait until every region serves an image; copy it where no rule covers a region that was asked for."""

    def work(context: Context) -> int:
        emit = LineRenderer(quiet=quiet or as_json)
        with Common(ca_file=ca_file, no_memory=True).pusher(context, emit) as pusher:
            inner = context.child(seconds=timeout, what="waiting for replication")
            results = follow(inner, pusher, reference, caller.identity(), split_regions(regions), emit)
        if as_json:
            say_form(ReplicationReport(VERSION, tuple(ReplicaForm.of(result) for result in results)))
        show_replicas(results, is_quiet=as_json)
        return exit_code([result.error for result in results])

    run_command(work, what="ecr replication wait")


def _replication(pusher: Pusher, endpoint: RegistryEndpoint) -> Replication:
    found = pusher.clients.cloud_services(endpoint).replication
    if found is None:
        raise ConfigError(f"{endpoint.host} is not an ECR registry", hint="give the name of an AWS region")
    return found


def _show_difference(home: Place, difference: Difference) -> None:
    if not (difference.added or difference.removed):
        say(f"registry {home}: the rules are as wanted already")
        return
    say(f"registry {home}:")
    for rule in difference.removed:
        say(f"- {rule}")
    for rule in difference.added:
        say(f"+ {rule}")
