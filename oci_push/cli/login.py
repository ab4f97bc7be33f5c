"""`oci-push login` and `logout`: check who we are with a registry, and keep it where docker and podman look."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli import options, targets
from oci_push.cli.command import reported, run_command, takes
from oci_push.cli.options import Common, ConfigOptions, Connection, Family
from oci_push.cli.output import say, tell, warn
from oci_push.cli.progress import LineRenderer
from oci_push.cli.targets import Target
from oci_push.cli.words import LOGIN, Argument, Option
from oci_push.credentials.writing import Changed, choose_file, remove_login, store_login, writable_places
from oci_push.errors import Cancelled, ConfigError, CredentialsError, DeniedError
from oci_push.model.endpoint import Credential
from oci_push.protocol.credentials import basic_password, basic_user
from oci_push.protocol.ping import ping
from oci_push.providers.base import complete
from oci_push.providers.families import find_family, regional
from oci_push.runtime.commands import command_runner
from oci_push.runtime.context import Context

Registry = Annotated[
    str, Argument(metavar="HOST|INTEGRATION", help="A registry's host, or a registry of oci-push.yaml.")
]
_SCRATCH = "oci-push-login"
"""Stands for a repository where only a registry was named."""


@takes(Connection)
def login(
    registry: Registry,
    username: Annotated[str, Option("Asked for at a terminal.", short="-u", metavar="NAME", under=LOGIN)] = "",
    password_stdin: options.PasswordStdin = False,
    authfile: targets.AuthFile = None,
    family: Family = "",
    *,
    connection: Connection,
) -> None:
    """Log in to a registry and keep the login; an integration's is got from where oci-push.yaml says."""
    with reported():
        config = targets.read_config(connection)
        named = targets.as_described(targets.registry_target(registry, config), config, with_login=False)
        named = targets.of_family(named, family)
        if named.integration is None:
            typed = _typed(named.endpoint.host, family, username, password_stdin=password_stdin)
            named = replace(named, endpoint=replace(named.endpoint, credential=typed))
        elif username or password_stdin:
            raise ConfigError(f"registry {registry!r} has its login in oci-push.yaml", hint="leave out --username")

    def work(context: Context) -> int:
        # Somebody waits at the prompt: a registry that is away is said to be, not waited for.
        common = connection.common(retries=1)
        with common.pusher(context, LineRenderer(), hosts=(named.endpoint.host,)) as pusher:
            target = targets.reached(pusher, named, _SCRATCH)
            reached = target.endpoint
            session = pusher.clients.session(reached)
            try:
                session.run(context, ping(reached.host))
            except DeniedError as denied:
                raise _refused(reached.host, session.auth.credential(context), denied) from denied
            given = session.auth.credential(context)
            if given is None:
                raise CredentialsError(
                    f"registry {registry!r} has no login in oci-push.yaml",
                    hint="add username and password there, or log in to its host",
                )
            if not session.auth.view().scheme:
                warn(f"{reached.host} asks nobody for a login at /v2/, so this one could not be checked")
            changed = _keep(target, given, authfile, context)
        say(f"logged in to {reached.host} as {given.shown_user or 'the holder of a token'}, kept in {changed}")
        return 0

    run_command(work, what="login")


@takes(ConfigOptions)
def logout(
    registry: Registry,
    authfile: targets.AuthFile = None,
    *,
    config: ConfigOptions,
) -> None:
    """Remove a registry's login from the login files and their credential helpers."""

    def work(context: Context) -> int:
        target = targets.registry_target(registry, targets.read_config(config))
        cloud = regional(target.endpoint.host)
        if cloud is not None and not cloud.account_of(target.endpoint.host):
            # The login is kept under the account's own host, which only the cloud can tell.
            with Common(no_memory=True, retries=1).pusher(context, LineRenderer(quiet=True)) as pusher:
                target = targets.reached(pusher, target, _SCRATCH)
        environment = this_environment()
        run = command_runner(environment.env, context.clock)
        places = [authfile] if authfile else writable_places(targets.auth_files(None).places)
        removed = [one for path in places for one in remove_login(path, target.key, run, context)]
        for one in removed:
            say(f"logged out of {target.endpoint.host}: removed from {one}")
        if not removed:
            tell(f"not logged in to {target.endpoint.host}")
        left = targets.auth_files(authfile).find(target.repository(_SCRATCH), context)
        if left is not None:
            warn(f"{left.credential.source} still has a login that covers it")
        return 0

    run_command(work, what="logout")


def _typed(host: str, family: str, username: str, *, password_stdin: bool) -> Credential:
    """Get user name and password from options, stdin and terminal; never from an argument."""
    kind = find_family(host, family)
    filler = kind.filler_user
    if password_stdin:
        given = Credential(basic_user(username, "--username"), options.read_password(), source="--password-stdin")
    elif sys.stdin is not None and sys.stdin.isatty():
        import typer  # asks at a terminal

        try:
            name = username or str(typer.prompt("Username", default=filler or None, err=True))
            typed = str(typer.prompt("Password or token", hide_input=True, err=True))
        except typer.Abort:
            raise Cancelled("login: stopped at the question").with_hint("nothing was kept") from None
        password = basic_password(typed, "the terminal")
        given = Credential("" if name == filler else name, password, source="the terminal")
    else:
        raise ConfigError(
            "login needs --password-stdin where there is no terminal",
            hint=None if username else "--username NAME is wanted too",
        )
    given = complete(given, kind)
    if not given.username:
        raise ConfigError(f"{host}: a user name is needed", hint="give --username NAME")
    return given


def _refused(host: str, given: Credential | None, denied: DeniedError) -> CredentialsError:
    who = f"user {given.shown_user!r} from {given.source}" if given else "a visitor without credentials"
    return CredentialsError(f"{host}: refused {who} ({denied.status})", hint="check the user name and the password")


def _keep(target: Target, given: Credential, authfile: Path | None, context: Context) -> Changed:
    env: Mapping[str, str] = this_environment().env
    files = targets.auth_files(None)
    path = authfile or choose_file(env, files.places, target.key)
    changed = store_login(path, target.key, given, command_runner(env, context.clock), context)
    if authfile is None:
        found = targets.auth_files(None).find(target.repository(_SCRATCH), context)
        if found is not None and found.file != str(path):
            warn(f"{found.credential.source} goes before it and stays in use")
    return changed
