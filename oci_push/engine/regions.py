"""One registry in several regions: a push fanned out to them, or one that ends when all of them serve it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from oci_push.engine.push import PushResult, ReplicaResult
from oci_push.engine.pusher import Pusher
from oci_push.engine.replicate import Original, replicate
from oci_push.errors import ConfigError, NotFoundError
from oci_push.events import Emit
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import CloudIdentity, RepositoryCreation
from oci_push.model.reference import Destination, Reference, Repository
from oci_push.providers.families import regional
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.context import Context


def in_regions(
    repository: Repository, endpoint: RegistryEndpoint, regions: Sequence[str]
) -> tuple[tuple[Repository, RegistryEndpoint], ...]:
    """Return the same repository in each region, once and in the order given; raises `ConfigError`.

    Pushed together, the copies share one source: it is read, and its layers compressed, once.
    """
    cloud = regional(endpoint.host)
    if cloud is None:
        raise ConfigError(
            f"{repository}: {endpoint.host} is not an ECR registry, so it has no regions", hint=_HINT_REGIONS
        )
    try:
        moved = [cloud.in_region(endpoint, region) for region in dict.fromkeys(regions)]
    except ValueError as problem:
        raise ConfigError(f"{repository}: {problem}", hint=_HINT_REGIONS) from problem
    return tuple((Repository(there.host, repository.path), there) for there in moved)


def fan_out(destinations: Sequence[Destination], regions: Sequence[str]) -> tuple[Destination, ...]:
    """Add, for each destination, the same repository in further regions; its own region stays the first."""
    found: list[Destination] = []
    for each in destinations:
        cloud = regional(each.repository.host)
        own = (cloud.identity_at(each.repository.host).region,) if cloud else ()
        moved = in_regions(each.repository, RegistryEndpoint(each.repository.host), (*own, *regions))
        found += [Destination(repository, each.tags) for repository, _ in moved]
    return tuple(found)


def managed_endpoints(
    destinations: Sequence[Destination],
    creation: RepositoryCreation | None,
    known: Mapping[str, RegistryEndpoint] | None = None,
) -> dict[str, RegistryEndpoint]:
    """Return how each destination's registry is reached with its cloud's management API beside it, by host.

    `known` says more of who asks; else the cloud's default chain does. Raises `ConfigError` where there is no such API.
    """
    found: dict[str, RegistryEndpoint] = {}
    for each in destinations:
        host = each.repository.host
        cloud = regional(host)
        if cloud is None:
            raise ConfigError(f"{each.repository}: {host} is not a private ECR registry", hint=_HINT_MANAGED)
        endpoint = (known or {}).get(host) or RegistryEndpoint(host)
        identity = endpoint.identity if isinstance(endpoint.identity, cloud.IDENTITY) else cloud.IDENTITY()
        found[host] = replace(
            endpoint, credential=None, identity=replace(identity, creation=creation or identity.creation)
        )
    return found


_HINT_REGIONS = "regions are for ECR's private registries only"
_HINT_MANAGED = "--create-repository and --wait-replication are for ECR's private registries; push elsewhere separately"


def serve_everywhere(
    context: Context,
    clients: RegistryClients,
    endpoint: RegistryEndpoint,
    result: PushResult,
    regions: Sequence[str],
    emit: Emit,
) -> tuple[ReplicaResult, ...]:
    """Wait, after a push that went well, until each region serves it; no `regions` means those of the rules.

    `endpoint` is the one that was pushed with, `context` bounds the waiting. Each result holds its own error; raises
    only what concerns all of them.
    """
    tags = tuple(tag.tag for tag in result.tags)
    original = Original(endpoint, result.repository, result.root, tags)
    return replicate(context, clients, original, regions, emit)


def follow(
    context: Context, pusher: Pusher, text: str, identity: CloudIdentity | None, regions: Sequence[str], emit: Emit
) -> tuple[ReplicaResult, ...]:
    """Wait until each region serves an image that is in the registry; of a tag, what it names when this begins.

    Raises `ConfigError` for a `text` that is no reference, and `OciPushError` for what concerns all regions.
    """
    try:
        reference = Reference.parse(text)
    except ValueError as problem:
        raise ConfigError(f"reference {text!r}: {problem}") from problem
    cloud = regional(reference.repository.host)
    if cloud is None:
        raise ConfigError(f"{reference}: is not in a private ECR registry, so its replication cannot be followed")
    given = RegistryEndpoint(reference.repository.host, identity=identity or cloud.IDENTITY())
    (target,) = pusher.targets((Destination(reference.repository),), given)
    client = pusher.clients.repository(target.endpoint, target.repository)
    head = client.head(context, reference.target)
    if head is None or head.digest is None:
        raise NotFoundError(f"{reference}: there is no such image", hint="push it first")
    tags = (reference.tag,) if reference.tag else ()
    original = Original(target.endpoint, target.repository, head.digest, tags)
    return replicate(context, pusher.clients, original, regions, emit)
