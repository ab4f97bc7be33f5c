"""Pushing in one run: logins, connections and memory shared by every image that goes out.

The walk of one image: `open` the source, `plan` (the graph, and the work for each repository), `execute`. Nothing here
reads the environment; it is handed in as `Environment`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.credentials.certificates import add_certificates, certificate_folders
from oci_push.credentials.files import AuthFiles
from oci_push.engine.graph import walk
from oci_push.engine.memory import MEMORY_FILE, memory_folder
from oci_push.engine.places import Seen, remembered_places
from oci_push.engine.plan import PushPlan, PushTarget, RepositoryPlan, plan_push, plan_repositories
from oci_push.engine.push import Ahead, PushOptions, PushResult, push
from oci_push.engine.signing.signers import Signers
from oci_push.errors import ConfigError
from oci_push.events import Emit, Event, LogMessage, discreet, ignore
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.descriptor import Descriptor
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig, find_endpoint
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination, Repository
from oci_push.model.source import SourceSpec
from oci_push.model.traffic import Traffic
from oci_push.providers.base import complete
from oci_push.providers.families import find_family
from oci_push.providers.job_logins import find_job_login
from oci_push.registry.clients import RegistryClients
from oci_push.registry.repository import RepositoryClient
from oci_push.registry.upload_store import UploadStore
from oci_push.runtime.cache import Cache, NoCache, SqliteCache
from oci_push.runtime.commands import command_runner
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.sources import option_effects as asked
from oci_push.sources.base import ImageReader
from oci_push.sources.settings import ReadingPlace, SourceSettings, Surroundings
from oci_push.sources.table import GRAMMAR, open_source
from oci_push.transport.credentials import CredentialProvider
from oci_push.transport.settings import TransportSettings

if TYPE_CHECKING:
    from oci_push.sources.made import Content

REPLICATION_S = 1800.0
"""How long a region is waited for where nobody says otherwise; most copies take minutes (ECR user guide)."""


class Options(Struct, frozen=True):
    """What a whole run may be told.

    `tls` applies to registries that have no settings of their own; `credential` overrides every login found, where
    `login_host` is given those of that registry alone. `traffic` goes before a registry's own, by host; under the empty
    name it is for all others. `rehearsal` is the ``host:port`` of a sandbox that stands in for every target. `remember`
    switches the memory of earlier runs, `foreign_layers` sends layers that their manifest says to fetch from elsewhere.
    What is asked of an image and has no effect is an error, and a warning where `is_lenient`: in a run of several.
    """

    tls: TlsConfig = field(default_factory=TlsConfig)
    credential: Credential | None = None
    login_host: str = ""
    endpoints: Mapping[str, RegistryEndpoint] = field(default_factory=dict)
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    sources: SourceSettings = field(default_factory=SourceSettings)
    transport: TransportSettings = field(default_factory=TransportSettings)
    blob_retry: RetryPolicy = field(default_factory=RetryPolicy)
    push_options: PushOptions = field(default_factory=PushOptions)
    mount: bool = True
    remember: bool = True
    foreign_layers: bool = False
    is_lenient: bool = False
    rehearsal: str = ""


class Environment(Struct, frozen=True):
    """What comes from outside the program: environment, home folder, user number, randomness, stdin."""

    env: Mapping[str, str]
    home: Path | None
    uid: int
    random: Callable[[], float]
    stdin: BinaryIO | None = None


class Pusher:
    """Push images in one run; close it at the end. Safe to use from several threads."""

    def __init__(self, context: Context, options: Options, this_environment: Environment, emit: Emit = ignore) -> None:
        env, home, emit = this_environment.env, this_environment.home, discreet(emit)
        self.context = context
        self._options = options
        self.signers = Signers(env, lambda: self._connections.cloud())
        self._emit = emit
        self._around = Surroundings(env, home, this_environment.uid, this_environment.stdin)
        run_command = command_runner(env, context.clock)
        self._logins = AuthFiles.discover(env, home=home, uid=this_environment.uid, run_command=run_command, emit=emit)
        folder = memory_folder(env, home) if options.remember else None
        self._memory: Cache = NoCache()
        if folder:
            self._memory = SqliteCache(
                folder / MEMORY_FILE, context.clock, lambda text: emit(LogMessage(text, "warning"))
            )
        # A rehearsal's registry has an address that will mean another one tomorrow.
        lasts = folder is not None and not options.rehearsal
        self._told: list[Event] = []
        self._registries: Mapping[str, RegistryEndpoint] = {}
        self._renewing: dict[RegistryEndpoint, CredentialProvider] = {}
        self._connections = RegistryClients(
            context,
            options.transport,
            blob_retry=options.blob_retry,
            random=this_environment.random,
            emit=emit,
            home=home,
            cache=self._memory if lasts else NoCache(),
            upload_store=UploadStore(self._memory, folder) if lasts and folder else None,
            mount=options.mount,
            renewing=self._renewing.get,
            run_command=run_command,
        )

    def close(self) -> None:
        """Close connections and write down what was learnt."""
        self._connections.close()
        self._memory.close()

    def speaking(self, emit: Emit) -> Pusher:
        """Return the same pusher telling its events to somebody else; everything else is shared. It is not closed."""
        other = copy.copy(self)
        other._emit = discreet(emit)
        return other

    def knowing(self, registries: Mapping[str, RegistryEndpoint], memory: Cache | None = None) -> Pusher:
        """Return the same pusher with names for registries, and its memory; all else is shared. It is not closed."""
        other = copy.copy(self)
        other._registries, other._memory = registries, memory or self._memory
        return other

    def named(self, registry: str) -> RegistryEndpoint | None:
        """Return how a registry that a unit names is reached; nothing for the empty name. Raises `ConfigError`."""
        if registry and registry not in self._registries:
            raise ConfigError(f"registry {registry!r} is not known here", hint="describe it in oci-push.yaml")
        return self._registries.get(registry)

    def described(self, repository: Repository, given: RegistryEndpoint | None = None) -> RegistryEndpoint | None:
        """Return what is said of a repository's registry, if anything is; nothing is looked up."""
        return given or find_endpoint(self._options.endpoints, repository.host)

    def endpoint(self, repository: Repository, given: RegistryEndpoint | None = None) -> RegistryEndpoint:
        """Decide how a repository's registry is reached: given, configured, found in files, or as this job."""
        endpoint = self.described(repository, given) or RegistryEndpoint(repository.host)
        has_own = endpoint.is_alone or endpoint.identity is not None
        given_login = self._options.credential if self._options.login_host in ("", repository.host) else None
        credential = endpoint.credential or (None if has_own else given_login)
        found = None
        if credential is None and not has_own:
            found = self._logins.find(repository, self.context)
            credential = found.credential if found else None
        if credential is not None:
            credential = complete(credential, find_family(repository.host, endpoint.family))
        tls = self._options.tls if endpoint.tls == TlsConfig() else endpoint.tls
        folders = certificate_folders(self._around.env, self._around.home)
        tls = add_certificates(tls, repository.host, folders, self.tell_once)
        traffic = endpoint.traffic_with(self._options.traffic)
        endpoint = replace(endpoint, credential=credential, tls=tls, traffic=traffic)
        if credential is None and not has_own:
            return replace(endpoint, credential=find_job_login(endpoint, self._around.env))
        if found is not None and found.kind != "auths" and credential is not None:
            from oci_push.engine.renewed_logins import renewed

            renewing = renewed(self._logins, self.context.clock, repository, credential, endpoint.family)
            self._renewing.setdefault(endpoint, renewing)
        return endpoint

    def tell_once(self, event: Event) -> None:
        """Tell what is found again each time a registry is looked up."""
        if event not in self._told:
            self._told.append(event)
            self._emit(event)

    def plan(
        self,
        source: ImageReader,
        targets: Sequence[PushTarget],
        context: Context,
        platform: Platform | None = None,
        attach: Sequence[Content] = (),
    ) -> PushPlan:
        """Read the image and lay out what would be done, without writing anything; `attach` is attached to its root."""
        beside = [blob for one in attach for blob in one.blobs]
        foreign = self._options.foreign_layers
        graph = walk(context, source, platform=platform, foreign=foreign, beside=beside, emit=self._emit)
        self._tell_asked(asked.about_image(self._options.sources, graph.nodes))
        origin = source.origin if self._options.mount else None
        plan = plan_push(graph, targets, origin=origin, remembered=self._remembered(graph.blobs, targets))
        return replace(plan, attached=tuple(one.about(graph.root.descriptor()) for one in attach)) if attach else plan

    def check(
        self, source: ImageReader, targets: Sequence[PushTarget], context: Context, platform: Platform | None = None
    ) -> None:
        """Before long work, see that it can come to what is asked for, and that a target will take it; else raise."""
        if not self._options.is_lenient:
            source.check_asked(platform)
        if source.is_ready or self._options.rehearsal:
            return
        from oci_push.engine.beforehand import check_rights  # only where long work waits

        check_rights(context, targets, self._connections)

    def push(
        self,
        source: ImageReader,
        targets: Sequence[PushTarget],
        context: Context,
        platform: Platform | None = None,
        options: PushOptions | None = None,
        attach: Sequence[Content] = (),
    ) -> tuple[PushPlan, tuple[PushResult, ...]]:
        """Check, plan and execute; what a source must make first goes out while it makes the rest."""
        ahead = self.find_stored(source, targets, context)
        self.check(source, targets, context, platform)
        if not source.is_ready:
            from oci_push.engine.ahead import send_ahead

            ahead = send_ahead(context, source, partial(self._planned, targets), self._connections, self._emit)
        plan = self.plan(source, targets, context, platform, attach)
        return plan, self.execute(plan, source, context, options, ahead)

    def find_stored(
        self, source: ImageReader, targets: Sequence[PushTarget], context: Context, *, plans: bool = False
    ) -> Ahead:
        """Let an image keep its digest whose blobs only the targets have; nothing is mounted in `plans`."""
        if not source.elsewhere or self._options.rehearsal:
            return {}
        from oci_push.engine.beforehand import find_stored  # only images that were pulled

        asked = self._planned(targets, source.elsewhere)
        return find_stored(context, source, asked, self._connections, self._emit, plans=plans)

    def _planned(self, targets: Sequence[PushTarget], blobs: tuple[Descriptor, ...]) -> tuple[RepositoryPlan, ...]:
        remembered = self._remembered(blobs, targets)
        return self._wanting(plan_repositories(blobs, targets, origin=None, remembered=remembered))

    def execute(
        self,
        plan: PushPlan,
        source: ImageReader,
        context: Context,
        options: PushOptions | None = None,
        ahead: Ahead = MappingProxyType({}),
    ) -> tuple[PushResult, ...]:
        """Do what a plan says, and remember what the repositories now hold; `options` replace those of the run."""
        self._wanting(plan.repositories)
        options = options or self._options.push_options
        results = push(plan, source, self._connections, context, self._emit, options, ahead)
        for work, result in zip(plan.repositories, results, strict=True):
            if result.error is None and not self._options.rehearsal:
                for blob in work.blobs:
                    self._memory.remember_blob(work.target.endpoint.host, result.repository.path, blob.digest)
        return results

    def _wanting(self, works: tuple[RepositoryPlan, ...]) -> tuple[RepositoryPlan, ...]:
        """Note which rights the work for each repository takes, so that one token has them all."""
        for work in works:
            mounts = tuple({r: None for asked in work.mount_candidates.values() for r in asked})
            self._connections.want(work.target.endpoint, push=(work.target.repository,), pull=mounts)
        return works

    @contextmanager
    def open(
        self,
        text: str,
        context: Context,
        *,
        given: RegistryEndpoint | None = None,
        targets: int = 1,
        changes: Changes = NOTHING,
        platform: Platform | None = None,
        mirrors: bool = True,
        check: Callable[[ImageReader], None] | None = None,
    ) -> Iterator[ImageReader]:
        """Open a SOURCE; `targets` above one makes a registry's blobs be downloaded once and kept.

        `changes` are made while it is read; with them `platform` is the only image of an index that is read. `check`
        sees the image before. Without `mirrors` a registry is read itself, whatever ``registries.conf`` says.
        """
        settings = self._options.sources
        of_run = "format" in settings.asked and not changes.format
        changes = replace(changes, format=settings.format) if of_run else changes
        source = self._open(GRAMMAR.parse(text), context, given, targets, changes, mirrors=mirrors)
        try:
            if check is not None:
                check(source)
            if changes != NOTHING:
                from oci_push.sources.rewriting.image import RewrittenImage  # most images go out as they are

                memory, lenient = replace(settings, digest_cache=self._memory), of_run and self._options.is_lenient
                source = RewrittenImage(source, changes, memory, context, self._emit, platform, is_lenient=lenient)
            self._tell_asked(asked.about_level(settings, source.name, compresses=source.compresses))
            yield source
        finally:
            source.close()

    @property
    def reading(self) -> SourceSettings:
        """Return how sources are read."""
        return self._options.sources

    def _tell_asked(self, problems: Iterable[str]) -> None:
        for problem in problems:
            if not self._options.is_lenient:
                raise ConfigError(problem, hint=asked.HINT)
            self._emit(LogMessage(problem, "warning"))

    def targets(
        self, destinations: Sequence[Destination], given: RegistryEndpoint | None = None
    ) -> tuple[PushTarget, ...]:
        """Return destinations with how they are reached."""
        return tuple(self.target(d.repository, d.tags, given) for d in destinations)

    def target(
        self, repository: Repository, tags: tuple[str, ...], given: RegistryEndpoint | None = None
    ) -> PushTarget:
        """Return one repository with how it is reached, which in a rehearsal is the sandbox."""
        if not self._options.rehearsal:
            endpoint = self.endpoint(repository, given)
            resolved = self._connections.resolve(endpoint, self.context)
            if resolved != endpoint:
                repository = replace(repository, host=resolved.host)
            return PushTarget(resolved, repository, tags)
        stand_in = Repository(self._options.rehearsal, f"{repository.host.replace(':', '-').lower()}/{repository.path}")
        return PushTarget(RegistryEndpoint(self._options.rehearsal, None, TlsConfig(plain_http=True)), stand_in, tags)

    def _open(
        self,
        spec: SourceSpec,
        context: Context,
        given: RegistryEndpoint | None,
        targets: int,
        changes: Changes,
        *,
        mirrors: bool,
    ) -> ImageReader:
        settings = replace(
            self._options.sources, digest_cache=self._memory, foreign_layers=self._options.foreign_layers
        )

        if changes != NOTHING:
            from oci_push.sources.rewriting.image import settings_below

            settings = settings_below(settings, changes)

        def connect(repository: Repository) -> RepositoryClient:
            return self._connections.repository(self.endpoint(repository, given), repository)

        places: tuple[ReadingPlace, ...] = ()
        if mirrors and spec.kind == "registry":
            from oci_push.engine.reading_places import reading_places

            ways = self.endpoint, self._connections.repository
            places = reading_places(spec.path, self._around.env, self._around.home, given, *ways)
        opened = partial(open_source, spec, settings, context=context, emit=self._emit, around=self._around)
        return opened(connect=connect, keeps=targets > 1, places=places)

    def _remembered(self, blobs: Sequence[Descriptor], targets: Sequence[PushTarget]) -> Seen:
        if not self._options.mount or self._options.rehearsal:
            return {}
        return remembered_places(self._memory, self._connections, blobs, targets)

    @property
    def is_rehearsal(self) -> bool:
        """Return whether a sandbox stands in for every target."""
        return bool(self._options.rehearsal)

    @property
    def cache(self) -> Cache:
        """Return what is remembered between runs."""
        return self._memory

    @property
    def credentials(self) -> AuthFiles:
        """Return the logins in docker's and podman's files."""
        return self._logins

    @property
    def clients(self) -> RegistryClients:
        """Return the run's registries."""
        return self._connections
