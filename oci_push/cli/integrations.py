"""`oci-push integrations import`: registries that are described elsewhere, into ``oci-push.yaml``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from oci_push.cli import targets
from oci_push.cli.command import run_command
from oci_push.cli.output import say_text, tell, warn
from oci_push.cli.words import OUTPUT, Argument, Option
from oci_push.credentials.files import read_file
from oci_push.credentials.format import AuthFile, AuthKey, holds_login
from oci_push.credentials.writing import writable_places
from oci_push.errors import ConfigError
from oci_push.language.importing import Imported, Value, Written, read_registries, write_registries
from oci_push.model.reference import DOCKER_HUB
from oci_push.runtime.context import Context
from oci_push.runtime.files import PRIVATE, write_whole


def import_registries(
    files: Annotated[
        list[Path],
        Argument(
            metavar="FILE...",
            help="docker's config.json, registries from Codefresh's API as JSON, or Terraform JSON"
            " (configuration, or what terraform show -json prints).",
        ),
    ],
    output: Annotated[
        Path | None, Option("Write here, a new file; else to stdout.", short="-o", metavar="FILE", under=OUTPUT)
    ] = None,
    with_secrets: Annotated[bool, Option("Write known secrets into the file, not as ${NAME}. Needs --output.")] = False,
) -> None:
    """Write registries that are described elsewhere as oci-push.yaml; secrets become environment variables."""

    def work(context: Context) -> int:
        if with_secrets and output is None:
            raise ConfigError("--with-secrets needs --output", hint="secrets are written to a file of yours only")
        in_use = {path.resolve() for path in writable_places(targets.auth_files(None).places)}
        found: list[Imported] = []
        for path in files:
            found += _read(path, is_in_use=path.resolve() in in_use)
        written = write_registries(found, with_secrets=with_secrets)
        if output is None:
            say_text(written.text)
        else:
            _write(output, written.text)
        _tell(written, len(found), output)
        return 0

    run_command(work, what="integrations import")


def _read(path: Path, *, is_in_use: bool) -> tuple[Imported, ...]:
    try:
        raw = read_file(path)
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror or problem})") from problem
    if raw is None:
        raise ConfigError(f"{path}: is not there")
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # Not chained: the parser's error carries the text, and with it every secret.
        raise ConfigError(
            f"{path}: is not JSON", hint="Terraform's own language is turned into JSON by: terraform show -json"
        ) from None
    try:
        if isinstance(value, dict) and {"auths", "credHelpers", "credsStore"} & set(value):
            return tuple(_of_docker(AuthFile.parse(raw, str(path)), is_in_use=is_in_use))
        return read_registries(value)
    except ValueError as problem:
        raise ConfigError(f"{path}: {problem}") from problem


def _of_docker(file: AuthFile, *, is_in_use: bool) -> Iterator[Imported]:
    """Return the registries of docker's ``config.json``; `is_in_use` says that oci-push finds the file by itself."""
    keys = {(key.host, key.path): (key, text) for text in (*file.helpers, *file.auths) for key in [AuthKey.parse(text)]}
    for (host, path), (key, text) in sorted(keys.items()):
        fields: dict[str, Value] = {} if host == DOCKER_HUB else {"domain": host}
        if path:
            fields["repository_prefix"] = path
        provider = "dockerhub" if host == DOCKER_HUB else "other"
        name = re.sub(r"[^a-z0-9]+", "-", f"{host}/{path}".lower()).strip("-") if provider == "other" else "dockerhub"
        credential = file.credential(text) if text in file.auths and holds_login(file.auths[text]) else None
        if credential is None or credential.password is None:
            home = f"its login stays in {file.name}, key {key.text}"
            yield Imported(name, provider, fields, has_own_login=True, home=home)
            continue
        home = f"user {credential.shown_user}: the login stays in {file.name}, where oci-push finds it"
        if credential.shown_user == credential.username:
            fields["username"] = credential.username
        secrets = {"password": credential.password}
        yield Imported(name, provider, fields, secrets, has_own_login=is_in_use, home=home)


def _write(output: Path, text: str) -> None:
    try:
        write_whole(output, text, mode=PRIVATE, is_new=True)
    except FileExistsError as problem:
        raise ConfigError(
            f"{output}: is there already", hint="leave out --output and add what is printed to it"
        ) from problem
    except OSError as problem:
        raise ConfigError(f"{output}: cannot be written ({problem.strerror or problem})") from problem


def _tell(written: Written, count: int, output: Path | None) -> None:
    for note in written.notes:
        warn(note)
    tell(f"{count} registries written to {output or 'stdout'}")
    if written.variables:
        tell(f"set these environment variables: {', '.join(written.variables)}")
