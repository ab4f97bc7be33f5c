"""All registries of one run: a session for each login, and what is learnt on the way.

Sessions are made when first needed and live until the run ends, so that ten pushes to one registry shake hands
and ask for a token once.
"""

from __future__ import annotations

from collections.abc import Callable

from oci_push.events import Emit
from oci_push.model.access import Access
from oci_push.model.reference import Repository
from oci_push.protocol.endpoints import pull_scope, push_scope
from oci_push.protocol.uploads import Form
from oci_push.providers.table import find_provider
from oci_push.registry.abilities import Abilities, Facts
from oci_push.registry.journal import Journal
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.memory import Memory
from oci_push.runtime.once import OnceMap
from oci_push.runtime.retry import RetryPolicy
from oci_push.runtime.scope import Scope
from oci_push.transport.pace import Bandwidth, Gate
from oci_push.transport.session import Session, TransportSettings

_STRANGER = "other"
_IN_ONE_REQUEST = frozenset({"ecr", "ecr-public", "github", "google"})
"""Families whose uploads cannot be gone on with: Artifact Registry takes no pieces (its documentation, "Docker"),
ECR's session says where it stands wrongly (aws/containers-roadmap 2831), and GHCR was seen to lose pieces."""


class Connections:
    """Give repository clients. Close it at the end.

    `blob_retry` bounds how often one upload is taken up again; `journal` keeps those that were not finished for a
    later run, where `memory` keeps what registries can do. Without `mount` no registry is asked to look for blobs.
    """

    def __init__(
        self,
        scope: Scope,
        settings: TransportSettings,
        *,
        blob_retry: RetryPolicy,
        random: Callable[[], float],
        emit: Emit,
        memory: Memory,
        journal: Journal | None,
        mount: bool = True,
    ) -> None:
        self._scope = scope
        self._settings = settings
        self._blob_retry = blob_retry
        self._random = random
        self._emit = emit
        self._memory = memory
        self._journal = journal
        self._mount = mount
        self._bandwidth = Bandwidth(settings.limit_bytes_per_s)
        self._gates: OnceMap[str, Gate] = OnceMap()
        self._sessions: OnceMap[Access, Session] = OnceMap()
        self._abilities: OnceMap[str, Abilities] = OnceMap()

    def repository(self, access: Access, repository: Repository) -> RepositoryClient:
        """Give a client for one repository, over the session of its login."""
        session = self._sessions.get(access, lambda: self._open(access))
        return RepositoryClient(
            session,
            repository,
            self._abilities.get(access.host, lambda: self._learn(access.host)),
            blob_retry=self._blob_retry,
            random=self._random,
            emit=self._emit,
            memory=self._memory,
            journal=self._journal,
        )

    def want(self, access: Access, *, push: tuple[Repository, ...] = (), pull: tuple[Repository, ...] = ()) -> None:
        """Name what will be needed, so that the first token covers it; targets first."""
        session = self._sessions.get(access, lambda: self._open(access))
        session.auth.want(tuple(push_scope(r) for r in push) + tuple(pull_scope(r) for r in pull))

    def can_mount(self, access: Access) -> bool:
        """Say whether this registry links blobs across repositories at all."""
        return find_provider(access.host).quirks.mounts

    def width(self) -> int:
        """Give the number of threads worth having for one target; the session's gate bounds what they do."""
        return self._settings.far_requests

    def close(self) -> None:
        """Close every session."""
        for _, session in self._sessions.items():
            session.close()

    def _open(self, access: Access) -> Session:
        api_host = find_provider(access.host).api_host(access.host)
        gate = self._gates.get(access.host, lambda: Gate(self._settings.near_requests))
        return Session(
            access,
            api_host,
            self._scope,
            self._settings,
            self._random,
            self._emit,
            gate=gate,
            bandwidth=self._bandwidth,
        )

    def _learn(self, host: str) -> Abilities:
        return Abilities(
            self._facts(host),
            find=lambda name: self._memory.find_ability(host, name),
            note=lambda name, value: self._memory.remember_ability(host, name, value),
            lasts=self._journal is not None,
        )

    def _facts(self, host: str) -> Facts:
        provider = find_provider(host)
        quirks = provider.quirks
        return Facts(
            form=Form(quirks.upload),
            multi_tag=quirks.multi_tag,
            anonymous_mount=self._mount and (quirks.anonymous_mount or provider.name == _STRANGER),
            pieces=provider.name not in _IN_ONE_REQUEST,
            first_piece=quirks.chunk_bytes,
            least_piece=quirks.chunk_min_bytes,
            most_piece=quirks.chunk_max_bytes,
            is_stranger=provider.name == _STRANGER,
        )
