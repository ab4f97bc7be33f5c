"""The form of docker's ``config.json`` and podman's ``auth.json``: one file's bytes to keys and logins.

Sources: docker CLI ``cli/config/configfile``, containers-auth.json(5). Which files are read, and which key
wins, is `authfiles`' business. Messages name file, line and key, and never show a value.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Mapping

from msgspec import Struct, field

from oci_push.credentials.helpers import TOKEN_USER
from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential
from oci_push.model.reference import DOCKER_HUB, canonical_host
from oci_push.protocol.credentials import basic_password, basic_user, bearer_token, refresh_token
from oci_push.secret import Secret, repr_without

_REPAIR = "repair the file, or move it away and log in again"
_LOGIN_KEYS = ("auth", "username", "password", "identitytoken", "registrytoken")
_SECRET_KEYS = ("auth", "password", "identitytoken", "registrytoken")
_API_ROOTS = frozenset({"v1", "v2"})


class AuthKey(Struct, frozen=True):
    """A key as it is written, and what it means: a `host` and the `path` of repositories under it."""

    text: str
    host: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> AuthKey:
        """Read a bare host, a host with path, or a URL; all spellings of Docker Hub mean the same host.

        The API roots of old keys (``https://index.docker.io/v1/``) are not paths of repositories.
        """
        scheme, separator, rest = text.strip().partition("://")
        is_url = bool(separator) and scheme.lower() in ("http", "https")
        host, _, path = (rest if is_url else text.strip()).partition("/")
        host = canonical_host(host)
        trimmed = path.strip("/")
        if trimmed in _API_ROOTS and (is_url or path.endswith("/") or host == DOCKER_HUB):
            trimmed = ""
        return cls(text, host, trimmed)

    def covers(self, host: str, path: str) -> bool:
        """Say whether a repository, its host in canonical form, is what this key is for."""
        return self.host == host and (not self.path or path == self.path or path.startswith(f"{self.path}/"))

    @property
    def depth(self) -> int:
        """Return the number of path components: the more, the more exact."""
        return self.path.count("/") + 1 if self.path else 0


class AuthFile(Struct, frozen=True):
    """One file: `auths` by key (unread entries, which may be secret), helpers by key, and the store."""

    name: str
    auths: Mapping[str, object] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    has_headers: bool = False

    def __repr__(self) -> str:
        return repr_without(self, "auths")

    @classmethod
    def parse(cls, raw: bytes, name: str, *, legacy: bool = False) -> AuthFile:
        """Read a file's bytes; an empty file holds nothing, a damaged one raises `CredentialsError`.

        `legacy` is the form of ``~/.dockercfg``, where the keys are the whole file.
        """
        if not raw.strip():
            return cls(name)
        value = _load(raw, name)
        if legacy:
            return cls(name, _known(value))
        helpers = _mapping(value, "credHelpers", name)
        store = value.get("credsStore", "")
        if not isinstance(store, str) or not all(isinstance(helper, str) for helper in helpers.values()):
            raise CredentialsError(f"{name}: credsStore and credHelpers must be names of helpers", hint=_REPAIR)
        return cls(
            name,
            _known(_mapping(value, "auths", name)),
            {key: str(helper) for key, helper in helpers.items() if helper},
            store,
            bool(value.get("HttpHeaders")),
        )

    def credential(self, key: str) -> Credential | None:
        """Read the entry of `key`; ``None`` when it holds nothing. Raises `CredentialsError` when damaged."""
        what = f"{self.name}: entry {key!r}"
        entry = self.auths[key]
        if not isinstance(entry, dict):
            raise CredentialsError(f"{what}: is not an object", hint=_REPAIR)
        user, password = _text(entry, "username", what), _text(entry, "password", what)
        if packed := _text(entry, "auth", what):
            user, password = _unpack(packed, what)
        identity = _text(entry, "identitytoken", what)
        if user == TOKEN_USER:
            user, password, identity = "", "", identity or password
        registry = _text(entry, "registrytoken", what)
        if not (password or identity or registry):
            return None
        return Credential(
            basic_user(user, what),
            basic_password(password, what) if password else None,
            refresh_token(identity, f"{what}: identitytoken") if identity else None,
            bearer_token(registry, f"{what}: registrytoken") if registry else None,
            f"{self.name} ({key})",
        )


def holds_login(entry: object) -> bool:
    """Say whether an entry of `auths` has anything in it; docker notes a login kept in the store by one without."""
    return not isinstance(entry, dict) or any(entry.get(key) for key in _LOGIN_KEYS)


def _load(raw: bytes, name: str) -> dict[str, object]:
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise CredentialsError(f"{name}: is not UTF-8 text", hint=_REPAIR) from None
    except json.JSONDecodeError as problem:
        # Not chained: the parser's error carries the whole file, and with it every password.
        place = f"{name}:{problem.lineno}:{problem.colno}"
        raise CredentialsError(f"{place}: is not valid JSON ({problem.msg.lower()})", hint=_REPAIR) from None
    except (RecursionError, ValueError):
        raise CredentialsError(f"{name}: is not JSON that can be read", hint=_REPAIR) from None
    if not isinstance(value, dict):
        raise CredentialsError(f"{name}: is not a JSON object", hint=_REPAIR)
    return value


def _mapping(value: Mapping[str, object], key: str, name: str) -> Mapping[str, object]:
    found = value.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise CredentialsError(f"{name}: {key} is not an object", hint=_REPAIR)
    return found


def _known(auths: Mapping[str, object]) -> Mapping[str, object]:
    """Make every entry's secrets known, also of those that are never used: helpers and users' commands know them."""
    for entry in auths.values():
        found_in = entry if isinstance(entry, dict) else {}
        for key in _SECRET_KEYS:
            found = found_in.get(key)
            if isinstance(found, str) and Secret(found) and key == "auth":
                with contextlib.suppress(CredentialsError):
                    Secret(_unpack(found, "")[1])
    return auths


def _text(entry: Mapping[str, object], key: str, what: str) -> str:
    found = entry.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise CredentialsError(f"{what}: {key} is not a string", hint=_REPAIR)
    return found


def _unpack(packed: str, what: str) -> tuple[str, str]:
    # Only the first colon separates; some tools pad the password with NUL bytes (docker trims them too).
    try:
        text = base64.b64decode("".join(packed.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        raise CredentialsError(f"{what}: auth is not base64 of user:password", hint=_REPAIR) from None
    user, colon, password = text.partition(":")
    if not colon:
        raise CredentialsError(f"{what}: auth is not base64 of user:password", hint=_REPAIR)
    return user, password.strip("\0")
