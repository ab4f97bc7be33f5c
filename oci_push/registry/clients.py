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
from oci_push.model.endpoint import Access, Trust
from oci_push.model.reference import Repository
from oci_push.protocol.call import Call, Reply
from oci_push.protocol.endpoints import pull_scope, push_scope
from oci_push.protocol.uploads import Form
from oci_push.providers.base import Cloud, CloudSide
from oci_push.providers.families import find_family
from oci_push.registry.capabilities import Abilities, Facts
from oci_push.registry.in_flight import UnderWay
from oci_push.registry.referrers_list import Listing
from oci_push.registry.repository import RepositoryClient
from oci_push.registry.upload_store import Journal
from oci_push.runtime.cache import Memory, NoMemory
from oci_push.runtime.context import Scope
from oci_push.runtime.retry import RetryPolicy
from oci_push.runtime.single_flight import OnceMap
from oci_push.transport.credentials import FixedLogin, LoginSource
from oci_push.transport.limits import Bandwidth, Gate
from oci_push.transport.redirects import origin
from oci_push.transport.session import Session, TransportSettings


class Connections:
    """Give repository clients. Close it at the end.

    `blob_retry` bounds how often one upload is taken up again; `journal` keeps those that were not finished for a
    later run, where `memory` keeps what registries can do. Without `mount` no registry is asked to look for blobs.
    `renewing` finds what an access's login is got from anew, where it may age.
    """

    def __init__(
        self,
        scope: Scope,
        settings: TransportSettings,
        *,
        blob_retry: RetryPolicy,
        random: Callable[[], float],
        emit: Emit,
        memory: Memory | None = None,
        journal: Journal | None = None,
        mount: bool = True,
        home: Path | None = None,
        renewing: Callable[[Access], LoginSource | None] = lambda _: None,
    ) -> None:
        self._scope = scope
        self._settings = settings
        self._blob_retry = blob_retry
        self._random = random
        self._emit = emit
        self._memory = memory or NoMemory()
        self._journal = journal
        self._mount = mount
        self._under_way = UnderWay()
        self._bandwidth = Bandwidth(settings.limit_bytes_per_s)
        self._gates: OnceMap[str, Gate] = OnceMap()
        self._sessions: OnceMap[Access, Session] = OnceMap()
        self._listings: OnceMap[str, Listing] = OnceMap()
        self._abilities: OnceMap[str, Abilities] = OnceMap()
        self._outside: OnceMap[Access, Session] = OnceMap()
        self._sides: OnceMap[Access, CloudSide] = OnceMap()
        self._home = home
        self._renewing = renewing

    def session(self, access: Access) -> Session:
        """Give the session of a login."""
        return self._sessions.get(access, lambda: self._open(access))

    def repository(self, access: Access, repository: Repository) -> RepositoryClient:
        """Give a client for one repository, over the session of its login."""
        return RepositoryClient(
            self.session(access),
            repository,
            self._abilities.get(access.host, lambda: self._learn(access.host)),
            self.side(access).control,
            call_retry=self._settings.call_retry,
            blob_retry=self._blob_retry,
            random=self._random,
            emit=self._emit,
            memory=self._memory,
            journal=self._journal,
            listing=self._listings.get(access.host, Listing),
            under_way=self._under_way if self._mount and self.can_mount(access) else None,
        )

    def want(self, access: Access, *, push: tuple[Repository, ...] = (), pull: tuple[Repository, ...] = ()) -> None:
        """Name what will be needed, so that the first token covers it; targets first."""
        self.session(access).auth.want(tuple(push_scope(r) for r in push) + tuple(pull_scope(r) for r in pull))

    def can_mount(self, access: Access) -> bool:
        """Say whether this registry links blobs across repositories at all; what was measured goes before the facts."""
        measured = self._memory.find_ability(access.host, "mount")
        return find_family(access.host).quirks.mounts if measured is None else measured == "yes"

    def side(self, access: Access) -> CloudSide:
        """Give what stands behind a registry; where that is nothing, its login alone."""
        provider = find_family(access.host)
        return self._sides.get(
            access, lambda: provider.cloud_side(access, self._cloud(access)) or CloudSide(FixedLogin(access.login))
        )

    def resolve(self, access: Access, scope: Scope) -> Access:
        """Give an access whose host is the real one, where the cloud has to be asked for a part of it."""
        side = self.side(access)
        host = side.control.real_host(scope) if side.control else access.host
        resolved = replace(access, host=host)
        self._sides.get(resolved, lambda: side)  # what was learnt (a token, a role's session) serves both
        return resolved

    def distance_s(self, access: Access) -> float | None:
        """Give the round trip to a registry in seconds, if it has been talked to directly."""
        session = self._sessions.peek(access)
        return session.distance_s if session else None

    def width(self) -> int:
        """Give the number of threads worth having for one target; the session's gate bounds what they do."""
        return self._settings.far_requests

    def close(self) -> None:
        """Close every session."""
        for session in (*(s for _, s in self._sessions.items()), *(s for _, s in self._outside.items())):
            session.close()

    def _open(self, access: Access) -> Session:
        provider = find_family(access.host)
        fixed = FixedLogin(access.login) if access.login else self.side(access).logins
        logins = self._renewing(access) or fixed
        return Session(
            access,
            provider.api_host(access.host),
            self._scope,
            self._settings,
            self._random,
            self._emit,
            logins,
            provider.quirks.hints,
            gate=self._gates.get(access.host, lambda: Gate(self._settings.near_requests)),
            bandwidth=self._bandwidth,
        )

    def _cloud(self, access: Access) -> Cloud:
        return Cloud(
            self._settings.env,
            self._home,
            self._scope.clock,
            partial(self._fetch, access),
            retry=self._settings.call_retry,
            random=self._random,
            emit=self._emit,
        )

    def _fetch(self, access: Access, scope: Scope, call: Call) -> Reply:
        """Send a provider's call to an endpoint; one at the registry itself is reached as the registry is."""
        scheme, name, port = where = origin(call.url)
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        outside = Access(host, trust=Trust(plain_http=scheme == "http"))
        if where == origin(f"{access.scheme}://{access.host}"):
            outside = replace(outside, trust=replace(access.trust, plain_http=scheme == "http"), address=access.address)
        return self._outside.get(outside, lambda: self._open_outside(outside)).fetch(scope, call)

    def _open_outside(self, outside: Access) -> Session:
        return Session(outside, outside.host, self._scope, self._settings, self._random, self._emit)

    def _learn(self, host: str) -> Abilities:
        """Give what is known of a registry: its family's facts, and what earlier runs and the doctor have seen."""

        def find(name: str) -> str | None:
            return self._memory.find_ability(host, name)

        quirks = find_family(host).quirks
        form, least = find("form") or "", find("chunk_min_bytes") or ""
        abilities = Abilities(
            Facts(
                form=Form(form) if form in {one.value for one in Form} else Form(quirks.upload),
                multi_tag=quirks.multi_tag,
                anonymous_mount=quirks.anonymous_mount,
                pieces=quirks.pieces,
                first_piece=quirks.chunk_bytes,
                least_piece=int(least) if least.isascii() and least.isdigit() else quirks.chunk_min_bytes,
                most_piece=quirks.chunk_max_bytes,
                single_post=quirks.single_post,
                manifests_per_s=quirks.manifests_per_s,
            ),
            find=find,
            note=lambda name, value: self._memory.remember_ability(host, name, value),
            lasts=self._journal is not None,
        )
        abilities.anonymous_mount = abilities.anonymous_mount and self._mount
        return abilities
