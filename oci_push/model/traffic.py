"""How requests to one registry go: how many a second, what they carry of ours, what uploads and mounts may do.

How such values are written, in options and in ``oci-push.yaml``, is in `traffic_words`.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from oci_push.model.reference import Repository
from oci_push.secret import Secret

Header: TypeAlias = tuple[str, Secret]
"""A header of our own: its name, and its value, which may be a secret."""


class MountRule(Struct, frozen=True):
    """From which repositories of a registry blobs may be mounted: those of one namespace, or `listed` ones.

    A namespace is a path up to its first slash. What is `listed` is a path, or with ``/*`` at its end all paths below
    one. A rule that says neither lets nothing be mounted.
    """

    in_namespace: bool = False
    listed: tuple[str, ...] = ()

    def allows(self, source: Repository, target: Repository) -> bool:
        """Return whether a blob of `source` may be mounted into `target`."""
        if self.in_namespace:
            return namespace(source) == namespace(target)
        return any(
            source.path.startswith(one[:-1]) if one.endswith("/*") else source.path == one for one in self.listed
        )

    @property
    def is_off(self) -> bool:
        """Return whether nothing may be mounted at all."""
        return not self.in_namespace and not self.listed


def namespace(repository: Repository) -> str:
    """Return a path up to its first slash; one without a slash is alone in its namespace."""
    return repository.path.partition("/")[0]


class Traffic(Struct, frozen=True):
    """What is said of the requests to one registry; whatever is empty or 0 is left to us.

    `requests_per_s` bounds all requests to its origin. `chunk_bytes` is the most that one request of an upload carries,
    unless the registry demands more. `mounts` ``None``: from anywhere. `headers` go to the registry's own origin alone.
    """

    requests_per_s: float = 0.0
    chunk_bytes: int = 0
    mounts: MountRule | None = None
    user_agent: str = ""
    headers: tuple[Header, ...] = ()

    def over(self, other: Traffic) -> Traffic:
        """Return these settings, and those of `other` where these say nothing; headers are taken one by one."""
        own = {name.lower() for name, _ in self.headers}
        return Traffic(
            self.requests_per_s or other.requests_per_s,
            self.chunk_bytes or other.chunk_bytes,
            other.mounts if self.mounts is None else self.mounts,
            self.user_agent or other.user_agent,
            (*self.headers, *(one for one in other.headers if one[0].lower() not in own)),
        )

    def may_mount(self, source: Repository, target: Repository) -> bool:
        """Return whether a blob of one repository may be mounted into another."""
        return self.mounts is None or self.mounts.allows(source, target)

    def group(self, repository: Repository) -> str:
        """Return what tells repositories apart that may not mount from one another, as far as that is a namespace."""
        return namespace(repository) if self.mounts is not None and self.mounts.in_namespace else ""


AS_USUAL = Traffic()
