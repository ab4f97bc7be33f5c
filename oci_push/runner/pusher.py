"""Pushing in one run: logins, connections and memory shared by every image that goes out.

The walk of one image: `open` the source, `plan` (graph and legs), `execute`. Nothing here reads the environment;
it is handed in as `Surroundings`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.credentials.certificates import add_certificates, certificate_folders
from oci_push.credentials.files import HELPER_AGE_S, AuthFiles
from oci_push.engine.graph import ImageGraph, walk
from oci_push.engine.plan import PushPlan, Target, plan_push
from oci_push.engine.push import Care, PushResult, execute
from oci_push.errors import ConfigError, CredentialsError, OciPushError
from oci_push.events import Emit, Event, Note, discreet, ignore
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import Access, Login, Trust
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination, Reference, Repository
from oci_push.model.source import SourceSpec, parse_source
from oci_push.protocol import referrers
from oci_push.protocol.call import BytesBody
from oci_push.providers.base import complete
from oci_push.providers.families import find_family
from oci_push.registry.clients import Connections
from oci_push.registry.upload_store import Journal
from oci_push.runtime.cache import Memory, NoMemory, SqliteMemory
from oci_push.runtime.commands import command_runner
from oci_push.runtime.context import Scope
from oci_push.runtime.retry import RetryPolicy
from oci_push.sources import option_effects as asked
from oci_push.sources.base import Source
from oci_push.sources.docker_archive import DockerArchiveSource
from oci_push.sources.files import SpoolSpace
from oci_push.sources.remote import RemoteSource
from oci_push.sources.settings import SourceSettings
from oci_push.sources.table import open_source, path_exists
from oci_push.transport.credentials import Lease, LeasedLogin, LoginSource
from oci_push.transport.session import TransportSettings

ANNOTATIONS_TYPE = "application/vnd.oci-push.annotations.v1"
"""The artifact type of annotations that are attached to an image."""
_ANY_DIGEST = Digest.of(b"")
_MEMORY_FILE = "memory.sqlite3"


class Options(Struct, frozen=True):
    """Hold what a whole run may be told.

    `trust` applies to registries that have no settings of their own; `login` overrides every login found, where
    `login_host` is given those of that registry alone. `rehearsal` is the ``host:port`` of a sandbox that stands in for
    every target. `remember` switches the memory of earlier runs, `foreign_layers` sends layers that their manifest says
    to fetch from elsewhere. What is asked of an image and has no effect on it is an error, and a warning where
    `is_lenient`: in a run of several images.
    """

    trust: Trust = field(default_factory=Trust)
    login: Login | None = None
    login_host: str = ""
    accesses: Mapping[str, Access] = field(default_factory=dict)
    sources: SourceSettings = field(default_factory=SourceSettings)
    transport: TransportSettings = field(default_factory=TransportSettings)
    blob_retry: RetryPolicy = field(default_factory=RetryPolicy)
    care: Care = field(default_factory=Care)
    mount: bool = True
    remember: bool = True
    foreign_layers: bool = False
    is_lenient: bool = False
    rehearsal: str = ""


class Surroundings(Struct, frozen=True):
    """Hold what comes from outside the program: environment, home folder, user number, randomness, stdin."""

    env: Mapping[str, str]
    home: Path | None
    uid: int
    random: Callable[[], float]
    stdin: BinaryIO | None = None


class Pusher:
    """Push images in one run; close it at the end. Safe to use from several threads."""

    def __init__(
        self,
        scope: Scope,
        options: Options,
        surroundings: Surroundings,
        emit: Emit = ignore,
    ) -> None:
        env, home, emit = surroundings.env, surroundings.home, discreet(emit)
        self.scope = scope
        self._options = options
        self._env = env
        self._home = home
        self._emit = emit
        self._stdin = surroundings.stdin
        self._logins = AuthFiles.discover(
            env, home=home, uid=surroundings.uid, run_command=command_runner(env, scope.clock), emit=emit
        )
        folder = self._cache_folder()
        self._memory: Memory = NoMemory()
        if folder:
            self._memory = SqliteMemory(folder / _MEMORY_FILE, scope.clock, lambda text: emit(Note(text, "warning")))
        # A rehearsal's registry has an address that will mean another one tomorrow.
        lasts = folder is not None and not options.rehearsal
        self._told: list[Event] = []
        self._renewing: dict[Access, LoginSource] = {}
        self._connections = Connections(
            scope,
            options.transport,
            blob_retry=options.blob_retry,
            random=surroundings.random,
            emit=emit,
            home=home,
            memory=self._memory if lasts else NoMemory(),
            journal=Journal(self._memory, folder) if lasts and folder else None,
            mount=options.mount,
            renewing=self._renewing.get,
        )

    def close(self) -> None:
        """Close connections and write down what was learnt."""
        self._connections.close()
        self._memory.close()

    def speaking(self, emit: Emit) -> Pusher:
        """Give the same pusher telling its events to somebody else; everything else is shared. It is not closed."""
        other = copy.copy(self)
        other._emit = emit
        return other

    def access(self, repository: Repository, given: Access | None = None) -> Access:
        """Decide how a repository's registry is reached: given, configured, or found in files."""
        access = given or self._options.accesses.get(repository.host) or Access(repository.host)
        has_own = access.is_alone or access.identity is not None
        given_login = self._options.login if self._options.login_host in ("", repository.host) else None
        login = access.login or (None if has_own else given_login)
        found = None
        if login is None and not has_own:
            found = self._logins.find(repository, self.scope)
            login = found.login if found else None
        if login is not None:
            login = complete(login, find_family(repository.host))
        trust = access.trust
        if trust == Trust():
            trust = self._options.trust
        folders = certificate_folders(self._env, self._home)
        trust = add_certificates(trust, repository.host, folders, self._tell_once)
        access = replace(access, login=login, trust=trust)
        if found is not None and found.kind != "auths" and login is not None:
            self._renewing.setdefault(access, self._renewed(repository, login))
        return access

    def _tell_once(self, event: Event) -> None:
        """Tell what is found again each time a registry is looked up."""
        if event not in self._told:
            self._told.append(event)
            self._emit(event)

    def _renewed(self, repository: Repository, first: Login) -> LoginSource:
        """Make the source of a login that a helper gave: the helper is asked again when it has aged or is refused."""
        known = [first]

        def make(scope: Scope) -> Lease:
            if known:
                return Lease(known.pop(), HELPER_AGE_S)
            found = self._logins.find(repository, scope, ask_again=True)
            if found is None:
                raise CredentialsError(
                    f"{repository.host}: its credential helper has no login any more", hint="log in again"
                )
            return Lease(complete(found.login, find_family(repository.host)), HELPER_AGE_S)

        return LeasedLogin(self.scope.clock, make)

    def plan(
        self, source: Source, targets: Sequence[Target], scope: Scope, platform: Platform | None = None
    ) -> PushPlan:
        """Read the image and lay out what would be done, without writing anything."""
        graph = walk(scope, source, platform=platform, foreign=self._options.foreign_layers, emit=self._emit)
        self._tell_asked(asked.about_image(self._options.sources, graph.nodes))
        origin = source.origin if self._options.mount else None
        return plan_push(graph, targets, origin=origin, remembered=self._remembered(graph, targets))

    def check(self, source: Source, targets: Sequence[Target], scope: Scope, platform: Platform | None = None) -> None:
        """Before long work, see that it can come to what is asked for, and that a target will take it; else raise."""
        if isinstance(source, DockerArchiveSource) and not self._options.is_lenient:
            source.check_asked(platform)
        if source.is_ready or self._options.rehearsal:
            return
        errors: list[OciPushError] = []
        for target in targets:
            self._connections.want(target.access, push=(target.repository,))
            try:
                self._connections.repository(target.access, target.repository).check_push(scope, _ANY_DIGEST)
                return
            except OciPushError as error:
                scope.check()
                errors.append(error)
        raise errors[0]

    def execute(self, plan: PushPlan, source: Source, scope: Scope) -> tuple[PushResult, ...]:
        """Do what a plan says, and remember what the repositories now hold."""
        for leg in plan.legs:
            mounts = tuple({r: None for wishes in leg.mounts.values() for r in wishes})
            self._connections.want(leg.target.access, push=(leg.target.repository,), pull=mounts)
        results = execute(plan, source, self._connections, scope, self._emit, self._options.care)
        for leg, result in zip(plan.legs, results, strict=True):
            if result.error is None and not self._options.rehearsal:
                for blob in leg.blobs:
                    self._memory.remember_blob(leg.target.access.host, result.repository.path, blob.digest)
        return results

    def attach(self, pushed: PushResult, annotations: Mapping[str, str], scope: Scope) -> Digest:
        """Attach annotations to a pushed image as an artifact that refers to it; the image itself stays as it is."""
        subject = Descriptor(pushed.media_type, pushed.root, pushed.root_size)
        referrer = referrers.make_referrer(subject, ANNOTATIONS_TYPE, annotations)
        client = self._connections.repository(pushed.access or self.access(pushed.repository), pushed.repository)
        if not client.has_blob(scope, referrers.EMPTY):
            client.upload(scope, referrers.EMPTY, BytesBody(referrers.EMPTY_JSON))
        client.put_manifest(scope, referrer, str(referrer.digest))
        return referrer.digest

    @contextmanager
    def open(self, text: str, scope: Scope, *, given: Access | None = None, targets: int = 1) -> Iterator[Source]:
        """Open a SOURCE; `targets` above one makes a registry's blobs be downloaded once and kept."""
        source = self._open(parse_source(text, path_exists), scope, given, targets)
        try:
            settings = self._options.sources
            self._tell_asked(asked.about_level(settings, source.name, compresses=source.compresses))
            yield source
        finally:
            source.close()

    def _tell_asked(self, problems: Iterable[str]) -> None:
        for problem in problems:
            if not self._options.is_lenient:
                raise ConfigError(problem, hint=asked.HINT)
            self._emit(Note(problem, "warning"))

    def targets(self, destinations: Sequence[Destination], given: Access | None = None) -> tuple[Target, ...]:
        """Join destinations with how they are reached."""
        return tuple(self.target(d.repository, d.tags, given) for d in destinations)

    def target(self, repository: Repository, tags: tuple[str, ...], given: Access | None = None) -> Target:
        """Join one repository with how it is reached, which in a rehearsal is the sandbox."""
        if not self._options.rehearsal:
            access = self.access(repository, given)
            resolved = self._connections.resolve(access, self.scope)
            if resolved != access:
                repository = replace(repository, host=resolved.host)
            return Target(resolved, repository, tags)
        stand_in = Repository(self._options.rehearsal, f"{repository.host.replace(':', '-').lower()}/{repository.path}")
        return Target(Access(self._options.rehearsal, None, Trust(plain_http=True)), stand_in, tags)

    def head(self, repository: Repository, tag: str, scope: Scope) -> Digest | None:
        """Ask what a tag points at."""
        client = self._connections.repository(self.access(repository), repository)
        there = client.head(scope, tag)
        return there.digest if there else None

    def _open(self, spec: SourceSpec, scope: Scope, given: Access | None, targets: int) -> Source:
        settings = replace(
            self._options.sources, digest_cache=self._memory, foreign_layers=self._options.foreign_layers
        )
        if spec.kind != "registry":
            return open_source(spec, settings, scope=scope, emit=self._emit, stdin=self._stdin)
        reference = Reference.parse(spec.path)
        client = self._connections.repository(self.access(reference.repository, given), reference.repository)
        spool = SpoolSpace(settings.temp_folder, settings.spool_bytes)
        return RemoteSource(client, reference, spool, keep=targets > 1)

    def _remembered(
        self, graph: ImageGraph, targets: Sequence[Target]
    ) -> Mapping[tuple[str, Digest], tuple[Repository, ...]]:
        found: dict[tuple[str, Digest], tuple[Repository, ...]] = {}
        if not self._options.mount or self._options.rehearsal:
            return found
        for target in targets:
            host = target.access.host
            if not self._connections.can_mount(target.access):
                continue
            for blob in graph.blobs:
                paths = self._memory.find_mounts(host, blob.digest, target.repository.path)
                found[host, blob.digest] = tuple(Repository(target.repository.host, path) for path in paths)
        return found

    def _cache_folder(self) -> Path | None:
        cache = self._env.get("XDG_CACHE_HOME") or (str(self._home / ".cache") if self._home else "")
        return Path(cache) / "oci-push" if self._options.remember and cache else None

    @property
    def is_rehearsal(self) -> bool:
        """Say whether a sandbox stands in for every target."""
        return bool(self._options.rehearsal)

    @property
    def memory(self) -> Memory:
        """Give what is remembered between runs."""
        return self._memory

    @property
    def logins(self) -> AuthFiles:
        """Give the logins in docker's and podman's files."""
        return self._logins

    @property
    def connections(self) -> Connections:
        """Give the run's registries."""
        return self._connections
