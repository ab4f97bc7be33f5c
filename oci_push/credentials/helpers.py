"""Credential helpers: the programs ``docker-credential-NAME`` that docker's and podman's files point at.

Protocol: docker-credential-helpers, README "Development". The server's name goes in on standard input, user and
secret come back as JSON on standard output; a login to be kept goes in as the same JSON. Nothing secret is ever in
an argument or in a message.
"""

from __future__ import annotations

import json
import re

from oci_push.errors import CredentialsError
from oci_push.model.display import quoted
from oci_push.model.endpoint import Credential
from oci_push.model.manifest import load_json
from oci_push.protocol.credentials import basic_password, basic_user, refresh_token
from oci_push.runtime.commands import Finished, RunCommand
from oci_push.runtime.context import Context

TOKEN_USER = "<token>"  # noqa: S105  # a marker, not a secret
"""User name by which helpers and files say that the password is an identity token."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ANSWER_BYTES = 256 * 1024
_TIMEOUT_S = 60.0
_NOT_FOUND = ("credentials not found", "no credentials", "credentials server url not found")


class MissingHelperError(CredentialsError):
    """Report that the program of a helper is not installed."""


def ask_helper(name: str, server: str, run_command: RunCommand, context: Context, *, source: str) -> Credential | None:
    """Ask helper `name` for the login to `server`; ``None`` when it knows none.

    `source` begins every message and becomes the login's source. Raises `MissingHelperError` and
    `CredentialsError`.
    """
    finished = _run(name, "get", server, f"{server}\n".encode(), run_command, context, source)
    program = _program(name)
    if finished.code != 0:
        _refuse_failure(finished, program, server, source)
        return None
    return _login(finished.stdout, f"{source}: credential helper {program} for {server}", f"{source} ({program})")


def store_in_helper(
    name: str, server: str, credential: Credential, run_command: RunCommand, context: Context, *, source: str
) -> None:
    """Hand helper `name` the login to `server` to keep; raises as `ask_helper` does."""
    secret = credential.identity_token or credential.password
    if secret is None:
        raise ValueError("a login without a password or an identity token cannot be kept")
    user = TOKEN_USER if credential.identity_token else credential.username
    entry = {"ServerURL": server, "Username": user, "Secret": secret.reveal()}
    finished = _run(name, "store", server, json.dumps(entry).encode(), run_command, context, source)
    if finished.code != 0:
        # Its words are kept to ourselves: they may repeat what it was handed.
        raise CredentialsError(
            f"{source}: credential helper {_program(name)} did not keep the login to {server}"
            f" (exit code {finished.code})",
            hint="repair the helper, or take credsStore and credHelpers out of the file",
        )


def erase_in_helper(name: str, server: str, run_command: RunCommand, context: Context, *, source: str) -> bool:
    """Tell helper `name` to forget the login to `server`; say whether it had one. Raises as `ask_helper` does."""
    if ask_helper(name, server, run_command, context, source=source) is None:
        return False
    finished = _run(name, "erase", server, f"{server}\n".encode(), run_command, context, source)
    if finished.code != 0:
        _refuse_failure(finished, _program(name), server, source)
    return True


def _program(name: str) -> str:
    return f"docker-credential-{name}"


def _run(
    name: str, action: str, server: str, stdin: bytes, run_command: RunCommand, context: Context, source: str
) -> Finished:
    if not _NAME.fullmatch(name):
        raise CredentialsError(
            f"{source}: {name!r} is not the name of a credential helper",
            hint="write the part after docker-credential-, without a path",
        )
    program = _program(name)
    timeout_s = context.remaining(_TIMEOUT_S)
    try:
        return run_command([program, action], stdin, timeout_s)
    except FileNotFoundError as problem:
        raise MissingHelperError(
            f"{source}: credential helper {program} for {server} is not installed",
            hint=f"put {program} on PATH, or remove the entry from the file and log in again",
        ) from problem
    except TimeoutError as problem:
        context.check()
        raise CredentialsError(
            f"{source}: credential helper {program} gave no answer for {server} within {timeout_s:.0f} s",
            hint=f"run 'echo {server} | {program} get' to see what it waits for",
        ) from problem
    except OSError as problem:
        raise CredentialsError(
            f"{source}: credential helper {program} for {server} cannot be run ({problem.strerror or problem})",
            hint=f"check that {program} is an executable program",
        ) from problem


def _refuse_failure(finished: Finished, program: str, server: str, source: str) -> None:
    # Helpers print their errors on standard output.
    if any(text in finished.stdout.decode("utf-8", "replace").lower() for text in _NOT_FOUND):
        return
    first = _first_words(finished.stdout) or _first_words(finished.stderr) or "no message"
    raise CredentialsError(
        f"{source}: credential helper {program} for {server} failed with exit code {finished.code} ({first})",
        hint=f"run 'echo {server} | {program} get' to see why",
    )


def _first_words(output: bytes) -> str:
    """Return the first line of what a failing helper said, up to what may be an answer: that would hold the secret."""
    words = re.split(r"\{|\[\s*[\"{]", output.decode("utf-8", "replace"), maxsplit=1)[0].strip(" \t\r\n\ufeff")
    return quoted(words.splitlines()[0], 200) if words else ""


def _login(answer: bytes, what: str, source: str) -> Credential | None:
    if len(answer) > _ANSWER_BYTES:
        raise CredentialsError(f"{what}: its answer is over the limit of {_ANSWER_BYTES} bytes")
    try:
        value = load_json(answer, "its answer")
    except ValueError:
        # Not chained and not quoted: the parser's error carries the text, and with it the secret.
        raise CredentialsError(f"{what}: its answer is not a JSON object", hint="update the helper") from None
    user, secret = value.get("Username", ""), value.get("Secret", "")
    if not isinstance(user, str) or not isinstance(secret, str):
        raise CredentialsError(f"{what}: its answer has no Username and Secret", hint="update the helper")
    if not secret:
        return None
    if user == TOKEN_USER:
        return Credential(identity_token=refresh_token(secret, what), source=source)
    return Credential(basic_user(user, what), basic_password(secret, what), source=source)
