"""All registries of one run: a session for each login, and what is learnt on the way.

Sessions are made when first needed and live until the run ends, so that ten pushes to one registry shake hands
and ask for a token once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from oci_push.events import Emit
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.model.reference import Repository
from oci_push.protocol.call import Call, Reply
from oci_push.protocol.endpoints import pull_scope, push_scope
from oci_push.providers.base import Cloud, CloudServices
from oci_push.providers.families import find_family
from oci_push.registry.capabilities import LearntCapabilities
from oci_push.registry.in_flight import InFlight
from oci_push.registry.referrers_list import ReferrersList
from oci_push.registry.repository import ClientSettings, RepositoryClient
from oci_push.registry.seen import SeenHere
from oci_push.registry.upload_store import UploadStore
from oci_push.runtime.cache import Cache, NoCache
from oci_push.runtime.commands import RunCommand, no_command
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.runtime.single_flight import SingleFlight
from oci_push.transport.credentials import CredentialProvider, FixedCredential
from oci_push.transport.limits import Bandwidth, ConcurrencyLimiter, Rate
from oci_push.transport.redirects import origin
from oci_push.transport.session import Session
from oci_push.transport.settings import TransportSettings


class RegistryClients:
    """Return repository clients. Close it at the end.

    `blob_retry` bounds how often one upload is taken up again; `upload_store` keeps those that were not finished for a
    later run, where `cache` keeps what registries can do. Without `mount` no registry is asked to look for blobs.
    `renewing` finds what an access's login is got from anew, where it may age. `run_command` runs the programs that a
    provider asks for the job's identity.
    """

    def __init__(
        self,
        context: Context,
        settings: TransportSettings,
        *,
        blob_retry: RetryPolicy,
        random: Callable[[], float],
        emit: Emit,
        cache: Cache | None = None,
        upload_store: UploadStore | None = None,
        mount: bool = True,
        home: Path | None = None,
        renewing: Callable[[RegistryEndpoint], CredentialProvider | None] = lambda _: None,
        run_command: RunCommand = no_command,
    ) -> None:
        self._context = context
        self._settings = settings
        self.random = random
        self._emit = emit
        cache = cache or NoCache()
        self._shared = ClientSettings(settings.call_retry, blob_retry, random, emit, cache, upload_store)
        self._mount = mount
        self._in_flight = InFlight()
        self._seen: SingleFlight[tuple[RegistryEndpoint, Repository], SeenHere] = SingleFlight()
        self._bandwidth = Bandwidth(settings.limit_bytes_per_s)
        self._limiters: SingleFlight[str, ConcurrencyLimiter] = SingleFlight()
        self._rates: SingleFlight[str, Rate] = SingleFlight()
        self._sessions: SingleFlight[RegistryEndpoint, Session] = SingleFlight()
        self._listings: SingleFlight[str, ReferrersList] = SingleFlight()
        self._learnt: SingleFlight[str, LearntCapabilities] = SingleFlight()
        self._outside: SingleFlight[tuple[RegistryEndpoint, bool], Session] = SingleFlight()
        self._services: SingleFlight[RegistryEndpoint, CloudServices] = SingleFlight()
        self._home = home
        self._renewing = renewing
        self._run_command = run_command

    def session(self, endpoint: RegistryEndpoint) -> Session:
        """Return the session of a login."""
        return self._sessions.get(endpoint, lambda: self._open(endpoint))

    def repository(self, endpoint: RegistryEndpoint, repository: Repository) -> RepositoryClient:
        """Return a client for one repository, over the session of its login."""
        return RepositoryClient(
            self.session(endpoint),
            repository,
            self._shared,
            self._capabilities(endpoint),
            self.cloud_services(endpoint).management,
            self._listings.get(endpoint.host, ReferrersList),
            self._in_flight if self.can_mount(endpoint) else None,
            self._seen.get((endpoint, repository), SeenHere),
        )

    def want(
        self, endpoint: RegistryEndpoint, *, push: tuple[Repository, ...] = (), pull: tuple[Repository, ...] = ()
    ) -> None:
        """Name what will be needed, so that the first token covers it; targets first."""
        self.session(endpoint).auth.want(tuple(push_scope(r) for r in push) + tuple(pull_scope(r) for r in pull))

    def can_mount(self, endpoint: RegistryEndpoint) -> bool:
        """Return whether this registry links blobs across repositories at all, and the user wants it to."""
        return self._capabilities(endpoint).known.mounts

    def cloud_services(self, endpoint: RegistryEndpoint) -> CloudServices:
        """Return what stands behind a registry; where that is nothing, its login alone."""
        provider = find_family(endpoint.host, endpoint.family)
        return self._services.get(
            endpoint,
            lambda: (
                provider.cloud_services(endpoint, self.cloud(endpoint))
                or CloudServices(FixedCredential(endpoint.credential))
            ),
        )

    def resolve(self, endpoint: RegistryEndpoint, context: Context) -> RegistryEndpoint:
        """Return an access whose host is the real one, where the cloud has to be asked for a part of it."""
        services = self.cloud_services(endpoint)
        host = services.management.real_host(context) if services.management else endpoint.host
        resolved = replace(endpoint, host=host)
        self._services.get(resolved, lambda: services)  # what was learnt (a token, a role's session) serves both
        return resolved

    def distance_s(self, endpoint: RegistryEndpoint) -> float | None:
        """Return the round trip to a registry in seconds, if it has been talked to directly."""
        session = self._sessions.peek(endpoint)
        return session.distance_s if session else None

    def close(self) -> None:
        """Close every session."""
        for session in (*(s for _, s in self._sessions.items()), *(s for _, s in self._outside.items())):
            session.close()

    def _open(self, endpoint: RegistryEndpoint) -> Session:
        near, spare = self._settings.near_requests, self._settings.spare_requests
        per_s = endpoint.traffic.requests_per_s
        provider = find_family(endpoint.host, endpoint.family)
        given = FixedCredential(endpoint.credential) if endpoint.credential else None
        credentials = self._renewing(endpoint) or given or self.cloud_services(endpoint).credentials
        return Session(
            endpoint,
            provider.api_host(endpoint.host),
            self._context,
            self._settings,
            self.random,
            self._emit,
            credentials,
            provider.hints,
            limiter=self._limiters.get(endpoint.host, lambda: ConcurrencyLimiter(near, spare)),
            bandwidth=self._bandwidth,
            rate=self._rates.get(endpoint.host, lambda: Rate(per_s)) if per_s else None,
        )

    def cloud(self, endpoint: RegistryEndpoint | None = None) -> Cloud:
        """Return the way to places that are no registry's, and with an `endpoint` to what stands behind that one."""
        return Cloud(
            self._settings.env,
            self._home,
            self._context.clock,
            partial(self._fetch, endpoint),
            retry=self._settings.call_retry,
            random=self.random,
            emit=self._emit,
            run_command=self._run_command,
        )

    def _fetch(self, endpoint: RegistryEndpoint | None, context: Context, call: Call) -> Reply:
        """Send a provider's call to an endpoint; one at the registry itself is reached as the registry is."""
        scheme, name, port = where = origin(call.url)
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        outside = RegistryEndpoint(host, tls=TlsConfig(plain_http=scheme == "http"))
        if endpoint is not None and where == origin(f"{endpoint.scheme}://{endpoint.host}"):
            tls = replace(endpoint.tls, plain_http=scheme == "http")
            outside = replace(outside, tls=tls, address=endpoint.address, traffic=endpoint.traffic)
        key = (outside, call.is_public)
        return self._outside.get(key, lambda: self._open_outside(*key)).fetch(context, call)

    def _open_outside(self, outside: RegistryEndpoint, is_public: bool) -> Session:
        return Session(
            outside, outside.host, self._context, self._settings, self.random, self._emit, is_public=is_public
        )

    def _capabilities(self, endpoint: RegistryEndpoint) -> LearntCapabilities:
        """Return what is known of a registry; what is learnt is shared by all of its repositories."""
        host = endpoint.host
        return self._learnt.get(
            host,
            lambda: LearntCapabilities(
                find_family(host, endpoint.family).capabilities,
                find=lambda name: self._shared.cache.find_capability(host, name),
                note=lambda name, value: self._shared.cache.remember_capability(host, name, value),
                lasts=self._shared.upload_store is not None,
                mount=self._mount and not (endpoint.traffic.mounts and endpoint.traffic.mounts.is_off),
                chunk_bytes=endpoint.traffic.chunk_bytes,
            ),
        )
