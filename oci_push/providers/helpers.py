"""Credential helpers: ``docker-credential-NAME get``, the server's name on stdin, JSON on stdout.

Protocol: docker-credential-helpers README. Nothing secret is ever in an argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from oci_push.errors import CredentialsError
from oci_push.model.access import Login
from oci_push.model.manifest import load_json
from oci_push.model.secret import Secret

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LIMIT = 256 * 1024
_TIMEOUT_S = 30.0

RunCommand = Callable[[tuple[str, ...], bytes, float], tuple[int, bytes, bytes]]
"""Run a program: arguments, stdin, seconds → exit code, stdout, stderr; raises ``OSError`` or ``TimeoutError``."""


def ask_helper(name: str, server: str, run: RunCommand, source: str) -> Login | None:
    """Ask a helper for a server's login; ``None`` where it knows none. `source` says who named the helper."""
    if not _NAME.fullmatch(name):
        raise CredentialsError(f"{source}: {name[:60]!r} is not the name of a credential helper")
    program = f"docker-credential-{name}"
    try:
        code, out, err = run((program, "get"), server.encode(), _TIMEOUT_S)
    except FileNotFoundError as problem:
        raise CredentialsError(
            f"{source}: credential helper {program} is not installed",
            hint=f"install {program} on PATH, or remove the entry",
        ) from problem
    except (OSError, TimeoutError) as problem:
        raise CredentialsError(f"{source}: credential helper {program} failed ({type(problem).__name__})") from problem
    if code != 0:
        said = " ".join((out or err)[:300].decode("utf-8", "replace").split())
        if "not found" in said.lower() or "no credentials" in said.lower():
            return None
        raise CredentialsError(f"{source}: credential helper {program} failed for {server} (exit {code}: {said})")
    try:
        value = load_json(out[:_LIMIT], f"answer of {program}")
    except ValueError as problem:
        raise CredentialsError(f"{source}: {problem}") from problem
    user, secret = value.get("Username"), value.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str) or not secret:
        return None
    origin = f"{program} ({source})"
    if user == "<token>":
        return Login(identity_token=Secret(secret), source=origin)
    return Login(user, Secret(secret), source=origin)
