"""How sources are read: where temporary bytes go, how layers are compressed, every limit by name; what opens one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

from msgspec import Struct, field

from oci_push.events import Emit
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Reference, Repository
from oci_push.model.source import SourceSpec
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.sources.files import SpoolSpace
from oci_push.sources.known_manifests import KnownManifests


class DigestCache(Protocol):
    """Remember what an uncompressed layer became, so that a second push compresses nothing."""

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Return digest and size of the compressed layer, if they are known."""
        ...

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Remember them."""
        ...


class Limits(Struct, frozen=True):
    """Bound what an untrusted archive may make us do; sizes in bytes.

    A compressed archive may grow `expansion_ratio` times beyond `free_bytes`, a layer that is only read
    `layer_ratio` times beyond `layer_free_bytes`. `window_bytes` is the memory a compressed stream may demand.
    """

    members: int = 50_000
    json_bytes: int = 8 * 1024 * 1024
    header_bytes: int = 16 * 1024
    expansion_ratio: int = 200
    free_bytes: int = 64 * 1024 * 1024
    layer_ratio: int = 1100
    layer_free_bytes: int = 1024**3
    window_bytes: int = 64 * 1024 * 1024
    links: int = 16


class SourceSettings(Struct, frozen=True):
    """What the user may set about reading.

    `compression` is ``gzip``, ``zstd`` or ``none`` for layers that are stored uncompressed, `level` 0 the
    algorithm's usual one. `format` is ``docker``, ``oci`` or ``auto`` for manifests that we build.
    `spool_bytes` bounds all temporary files together. `foreign_layers` are layers of a docker-archive that are said to
    be fetched from URLs: sent like any other, not only referred to. `asked` says which of ``compression``, ``level``
    and ``format`` the user has given, so that one without effect is not passed over. `known` are the manifests that the
    run has read from registries, `silent` the mirrors from which nothing came in this run.
    """

    temp_folder: Path | None = None
    spool_bytes: int = 64 * 1024**3
    compression: str = "gzip"
    level: int = 0
    threads: int = 2
    format: str = "auto"
    foreign_layers: bool = False
    asked: frozenset[str] = frozenset()
    digest_cache: DigestCache | None = None
    limits: Limits = field(default_factory=Limits)
    known: KnownManifests = field(default_factory=KnownManifests)
    silent: set[RegistryEndpoint] = field(default_factory=set)


class Surroundings(Struct, frozen=True):
    """What a source on this machine is found by: environment, home folder, user number, what is piped in."""

    env: Mapping[str, str] = field(default_factory=dict)
    home: Path | None = None
    uid: int = 0
    stdin: BinaryIO | None = None


Connect: TypeAlias = Callable[[Repository], RepositoryClient]


class ReadingPlace(Struct, frozen=True):
    """One place to read an image of a registry: its `reference` there, and what gives the client of its repository."""

    reference: Reference
    connect: Callable[[], RepositoryClient]
    is_mirror: bool = False


class Opening(Struct, frozen=True):
    """One source that is opened: what was asked for, and what it is read with."""

    spec: SourceSpec
    settings: SourceSettings
    spool: SpoolSpace
    context: Context
    emit: Emit
    connect: Connect | None = None
    keeps: bool = False
    places: tuple[ReadingPlace, ...] = ()
    around: Surroundings = field(default_factory=Surroundings)
