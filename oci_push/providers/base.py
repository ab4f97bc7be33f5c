"""Providers: what is particular about one family of registries, as facts. The protocol knows none of their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

PUT = "put"
STREAM = "patch-stream"
CHUNKS = "patch-chunks"


@dataclass(frozen=True, slots=True)
class Quirks:
    """State where a family differs from the specification or from the usual; sizes in bytes, 0 means no limit.

    `upload` is the form bodies travel in at first; one PUT works everywhere (distribution-spec, "POST then PUT").
    `chunk_bytes` is the first piece size where pieces are needed (0: ours), `chunk_min_bytes` the least size of
    all pieces but the last, `chunk_max_bytes` the largest; a registry's own ``OCI-Chunk-Min-Length`` comes on top.
    `multi_tag` says whether one PUT for many tags is worth a try: only registries after distribution-spec 1.1.1
    know it, the others ignore it, and no vendor of a hosted registry documents it.
    `mounts` says whether blobs can be linked across repositories at all (distribution-spec, "Mounting a blob").
    `anonymous_mount` says whether a mount without ``from`` is worth a try (same place, since 1.1).
    `delete_scope` says whether a token may be asked for with ``delete`` among the actions.
    """

    upload: str = PUT
    chunk_bytes: int = 0
    chunk_min_bytes: int = 0
    chunk_max_bytes: int = 0
    multi_tag: bool = True
    mounts: bool = True
    anonymous_mount: bool = False
    delete_scope: bool = True


class Provider(Protocol):
    """Know one family of registries."""

    @property
    def name(self) -> str:
        """Give the family's name, as messages and `oci-push.yaml` spell it."""
        ...

    @property
    def quirks(self) -> Quirks:
        """Give its facts."""
        ...

    def matches(self, host: str) -> bool:
        """Say whether ``name[:port]`` is one of this family's hosts."""
        ...

    def api_host(self, host: str) -> str:
        """Give the host that requests go to, for the host that references name."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """A provider that is told by the end of its host names and needs no code of its own."""

    name: str
    quirks: Quirks
    suffixes: tuple[str, ...]

    def matches(self, host: str) -> bool:
        """Compare the host without its port."""
        bare = host.split(":")[0].lower()
        return any(
            bare == suffix.lstrip(".") or (suffix[0] == "." and bare.endswith(suffix)) for suffix in self.suffixes
        )

    def api_host(self, host: str) -> str:
        """Requests go to the host that references name."""
        return host
