"""Where blobs were seen in earlier runs: repositories to mount them from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from oci_push.engine.plan import PushTarget
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.cache import Cache

Seen: TypeAlias = Mapping[tuple[str, Digest], tuple[Repository, ...]]
"""Repositories by registry host and blob."""


def remembered_places(
    memory: Cache, clients: RegistryClients, blobs: Sequence[Descriptor], targets: Sequence[PushTarget]
) -> Seen:
    """Return by registry host and blob which repositories held it, a target itself first."""
    found: dict[tuple[str, Digest], tuple[Repository, ...]] = {}
    for target in targets:
        host = target.endpoint.host
        if not clients.can_mount(target.endpoint):
            continue
        for blob in blobs:
            own = target.repository.path
            paths = memory.find_mounts(host, blob.digest, own)
            if memory.has_blob(host, own, blob.digest):
                paths = (own, *paths)
            found[host, blob.digest] = tuple(Repository(target.repository.host, path) for path in paths)
    return found
