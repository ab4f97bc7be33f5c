"""Plans: what goes to which repository, decided before anything is sent. Pure: no I/O here.

`plan` on the command line prints one of these; `push` executes the same value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from oci_push.engine.graph import ImageGraph
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository

_SMALL_BYTES = 256 * 1024
"""A blob up to this size is sent as soon as one repository could not give it: asking another costs as much."""


class Target(Struct, frozen=True):
    """Name a repository, how it is reached, and the tags it gets; no tags: by digest only."""

    endpoint: RegistryEndpoint
    repository: Repository
    tags: tuple[str, ...]


class RepositoryPlan(Struct, frozen=True):
    """The work for one repository.

    `after` is the number of an earlier leg on the same registry and login that must end first, so that its
    blobs can be mounted here. `mounts` lists, for each blob, repositories worth asking, best first.
    """

    number: int
    target: Target
    blobs: tuple[Descriptor, ...]
    mounts: Mapping[Digest, tuple[Repository, ...]]
    after: int | None = None


class PushPlan(Struct, frozen=True):
    """Everything one push does: the image and a leg for each repository."""

    graph: ImageGraph
    legs: tuple[RepositoryPlan, ...]


def plan_push(
    graph: ImageGraph,
    targets: Sequence[Target],
    *,
    origin: tuple[RegistryEndpoint, Repository] | None,
    remembered: Mapping[tuple[str, Digest], tuple[Repository, ...]],
) -> PushPlan:
    """Lay out the legs: targets naming one repository twice become one leg with all their tags.

    `origin` is where a registry source is read from; `remembered` are repositories known from earlier runs,
    by registry host and blob.
    """
    legs: list[RepositoryPlan] = []
    firsts: dict[RegistryEndpoint, int] = {}
    for target in _merged(targets):
        first = firsts.get(target.endpoint)
        mounts: dict[Digest, tuple[Repository, ...]] = {}
        for blob in graph.blobs:
            mount_candidates: list[Repository] = []
            if first is not None:
                mount_candidates.append(legs[first].target.repository)
            if origin is not None and origin[0].host == target.endpoint.host:
                mount_candidates.append(origin[1])
            mount_candidates.extend(remembered.get((target.endpoint.host, blob.digest), ()))
            asked = tuple(dict.fromkeys(r for r in mount_candidates if r != target.repository))
            if asked:
                mounts[blob.digest] = asked[:1] if blob.size <= _SMALL_BYTES else asked
        legs.append(RepositoryPlan(len(legs), target, graph.blobs, mounts, first))
        firsts.setdefault(target.endpoint, len(legs) - 1)
    return PushPlan(graph, tuple(legs))


def _merged(targets: Sequence[Target]) -> list[Target]:
    merged: dict[tuple[RegistryEndpoint, Repository], list[str]] = {}
    for target in targets:
        merged.setdefault((target.endpoint, target.repository), []).extend(target.tags)
    return [Target(endpoint, repository, tuple(dict.fromkeys(tags))) for (endpoint, repository), tags in merged.items()]
