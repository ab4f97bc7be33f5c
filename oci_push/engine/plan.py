"""Plans: what goes to which repository, decided before anything is sent. Pure: no I/O here.

`plan` on the command line prints one of these; `push` executes the same value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from oci_push.engine.graph import ImageGraph
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository

if TYPE_CHECKING:
    from oci_push.engine.signing.signer import Signer
    from oci_push.sources.made import MadeImage

SMALL_BYTES = 256 * 1024
"""A blob up to this size is sent rather than asked about: at 100 Mbit/s it is sent in 20 ms, a usual round trip."""


class PushTarget(Struct, frozen=True):
    """A repository, how it is reached, and the tags it gets; no tags: by digest only.

    `before` is what tags name now, ``None`` for nothing, as far as somebody has asked: those are not asked for again.
    `signers` sign the image there, and those of them in `recursive` each manifest that an index lists as well.
    """

    endpoint: RegistryEndpoint
    repository: Repository
    tags: tuple[str, ...]
    before: Mapping[str, Digest | None] = field(default_factory=dict)
    signers: tuple[Signer, ...] = ()
    recursive: tuple[Signer, ...] = ()


class RepositoryPlan(Struct, frozen=True):
    """The work for one repository.

    `mount_candidates` are, for each blob, repositories worth asking for it, best first. `expected` are blobs that an
    earlier run brought here. `after` is the place of an earlier repository on the same registry and login, which must
    end first, so that its blobs can be mounted here.
    """

    target: PushTarget
    blobs: tuple[Descriptor, ...]
    mount_candidates: Mapping[Digest, tuple[Repository, ...]]
    after: int | None = None
    expected: frozenset[Digest] = frozenset()


class PushPlan(Struct, frozen=True):
    """Everything one push does: the image, the work for each repository, and what is attached to it in each."""

    graph: ImageGraph
    repositories: tuple[RepositoryPlan, ...]
    attached: tuple[MadeImage, ...] = ()


def plan_push(
    graph: ImageGraph,
    targets: Sequence[PushTarget],
    *,
    origin: tuple[RegistryEndpoint, Repository] | None,
    remembered: Mapping[tuple[str, Digest], tuple[Repository, ...]],
) -> PushPlan:
    """Return the plan: targets that name one repository twice become one with all their tags.

    `origin` is where a registry source is read from; `remembered` are repositories known from earlier runs,
    by registry host and blob.
    """
    return PushPlan(graph, plan_repositories(graph.blobs, targets, origin=origin, remembered=remembered))


def plan_repositories(
    blobs: tuple[Descriptor, ...],
    targets: Sequence[PushTarget],
    *,
    origin: tuple[RegistryEndpoint, Repository] | None,
    remembered: Mapping[tuple[str, Digest], tuple[Repository, ...]],
) -> tuple[RepositoryPlan, ...]:
    """Return the plan for each repository that some blobs go to, as `plan_push` does for all of an image."""
    merged: dict[tuple[RegistryEndpoint, Repository], dict[str, None]] = {}
    before: dict[tuple[RegistryEndpoint, Repository], dict[str, Digest | None]] = {}
    signers: dict[tuple[RegistryEndpoint, Repository], dict[Signer, None]] = {}
    recursive: dict[tuple[RegistryEndpoint, Repository], dict[Signer, None]] = {}
    for target in targets:
        signers.setdefault((target.endpoint, target.repository), {}).update(dict.fromkeys(target.signers))
        recursive.setdefault((target.endpoint, target.repository), {}).update(dict.fromkeys(target.recursive))
        merged.setdefault((target.endpoint, target.repository), {}).update(dict.fromkeys(target.tags))
        before.setdefault((target.endpoint, target.repository), {}).update(target.before)
    plans: list[RepositoryPlan] = []
    firsts: dict[RegistryEndpoint, int] = {}
    for number, ((endpoint, repository), tags) in enumerate(merged.items()):
        first = firsts.get(endpoint)
        near = [plans[first].target.repository] if first is not None else []
        near += [origin[1]] if origin is not None and origin[0].host == endpoint.host else []
        candidates: dict[Digest, tuple[Repository, ...]] = {}
        expected: set[Digest] = set()
        for blob in blobs:
            known = (*near, *remembered.get((endpoint.host, blob.digest), ()))
            if repository in known:
                expected.add(blob.digest)
            may = endpoint.traffic.may_mount
            asked = tuple(dict.fromkeys(one for one in known if one != repository and may(one, repository)))
            if asked:
                candidates[blob.digest] = asked[:1] if blob.size <= SMALL_BYTES else asked
        place = (endpoint, repository)
        who, below = tuple(signers[place]), tuple(recursive[place])
        target = PushTarget(endpoint, repository, tuple(tags), before[place], who, below)
        plans.append(RepositoryPlan(target, blobs, candidates, first, frozenset(expected)))
        firsts.setdefault(endpoint, number)
    return tuple(plans)
