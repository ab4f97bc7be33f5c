"""`oci-push doctor`: what stands between us and a registry, and what the registry can do."""

from __future__ import annotations

from typing import Annotated

from oci_push.cli import options, targets
from oci_push.cli.command import run_command, show_error, takes
from oci_push.cli.options import AsJson, Connection, Family
from oci_push.cli.output import say, say_json, table, tell
from oci_push.cli.progress import LineRenderer
from oci_push.cli.words import Argument
from oci_push.model.reference import Repository
from oci_push.providers.families import find_family
from oci_push.registry.doctor import Doctor, Examination, scratch_repositories
from oci_push.runtime.context import Context


@takes(Connection)
def doctor(
    reference: Annotated[
        str, Argument(metavar="REF|INTEGRATION", help="HOST[:PORT]/REPO, or a registry of oci-push.yaml.")
    ],
    as_json: AsJson = False,
    username: options.Username = "",
    password_stdin: options.PasswordStdin = False,
    no_memory: options.NoMemory = False,
    family: Family = "",
    *,
    connection: Connection,
) -> None:
    """Examine a registry with real requests, in scratch repositories beside the one named, and clean up.

    What is measured is remembered for a week, and later pushes go by it.
    """

    def work(context: Context) -> int:
        common = connection.common(username=username, password_stdin=password_stdin, no_memory=no_memory)
        named = targets.of_family(targets.image_target(reference, targets.read_config(connection)), family)
        with common.pusher(context, LineRenderer(quiet=as_json)) as pusher:
            target = targets.reached(pusher, named, "oci-push-doctor")
            endpoint = target.endpoint
            here, there = scratch_repositories(endpoint.host, target.namespace)
            session = pusher.clients.session(endpoint)
            kind = find_family(endpoint.host, endpoint.family)
            found = Doctor(session, kind.capabilities, (here, there)).examine(context)
            for name, value in found.abilities.items():
                pusher.cache.remember_capability(endpoint.host, name, value)
        if as_json:
            say_json(_to_json(endpoint.host, kind.name, here, found))
        else:
            rows = [(f.name, f.outcome.value, f.text) for f in found.findings]
            for line in table(("check", "result", "detail"), rows):
                say(line)
            for left in found.left:
                tell(f"left behind: {left}")
            if found.error is not None:
                show_error(found.error)
        return found.error.exit_code if found.error else 0

    run_command(work, what="doctor")


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
