"""Where a registry source is read, as ``registries.conf`` says, and as whom: nobody gets the login of another host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from oci_push.credentials.registries_conf import read_registries_conf
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Reference, Repository
from oci_push.registry.repository import RepositoryClient
from oci_push.sources.settings import ReadingPlace

FindEndpoint = Callable[[Repository, RegistryEndpoint | None], RegistryEndpoint]
FindClient = Callable[[RegistryEndpoint, Repository], RepositoryClient]


def reading_places(
    text: str,
    env: Mapping[str, str],
    home: Path | None,
    given: RegistryEndpoint | None,
    find: FindEndpoint,
    client: FindClient,
) -> tuple[ReadingPlace, ...]:
    """Return the places of an image in the order of trying; none where it is read as it is named.

    `given` is how the registry of the reference `text` is reached, and is for that host alone. An insecure place is
    tried with TLS that nobody checks, then without. Raises `ConfigError` where the registry is blocked.
    """
    reference = Reference.parse(text)
    places = read_registries_conf(env, home).places(reference)
    if len(places) == 1 and places[0].reference == reference and not places[0].is_insecure:
        return ()
    found: list[ReadingPlace] = []
    for place in places:
        repository = place.reference.repository
        own = given if given is not None and given.host == repository.host else None
        for plain in (False, True) if place.is_insecure else (None,):
            connect = partial(_connect, repository, own, find, client, plain)
            found.append(ReadingPlace(place.reference, connect, place.is_mirror))
    return tuple(found)


def _connect(
    repository: Repository, given: RegistryEndpoint | None, find: FindEndpoint, client: FindClient, plain: bool | None
) -> RepositoryClient:
    endpoint = find(repository, given)
    if plain is not None:
        endpoint = replace(endpoint, tls=replace(endpoint.tls, plain_http=plain, skip_verify=not plain))
    return client(endpoint, repository)
