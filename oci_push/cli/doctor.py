"""`oci-push doctor`: this machine; or what stands between us and a registry, and what the registry can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec.structs import asdict

from oci_push import __version__
from oci_push.api import this_environment
from oci_push.cli import options, targets
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.options import AsJson, Connection, Family
from oci_push.cli.output import say, say_json, table, tell
from oci_push.cli.progress import LineRenderer
from oci_push.cli.wording import counted
from oci_push.cli.words import Argument
from oci_push.engine.job_identity import examine_identity
from oci_push.errors import ConfigError, OciPushError
from oci_push.model.reference import Repository
from oci_push.providers.families import find_family
from oci_push.registry.doctor import SCRATCH, Doctor, Examination, Finding, scratch_repositories
from oci_push.runtime.context import Context


@takes(Connection)
def doctor(
    reference: Annotated[
        str,
        Argument(
            metavar="[REF|INTEGRATION]",
            help="HOST[:PORT]/REPO, or a registry of oci-push.yaml. Without it, this machine is examined.",
        ),
    ] = "",
    as_json: AsJson = False,
    username: options.Username = "",
    password_stdin: options.PasswordStdin = False,
    no_memory: options.NoMemory = False,
    family: Family = "",
    *,
    connection: Connection,
) -> None:
    """Examine this machine, or a registry with real requests.

    Of the machine: temporary folder, limits, memory of earlier runs, proxies, clock, login files and helpers,
    certificate authorities, libraries. Exit 1 where something will keep images from being pushed.

    Where a registry is logged in to as the job itself, the claims of its ID token are shown, which trusts are about.

    A registry is examined in scratch repositories beside the one named, which are cleaned up. What is measured is
    remembered for a week, and later pushes go by it.
    """

    def work(context: Context) -> int:
        if not reference:
            own = {"username": username, "password_stdin": password_stdin, "no_memory": no_memory, "family": family}
            given = [name for name, value in (*own.items(), *asdict(connection).items()) if value and name != "debug"]
            if given:
                raise ConfigError(f"--{given[0].replace('_', '-')} has no effect without a registry", hint="name one")
            return _examine_machine(context, as_json=as_json)
        common = connection.common(username=username, password_stdin=password_stdin, no_memory=no_memory)
        config = targets.read_config(connection)
        named = targets.as_described(targets.image_target(reference, config), config, with_login=not username)
        named = targets.of_family(named, family)
        with common.pusher(context, LineRenderer(quiet=as_json), hosts=(named.endpoint.host,)) as pusher:
            endpoint = pusher.endpoint(named.repository(SCRATCH), named.endpoint)
            identity = examine_identity(pusher.clients, endpoint, context)
            try:
                target = targets.reached(pusher, named, SCRATCH)
            except OciPushError:
                _show([] if as_json else identity)
                raise
            endpoint = target.endpoint
            here, there = scratch_repositories(endpoint.host, target.namespace)
            session = pusher.clients.session(endpoint)
            kind = find_family(endpoint.host, endpoint.family)
            found = Doctor(session, kind.capabilities, (here, there)).examine(context)
            found.findings[:0] = identity
            for name, value in found.abilities.items():
                pusher.cache.remember_capability(endpoint.host, name, value)
        if as_json:
            say_json(_to_json(endpoint.host, kind.name, here, found))
        else:
            _show(found.findings, str(found.error or ""))
            for left in found.left:
                tell(f"left behind: {left}")
            if found.error is not None:
                show_error(found.error)
        return found.error.exit_code if found.error else 0

    run_command(work, what="doctor")


def _show(findings: Sequence[Finding], ended_by: str = "") -> None:
    """Print what was found; what `ended_by` says is told with its hint below the table."""
    rows = [(f.name, f.outcome.value, "see below" if f.text == ended_by else f.text) for f in findings]
    hints = ["", *(f.hint if f.text != ended_by else "" for f in findings)]
    for line, hint in zip(table(("check", "result", "detail"), rows), hints, strict=True) if rows else ():
        say(line)
        if hint:
            say(f"  hint: {hint}")


def _examine_machine(context: Context, *, as_json: bool) -> int:
    from oci_push.engine.machine import Machine, Verdict, examine_machine

    environment = this_environment()
    logins = targets.auth_files(None).places
    found = examine_machine(Machine(environment.env, environment.home, context.clock, logins, __version__))
    counts = {kind: sum(one.verdict is kind for one in found) for kind in Verdict}
    if as_json:
        say_json({"findings": [asdict(one) for one in found], **{str(kind): count for kind, count in counts.items()}})
    else:
        rows = [(one.check, one.verdict.value, one.text) for one in found]
        for line, hint in zip(table(("check", "result", "detail"), rows), ["", *(f.hint for f in found)], strict=True):
            say(line)
            if hint:
                say(f"  hint: {hint}")
        say(f"{counted(counts[Verdict.PROBLEM], 'problem')}, {counted(counts[Verdict.WARNING], 'warning')}")
    return 1 if counts[Verdict.PROBLEM] else 0


def _to_json(host: str, family: str, here: Repository, found: Examination) -> dict[str, object]:
    return {
        "registry": host,
        "family": family,
        "repository": str(here),
        "findings": [{"check": f.name, "result": f.outcome.name.lower(), "detail": f.text} for f in found.findings],
        "abilities": found.abilities,
        "left_behind": found.left,
        "error": str(found.error) if found.error else None,
    }
