"""What the commands around a push share: the options of access, and a run's connections to look with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct

from oci_push.api import this_environment
from oci_push.cli import options
from oci_push.cli.command import show_error
from oci_push.cli.options import Common, Connection
from oci_push.cli.output import say, say_form
from oci_push.cli.progress import LineRenderer
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit
from oci_push.library.looking import Looker
from oci_push.library.naming import repository_of
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Destination, Repository
from oci_push.runtime.context import Context

_RETRIES = 2
"""Somebody waits for the answer: less patience than for a push, and enough for what passes at once."""
_MISSING = 1


class Access(Connection, frozen=True):
    """How a registry is reached that is looked at or changed, and as whom."""

    username: options.Username = ""
    password_stdin: options.PasswordStdin = False
    timeout: options.Timeout = 0

    def settings(self) -> Common:
        """Return all options that a push has, with these."""
        return self.common(retries=_RETRIES)

    @property
    def timeout_s(self) -> float | None:
        """Return the time limit, if there is one."""
        return self.timeout or None


class TransferAccess(Access, frozen=True):
    """The same for commands that send or fetch blobs, with the patience of a push."""

    jobs: options.Jobs = 0
    retries: options.Retries = 4

    def settings(self) -> Common:
        """Return all options that a push has, with these."""
        return self.common()


@contextmanager
def looking(
    context: Context,
    access: Access,
    *,
    sources: Sequence[str] = (),
    repositories: Sequence[Repository] = (),
    emit: Emit | None = None,
) -> Iterator[Looker]:
    """Give what is needed to look at `sources` and `repositories`, reached as oci-push.yaml and the options say.

    Where both are given, a login of the command line is for the `repositories`, as with a push.
    Without `emit` only warnings are told.
    """
    if access.password_stdin and "-" in sources:
        raise ConfigError("--password-stdin and the source - cannot both read stdin")
    named = [one for one in map(repository_of, sources) if one is not None] + list(repositories)
    common = access.settings()
    hosts = tuple(dict.fromkeys(one.host for one in repositories or named))
    described = endpoints(access, named)
    emit = emit or LineRenderer(quiet=True)
    with common.pusher(
        context,
        emit,
        endpoints=described,
        login_host=common.login_host(hosts),
        hosts=hosts,
    ) as pusher:
        yield Looker(pusher, context, emit)


def endpoints(access: Access, repositories: Sequence[Repository]) -> Mapping[str, RegistryEndpoint]:
    """Return how registries are reached that oci-push.yaml describes, by host."""
    env = this_environment().env
    if not repositories or access.find(None, env)[0] is None:
        return {}
    from oci_push.cli.inputs import described_endpoints

    common = access.common()
    return described_endpoints(f"docker://{repositories[0]}", [Destination(one) for one in repositories], common, env)


def say_found(
    found: Struct,
    told: Iterable[tuple[str, str]],
    errors: Sequence[OciPushError | None],
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Print what was found, as a form or as names and what is `told` of each, and return the exit code.

    `errors` has one for each that could not be asked for. The code is that of the first, else whether all are there.
    """
    if as_json:
        say_form(found)
    for (name, said), failed in zip(told, errors, strict=True):
        if failed is not None:
            show_error(failed, before=f"{name}: ")
        elif not (quiet or as_json):
            say(f"{name}  {said}")
    return next((one.exit_code for one in errors if one), 0 if found else _MISSING)
