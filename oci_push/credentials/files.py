"""Logins from docker's and podman's files, merged by one rule.

All files are read, and the most exact key wins: the longest path of the repository, then its host, then a
`credsStore`, which knows every host. Between keys that are equally exact, the earlier file wins, and within
one file `credHelpers`, then `auths`, then `credsStore`. A store counts as exact as the host where docker has
noted, by an empty entry in `auths`, that the host's login is in the store.

Files, in order: the JSON in ``DOCKER_AUTH_CONFIG``; podman's ``$XDG_RUNTIME_DIR/containers/auth.json`` (without
that variable ``/run/containers/UID/auth.json``), then ``auth.json`` of the user's configuration folder; docker's
``~/.docker/config.json``; at last ``~/.dockercfg``. ``REGISTRY_AUTH_FILE`` and ``DOCKER_CONFIG`` name a file and
a folder that replace all of these places, as in podman and crane; when both are set, both are read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct

from oci_push.credentials.format import AuthFile, AuthKey, holds_login
from oci_push.credentials.helpers import MissingHelperError, ask_helper
from oci_push.errors import CredentialsError
from oci_push.events import Emit, LogMessage
from oci_push.model.endpoint import Credential
from oci_push.model.reference import DOCKER_HUB, Repository, canonical_host
from oci_push.runtime.commands import RunCommand
from oci_push.runtime.context import Context
from oci_push.runtime.log import Log
from oci_push.runtime.single_flight import SingleFlight
from oci_push.secret import repr_without

_log = Log(__name__)

ReadFile: TypeAlias = Callable[[Path], bytes | None]
Kind: TypeAlias = Literal["auths", "credHelpers", "credsStore"]

MAX_FILE_BYTES = 4 * 1024 * 1024
HELPER_AGE_S = 3600.0
"""How long a helper's answer is used before the helper is asked again; cloud tokens live at least this long."""

_HUB_SERVER = "https://index.docker.io/v1/"
_ANY_HOST = -1
_RANK: Mapping[Kind, int] = {"credHelpers": 0, "auths": 1, "credsStore": 2}


class Place(Struct, frozen=True):
    """A file that may hold logins; `content` stands for a file where a variable holds the text itself.

    `is_named` says that the user has named it. A usual place is no order of the user's: one that cannot be read counts
    as absent, with a warning.
    """

    name: str
    path: Path | None = None
    content: bytes | None = None
    is_legacy: bool = False
    is_named: bool = False

    def __repr__(self) -> str:
        return repr_without(self, "content")


class Candidate(Struct, frozen=True):
    """Name one key that could give the login: where it stands, what kind it is, and how exact it is.

    `depth` counts path components; 0 is the host alone and -1 a store for all hosts. `helper` is the helper's
    name and `server` what it is asked for.
    """

    file: str
    key: str
    kind: Kind
    depth: int
    helper: str = ""
    server: str = ""


class Found(Struct, frozen=True):
    """A login and where it was found."""

    credential: Credential
    file: str
    key: str
    kind: Kind


class Considered(Struct, frozen=True):
    """Tell of one candidate what came of it."""

    candidate: Candidate
    verdict: str


class _Answer(Struct, frozen=True):
    credential: Credential | None
    asked_at: float


class AuthFiles:
    """Find logins in files; they are read when first needed, once. May be used by several threads."""

    def __init__(self, places: tuple[Place, ...], *, read: ReadFile, run_command: RunCommand, emit: Emit) -> None:
        self.places = places
        self._read = read
        self._run_command = run_command
        self._emit = emit
        self._lock = threading.RLock()  # what is read under it may warn
        self._files: tuple[AuthFile, ...] | None = None
        self._warned: set[str] = set()
        self._answers: SingleFlight[tuple[str, str], _Answer] = SingleFlight()

    @classmethod
    def discover(
        cls,
        env: Mapping[str, str],
        *,
        home: Path | None,
        uid: int,
        run_command: RunCommand,
        emit: Emit,
        read: ReadFile | None = None,
    ) -> AuthFiles:
        """Work out the places from the environment; reads no file yet."""
        return cls(tuple(_places(env, home, uid)), read=read or read_file, run_command=run_command, emit=emit)

    def find(self, repository: Repository, context: Context, *, ask_again: bool = False) -> Found | None:
        """Return the login for a repository, or ``None`` when no file has one.

        Helpers are run here, and again after `HELPER_AGE_S` or with `ask_again` (their last answer was refused).
        Raises `CredentialsError` when a file, the chosen entry or a helper mapped to the host is broken.
        """
        for candidate, file in self._candidates(repository):
            credential = self._login(candidate, file, context, ask_again=ask_again)
            if credential is not None:
                return Found(credential, candidate.file, candidate.key, candidate.kind)
        return None

    def explain(self, repository: Repository, context: Context) -> tuple[Considered, ...]:
        """List every key that could give the login, in the order of the rule, and what came of each."""
        considered: list[Considered] = []
        is_chosen = False
        for candidate, file in self._candidates(repository):
            if is_chosen:
                considered.append(Considered(candidate, "not needed, a key before it was chosen"))
                continue
            try:
                credential = self._login(candidate, file, context, ask_again=False)
            except CredentialsError as problem:
                considered.append(Considered(candidate, str(problem)))
                continue
            is_chosen = credential is not None
            considered.append(Considered(candidate, "chosen" if is_chosen else _nothing(candidate)))
        return tuple(considered)

    def entries(self) -> tuple[AuthKey, ...]:
        """List for which hosts and paths the files have entries, each once; raises `CredentialsError`."""
        texts = (text for file in self._load() for text in (*file.helpers, *file.auths))
        found = {(key.host, key.path): key for key in map(AuthKey.parse, texts) if key.host}
        return tuple(key for _, key in sorted(found.items()))

    def _candidates(self, repository: Repository) -> list[tuple[Candidate, AuthFile]]:
        host = canonical_host(repository.host)
        found: list[tuple[tuple[int, int, int, bool], Candidate, AuthFile]] = []
        for number, file in enumerate(self._load()):
            for candidate in _candidates_of(file, host, repository):
                is_other_spelling = candidate.key not in (repository.host, _HUB_SERVER)
                order = (-candidate.depth, number, _RANK[candidate.kind], is_other_spelling)
                found.append((order, candidate, file))
        found.sort(key=lambda item: item[0])
        return [(candidate, file) for _, candidate, file in found]

    def _login(self, candidate: Candidate, file: AuthFile, context: Context, *, ask_again: bool) -> Credential | None:
        if candidate.kind == "auths":
            return file.credential(candidate.key)
        try:
            return self._ask(candidate, context, ask_again=ask_again)
        except MissingHelperError as problem:
            if candidate.depth != _ANY_HOST:
                raise
            # Nobody said that this host's login is in the store: a settings file copied from a desktop names one.
            self._warn(f"{problem}; its logins are not used")
            return None

    def _ask(self, candidate: Candidate, context: Context, *, ask_again: bool) -> Credential | None:
        key = (candidate.helper, candidate.server)
        if ask_again:
            self._answers.drop(key)
        source = f"{candidate.file} ({candidate.kind} {candidate.key})".replace(" )", ")")

        def ask() -> _Answer:
            credential = ask_helper(candidate.helper, candidate.server, self._run_command, context, source=source)
            return _Answer(credential, context.clock.monotonic())

        return self._answers.get(key, ask, lambda a: context.clock.monotonic() - a.asked_at < HELPER_AGE_S).credential

    def _load(self) -> tuple[AuthFile, ...]:
        with self._lock:
            if self._files is None:
                files = (self._read_place(place) for place in self.places)
                self._files = tuple(file for file in files if file is not None)
            return self._files

    def _read_place(self, place: Place) -> AuthFile | None:
        raw = place.content if place.path is None else self._bytes(place.path, is_named=place.is_named)
        if raw is None:
            _log.debug("%s: not there", place.name)
            return None
        file = AuthFile.parse(raw, place.name, legacy=place.is_legacy)
        if file.has_headers:
            _log.debug("%s: HttpHeaders are not sent", place.name)
        return file

    def _bytes(self, path: Path, *, is_named: bool) -> bytes | None:
        try:
            return self._read(path)
        except IsADirectoryError:
            # An optional secret that is mounted in Kubernetes and does not exist appears as a folder.
            _log.debug("%s: is a folder, taken as absent", path)
            return None
        except OSError as problem:
            if is_named or problem.errno is None:  # without a number it is not the system that refuses
                raise _unreadable(path, problem) from problem
            self._warn(f"{path}: cannot be read ({problem.strerror or problem}); its logins are not used")
            return None

    def _warn(self, text: str) -> None:
        with self._lock:
            is_new = text not in self._warned
            self._warned.add(text)
        if is_new:
            self._emit(LogMessage(text, "warning"))


def _unreadable(path: Path, problem: OSError) -> CredentialsError:
    if isinstance(problem, NotADirectoryError):
        return CredentialsError(
            f"{path}: is not there, {path.parent} is a file",
            hint="DOCKER_CONFIG names the folder that holds config.json, not the file",
        )
    return CredentialsError(
        f"{path}: cannot be read ({problem.strerror or problem})",
        hint="make the file readable, or name another with REGISTRY_AUTH_FILE or DOCKER_CONFIG",
    )


def read_file(path: Path) -> bytes | None:
    """Read a whole small file; ``None`` when it is not there. Raises ``OSError``."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(raw) > MAX_FILE_BYTES:
        raise OSError(f"it is larger than {MAX_FILE_BYTES} bytes")
    return raw


def _places(env: Mapping[str, str], home: Path | None, uid: int) -> Iterator[Place]:
    if text := env.get("DOCKER_AUTH_CONFIG"):
        yield Place("DOCKER_AUTH_CONFIG", content=text.encode("utf-8", "surrogateescape"))
    named = [Path(env["REGISTRY_AUTH_FILE"])] if env.get("REGISTRY_AUTH_FILE") else []
    if folder := env.get("DOCKER_CONFIG"):
        named.append(Path(folder) / "config.json")
    for path in named or _default_paths(env, home, uid):
        yield Place(str(path), path, is_named=bool(named))
    if home is not None and not named:
        yield Place(str(home / ".dockercfg"), home / ".dockercfg", is_legacy=True)


def _default_paths(env: Mapping[str, str], home: Path | None, uid: int) -> list[Path]:
    runtime = env.get("XDG_RUNTIME_DIR")
    paths = [Path(runtime, "containers/auth.json") if runtime else Path("/run/containers", str(uid), "auth.json")]
    if configuration := env.get("XDG_CONFIG_HOME"):
        paths.append(Path(configuration, "containers/auth.json"))
    if home is not None:
        paths.append(home / ".config/containers/auth.json")
        paths.append(home / ".docker/config.json")
    return list(dict.fromkeys(paths))


def _candidates_of(file: AuthFile, host: str, repository: Repository) -> Iterator[Candidate]:
    for text, helper in file.helpers.items():
        key = AuthKey.parse(text)
        if key.covers(host, repository.path):
            yield Candidate(file.name, text, "credHelpers", key.depth, helper, server_name(host, key.path))
    is_noted = False
    for text, entry in file.auths.items():
        key = AuthKey.parse(text)
        if key.covers(host, repository.path):
            is_noted = is_noted or (key.depth == 0 and not holds_login(entry))
            yield Candidate(file.name, text, "auths", key.depth)
    if file.store:
        yield Candidate(file.name, "", "credsStore", 0 if is_noted else _ANY_HOST, file.store, server_name(host, ""))


def server_name(host: str, path: str) -> str:
    """Return what files and helpers call a registry: host and path, and for the Hub alone docker's name for it."""
    if path:
        return f"{host}/{path}"
    return _HUB_SERVER if host == DOCKER_HUB else host


def _nothing(candidate: Candidate) -> str:
    return f"helper {candidate.helper} has no login" if candidate.helper else "the entry is empty"
