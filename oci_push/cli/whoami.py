"""`oci-push whoami`: as whom we would go to each registry, and where that was found. Nobody is contacted."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct
from msgspec.structs import asdict

from oci_push.api import this_environment
from oci_push.cli import targets
from oci_push.cli.command import run_command, takes
from oci_push.cli.options import AsJson, ConfigOptions
from oci_push.cli.output import say, say_json, table
from oci_push.cli.words import Argument
from oci_push.credentials.files import AuthFiles
from oci_push.credentials.format import AuthKey
from oci_push.errors import ConfigError, CredentialsError
from oci_push.language.integrations import Config, Integration
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.providers.job_logins import find_job_login, job_logins
from oci_push.runtime.context import Context


class _Row(Struct, frozen=True):
    registry: str
    user: str
    kind: str
    source: str
    integration: str = ""
    problem: str = ""


@takes(ConfigOptions)
def whoami(
    registry: Annotated[
        list[str] | None, Argument(metavar="[HOST|INTEGRATION]...", help="Only these; all that are known.")
    ] = None,
    authfile: targets.AuthFile = None,
    as_json: AsJson = False,
    *,
    config: ConfigOptions,
) -> None:
    """Show which user goes to which registry, and which file, helper or integration says so."""

    def work(context: Context) -> int:
        settings = targets.read_config(config)
        files = targets.auth_files(authfile)
        rows = _asked(registry, settings, files, context) if registry else _all(settings, files, context)
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


def _all(settings: Config, files: AuthFiles, context: Context) -> list[_Row]:
    rows = [_of_key(key, files, context) for key in files.entries()]
    rows += [_of_integration(i) for i in settings.integrations]
    # At last those that the job has, as long as nobody says more of that host.
    said = {row.registry for row in rows}
    env = this_environment().env
    return rows + [_row(host, login) for host, login in job_logins(env) if host not in said]


def _asked(texts: list[str], settings: Config, files: AuthFiles, context: Context) -> list[_Row]:
    rows = []
    for text in texts:
        named = settings.find(text)
        if named is not None:
            rows.append(_of_integration(named))
            continue
        target = targets.registry_target(text, settings)
        rows.append(_of_key(target.key, files, context))
    return rows


def _of_key(key: AuthKey, files: AuthFiles, context: Context) -> _Row:
    shown = f"{key.host}/{key.path}" if key.path else key.host
    try:
        found = files.find(Repository(key.host, key.path or "oci-push-whoami"), context)
    except CredentialsError as problem:
        return _Row(shown, "", "", "", problem=str(problem))
    except ValueError:
        return _Row(shown, "", "", "", problem="this key names no registry")
    login = found.credential if found else find_job_login(RegistryEndpoint(key.host), this_environment().env)
    return _row(shown, login) if login else _Row(shown, "", "nobody", "no login was found")


def _row(shown: str, login: Credential) -> _Row:
    return _Row(shown, login.shown_user, _kind(login), login.source)


def _of_integration(found: Integration) -> _Row:
    source = f"registry {found.name!r} of {found.location.file}"
    host = found.domain or found.name
    try:
        host = found.endpoint(with_login=False).host
        endpoint = found.endpoint()
    except ConfigError as problem:
        return _Row(host, "", "", source, found.name, str(problem))
    if endpoint.credential is not None:
        return _Row(host, endpoint.credential.shown_user, _kind(endpoint.credential), source, found.name)
    if endpoint.identity is not None:
        kind = "job identity" if endpoint.identity.oidc else "cloud identity"
        return _Row(host, str(endpoint.identity), kind, source, found.name)
    return _Row(host, "", "nobody", f"{source}; login files are asked", found.name)


def _kind(credential: Credential) -> str:
    return (
        "identity token" if credential.identity_token else "bearer token" if credential.registry_token else "password"
    )
