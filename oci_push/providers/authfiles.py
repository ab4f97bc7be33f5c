"""Logins in files: docker's ``config.json`` and podman's ``auth.json``, merged by one rule.

All files are read and the most exact key wins over all of them: the full repository, then its parents, then the
host. Where keys are equally exact, earlier files win, and inside a file ``credHelpers`` come before ``auths``
before ``credsStore``. Formats: docker CLI configuration; containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from oci_push.errors import CredentialsError
from oci_push.model.access import Login
from oci_push.model.manifest import load_json
from oci_push.model.reference import DOCKER_HUB, Repository
from oci_push.model.secret import Secret
from oci_push.providers.helpers import RunCommand, ask_helper

_HUB_KEYS = ("index.docker.io", "docker.io", "registry-1.docker.io")
ReadFile = Callable[[Path], bytes | None]
"""Give a file's bytes, or ``None`` where there is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """Tell where a login was found; `kind` is ``auths``, ``credHelpers`` or ``credsStore``."""

    login: Login
    file: str
    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    auths: Mapping[str, object]
    helpers: Mapping[str, object]
    store: str


class AuthFiles:
    """Look logins up; files are read on the first look."""

    def __init__(self, paths: tuple[Path, ...], inline: str, read: ReadFile, run: RunCommand) -> None:
        self._paths = paths
        self._inline = inline
        self._read = read
        self._run = run
        self._files: tuple[_File, ...] | None = None

    @classmethod
    def discover(
        cls, env: Mapping[str, str], home: Path | None, uid: int, read: ReadFile, run: RunCommand
    ) -> AuthFiles:
        """Find the files that docker and podman would use, by their environment variables."""
        paths: list[Path] = []
        if env.get("REGISTRY_AUTH_FILE"):
            paths.append(Path(env["REGISTRY_AUTH_FILE"]))
        else:
            runtime = env.get("XDG_RUNTIME_DIR") or f"/run/containers/{uid}"
            paths.append(Path(runtime) / "containers" / "auth.json")
            if not env.get("XDG_RUNTIME_DIR"):
                paths[-1] = Path(runtime) / "auth.json"
            config = env.get("XDG_CONFIG_HOME") or (str(home / ".config") if home else "")
            if config:
                paths.append(Path(config) / "containers" / "auth.json")
        if env.get("DOCKER_CONFIG"):
            paths.append(Path(env["DOCKER_CONFIG"]) / "config.json")
        elif home:
            paths.append(home / ".docker" / "config.json")
        return cls(tuple(paths), env.get("DOCKER_AUTH_CONFIG", ""), read, run)

    def find(self, repository: Repository) -> Found | None:
        """Give the login for a repository; raises `CredentialsError` for a damaged file or a failing helper."""
        for found in self._candidates(repository):
            return found
        return None

    def _candidates(self, repository: Repository) -> Iterator[Found]:
        files = self._load()
        for names in _keys(repository):
            for file in files:
                yield from self._at(file, names)
        for file in files:
            if file.store:
                server = "https://index.docker.io/v1/" if repository.host == DOCKER_HUB else repository.host
                login = ask_helper(file.store, server, self._run, file.name)
                if login is not None:
                    yield Found(login, file.name, server, "credsStore")

    def _at(self, file: _File, names: tuple[str, ...]) -> Iterator[Found]:
        for key, helper in file.helpers.items():
            if _plain(key) in names and isinstance(helper, str):
                login = ask_helper(helper, key, self._run, f"{file.name} credHelpers")
                if login is not None:
                    yield Found(login, file.name, key, "credHelpers")
        for key, entry in file.auths.items():
            if _plain(key) in names:
                parsed = _login(entry, f"{file.name} ({key})")
                if parsed is not None:
                    yield Found(parsed, file.name, key, "auths")

    def _load(self) -> tuple[_File, ...]:
        if self._files is None:
            loaded = [_parse(self._inline.encode(), "DOCKER_AUTH_CONFIG")] if self._inline.strip() else []
            for path in self._paths:
                try:
                    raw = self._read(path)
                except OSError as problem:
                    raise CredentialsError(
                        f"{path}: cannot be read ({problem.strerror})", hint="check who may read the file"
                    ) from problem
                if raw and raw.strip():
                    loaded.append(_parse(raw, str(path)))
            self._files = tuple(loaded)
        return self._files


def _keys(repository: Repository) -> Iterator[tuple[str, ...]]:
    """Give the spellings of each key, the most exact first."""
    hosts = _HUB_KEYS if repository.host == DOCKER_HUB else (repository.host,)
    parts = repository.path.split("/")
    for length in range(len(parts), -1, -1):
        tail = "/".join(parts[:length])
        yield tuple(f"{host}/{tail}" if tail else host for host in hosts)


def _plain(key: str) -> str:
    """Reduce ``https://host/v1/`` and its like to what podman writes."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    for suffix in ("/v1", "/v2"):
        bare = bare.removesuffix(suffix)
    return bare


def _parse(raw: bytes, name: str) -> _File:
    try:
        value = load_json(raw, name)
    except ValueError as problem:
        raise CredentialsError(str(problem), hint="repair or remove the file") from problem
    auths, helpers, store = value.get("auths"), value.get("credHelpers"), value.get("credsStore")
    return _File(
        name,
        auths if isinstance(auths, dict) else {},
        helpers if isinstance(helpers, dict) else {},
        store if isinstance(store, str) else "",
    )


def _login(entry: object, source: str) -> Login | None:
    if not isinstance(entry, dict):
        return None

    def text(key: str) -> str:
        value = entry.get(key)
        return value if isinstance(value, str) else ""

    if text("registrytoken"):
        return Login(registry_token=Secret(text("registrytoken")), source=source)
    user, password = text("username"), text("password")
    if text("auth"):
        try:
            decoded = base64.b64decode(text("auth"), validate=False).decode()
        except (binascii.Error, UnicodeDecodeError) as problem:
            raise CredentialsError(f"{source}: auth is not base64 of user:password", hint="log in again") from problem
        user, _, password = decoded.rstrip("\0").partition(":")
    if text("identitytoken"):
        return Login(user, identity_token=Secret(text("identitytoken")), source=source)
    if user == "<token>" and password:
        return Login(identity_token=Secret(password), source=source)
    return Login(user, Secret(password), source=source) if user and password else None
