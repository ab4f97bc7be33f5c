"""`oci-push whoami`: as whom we would go to each registry, and where that was found. Nobody is contacted."""

from __future__ import annotations

from typing import Annotated, assert_never

import typer
from msgspec import Struct
from msgspec.structs import asdict

from oci_push.cli import options, targets
from oci_push.cli.failures import run_command
from oci_push.cli.output import say, say_json
from oci_push.cli.render.tables import table
from oci_push.credentials.files import AuthFiles
from oci_push.credentials.format import AuthKey
from oci_push.errors import ConfigError, CredentialsError
from oci_push.language.integrations import Config, Integration
from oci_push.model.endpoint import Login
from oci_push.model.identity import AwsIdentity, AzureIdentity, GoogleIdentity, Identity
from oci_push.model.reference import Repository
from oci_push.runtime.context import Scope


class _Row(Struct, frozen=True):
    registry: str
    user: str
    kind: str
    source: str
    integration: str = ""
    problem: str = ""


def whoami(
    registry: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST|INTEGRATION]...", help="Only these; all that are known.")
    ] = None,
    authfile: targets.AuthFile = None,
    config: options.ConfigFile = None,
    allow_env: options.AllowEnv = None,
    as_json: targets.AsJson = False,
) -> None:
    """Show which user goes to which registry, and which file, helper or integration says so."""

    def work(scope: Scope) -> int:
        settings = targets.read_config(config, allow_env)
        files = targets.auth_files(authfile)
        rows = _asked(registry, settings, files, scope) if registry else _all(settings, files, scope)
        if as_json:
            say_json([asdict(row) for row in rows])
        elif not rows:
            say("no logins: not in login files, not in oci-push.yaml")
        else:
            shown = [(row.registry, row.user or "-", row.kind, row.problem or row.source) for row in rows]
            for line in table(("registry", "user", "by", "source"), shown):
                say(line)
        return CredentialsError.exit_code if any(row.problem for row in rows) else 0

    run_command(work, what="whoami")


def _all(settings: Config, files: AuthFiles, scope: Scope) -> list[_Row]:
    return [_of_key(key, files, scope) for key in files.entries()] + [_of_integration(i) for i in settings.integrations]


def _asked(texts: list[str], settings: Config, files: AuthFiles, scope: Scope) -> list[_Row]:
    rows = []
    for text in texts:
        named = settings.find(text)
        if named is not None:
            rows.append(_of_integration(named))
            continue
        target = targets.registry_target(text, settings)
        rows.append(_of_key(target.key, files, scope))
    return rows


def _of_key(key: AuthKey, files: AuthFiles, scope: Scope) -> _Row:
    shown = f"{key.host}/{key.path}" if key.path else key.host
    try:
        found = files.find(Repository(key.host, key.path or "oci-push-whoami"), scope)
    except CredentialsError as problem:
        return _Row(shown, "", "", "", problem=str(problem))
    except ValueError:
        return _Row(shown, "", "", "", problem="this key names no registry")
    if found is None:
        return _Row(shown, "", "nobody", "no login was found")
    return _Row(shown, found.login.shown_user, _kind(found.login), found.login.source)


def _of_integration(found: Integration) -> _Row:
    source = f"registry {found.name!r} of {found.mark.file}"
    host = found.domain or found.name
    try:
        host = found.access(with_login=False).host
        access = found.access()
    except ConfigError as problem:
        return _Row(host, "", "", source, found.name, str(problem))
    if access.login is not None:
        return _Row(host, access.login.shown_user, _kind(access.login), source, found.name)
    if access.identity is not None:
        return _Row(host, _described(access.identity), "cloud identity", source, found.name)
    return _Row(host, "", "nobody", f"{source}; login files are asked", found.name)


def _kind(login: Login) -> str:
    return "identity token" if login.identity_token else "bearer token" if login.registry_token else "password"


def _described(identity: Identity) -> str:
    match identity:
        case AwsIdentity(role_arn=role, access_key_id=key, profile=profile):
            return role or (f"access key {key}" if key else f"profile {profile}" if profile else "AWS default chain")
        case GoogleIdentity(keyfile=keyfile):
            return "Google key file" if keyfile else "Google default credentials"
        case AzureIdentity(client_id=client):
            return f"client {client}" if client else "Azure managed identity"
        case _:
            assert_never(identity)
