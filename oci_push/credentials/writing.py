"""Changes to docker's and podman's login files: one entry put in or taken out, everything else kept as it was.

Sources: docker CLI ``cli/config/credentials``, containers-auth.json(5). A file is replaced in one step and is readable
by its owner only. Where the file maps the host to a credential helper, or names a store, the login goes there, and
`auths` only notes it by an empty entry, as docker does.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from oci_push.credentials.files import Place, read_file, server_name
from oci_push.credentials.format import AuthFile, AuthKey
from oci_push.credentials.helpers import MissingHelperError, erase_in_helper, store_in_helper
from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential
from oci_push.runtime.commands import RunCommand
from oci_push.runtime.context import Context
from oci_push.runtime.files import PRIVATE, folder_locked, write_whole

_BUSY_S = 10.0


class Changed(Struct, frozen=True):
    """Tell what was changed: the `file`, the `key` in it, and the `helper` that keeps the secret (empty: the file)."""

    file: str
    key: str
    helper: str = ""

    def __str__(self) -> str:
        where = f"docker-credential-{self.helper}, named by {self.file}" if self.helper else self.file
        return f"{where} ({self.key})"


def writable_places(places: tuple[Place, ...]) -> tuple[Path, ...]:
    """Return the files among `places` that a login may be written to."""
    return tuple(place.path for place in places if place.path is not None and not place.is_legacy)


def choose_file(env: Mapping[str, str], places: tuple[Place, ...], key: AuthKey) -> Path:
    """Decide which file a new login belongs in.

    A file that the environment names is it. Else the first one that has an entry for the same host and path,
    which would hide another further down; else the first one that exists; else docker's.
    """
    if named := env.get("REGISTRY_AUTH_FILE"):
        return Path(named)
    paths = writable_places(places)
    existing = [path for path in paths if path.is_file()]
    for path in existing:
        file = AuthFile.parse(_read(path), str(path))
        if any(_is_same(AuthKey.parse(text), key) for text in (*file.auths, *file.helpers)):
            return path
    if existing:
        return existing[0]
    if not paths:
        raise CredentialsError("no login file: there is no home folder", hint="name a file with --authfile")
    return paths[-1]


def store_login(path: Path, key: AuthKey, credential: Credential, run_command: RunCommand, context: Context) -> Changed:
    """Put a login into a file, or into the helper that the file names for it; raises `CredentialsError`."""
    if credential.password is None and credential.identity_token is None:
        raise CredentialsError(
            f"{path}: a login by a ready token cannot be kept in it",
            hint="log in with a user name and a password or token",
        )
    server = server_name(key.host, key.path)
    with _opened(path, context) as document:
        file = AuthFile.parse(json.dumps(document).encode(), str(path))
        helper = _helper(file, key)
        entry: dict[str, object] = {}
        if helper:
            store_in_helper(helper, server, credential, run_command, context, source=str(path))
        else:
            entry = _entry(credential)
        auths = {text: value for text, value in file.auths.items() if not _is_same(AuthKey.parse(text), key)}
        document["auths"] = {**auths, server: entry}
        _replace(path, document)
    return Changed(str(path), server, helper)


def remove_login(path: Path, key: AuthKey, run_command: RunCommand, context: Context) -> tuple[Changed, ...]:
    """Take every entry for the key's host and path out of a file and its helper; gives what was there."""
    if not path.is_file():
        return ()
    server = server_name(key.host, key.path)
    removed: list[Changed] = []
    with _opened(path, context) as document:
        file = AuthFile.parse(json.dumps(document).encode(), str(path))
        helper = _helper(file, key)
        if helper:
            # A settings file copied from a desktop names a store that is not here: then there is nothing in it.
            with contextlib.suppress(MissingHelperError):
                if erase_in_helper(helper, server, run_command, context, source=str(path)):
                    removed.append(Changed(str(path), server, helper))
        same = [text for text in file.auths if _is_same(AuthKey.parse(text), key)]
        if same:
            document["auths"] = {text: value for text, value in file.auths.items() if text not in same}
            _replace(path, document)
        if not removed:
            removed.extend(Changed(str(path), text) for text in same)
    return tuple(removed)


def _helper(file: AuthFile, key: AuthKey) -> str:
    for text, helper in file.helpers.items():
        if _is_same(AuthKey.parse(text), key):
            return helper
    return file.store


def _is_same(one: AuthKey, other: AuthKey) -> bool:
    return (one.host, one.path) == (other.host, other.path)


def _entry(credential: Credential) -> dict[str, object]:
    password = credential.password.reveal() if credential.password else ""
    entry: dict[str, object] = {"auth": base64.b64encode(f"{credential.username}:{password}".encode()).decode()}
    if credential.identity_token:
        entry["identitytoken"] = credential.identity_token.reveal()
    return entry


@contextmanager
def _opened(path: Path, context: Context) -> Iterator[dict[str, object]]:
    """Return the file's whole content to be changed, alone among processes that do the same."""
    with ExitStack() as stack:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_ours = stack.enter_context(folder_locked(path.parent, context, wait_s=_BUSY_S))
        except OSError as problem:
            raise _unwritable(path, problem) from problem
        if not is_ours:
            raise CredentialsError(f"{path}: is being changed by another process", hint="try again")
        yield _content(path)


def _content(path: Path) -> dict[str, object]:
    raw = _read(path)
    AuthFile.parse(raw, str(path))  # refuses what is damaged, in words that show no secret
    if not raw.strip():
        return {}
    content: dict[str, object] = json.loads(raw.decode("utf-8-sig"))
    return content


def _read(path: Path) -> bytes:
    try:
        return read_file(path) or b""
    except OSError as problem:
        raise CredentialsError(
            f"{path}: cannot be read ({problem.strerror or problem})", hint="name another file with --authfile"
        ) from problem


def _replace(path: Path, document: Mapping[str, object]) -> None:
    text = json.dumps(document, indent="\t", ensure_ascii=False) + "\n"
    try:
        write_whole(path, text, mode=PRIVATE)
    except OSError as problem:
        raise _unwritable(path, problem) from problem


def _unwritable(path: Path, problem: OSError) -> CredentialsError:
    return CredentialsError(
        f"{path}: cannot be written ({problem.strerror or problem})", hint="name another file with --authfile"
    )
