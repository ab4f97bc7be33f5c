"""The repositories of a run that copies: how each is reached, and which tags it has, each list read once."""

from __future__ import annotations

from msgspec import Struct

from oci_push.engine.pusher import Pusher
from oci_push.errors import NotFoundError, RegistryError
from oci_push.model.reference import Repository, is_tag
from oci_push.protocol import listings
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight


class Side(Struct, frozen=True, eq=False):
    """A repository that is copied from or to, as it is named in items; `client` may call it by another host."""

    repository: Repository
    registry: str
    client: RepositoryClient


class _Names(Struct, frozen=True):
    tags: frozenset[str] | None


class TagLists:
    """Reach repositories by a pusher, and remember which tags they have; for all threads of one run."""

    def __init__(self, pusher: Pusher) -> None:
        self._pusher = pusher
        self._sources: SingleFlight[tuple[Repository, str], Side] = SingleFlight()
        self._targets: SingleFlight[tuple[Repository, str], Side] = SingleFlight()
        self._names: SingleFlight[Side, _Names] = SingleFlight()

    def source(self, repository: Repository, registry: str = "") -> Side:
        """Return a repository to read from; `registry` is a name that the pusher knows, if not empty."""

        def make() -> Side:
            endpoint = self._pusher.endpoint(repository, self._pusher.named(registry))
            return Side(repository, registry, self._pusher.clients.repository(endpoint, repository))

        return self._sources.get((repository, registry), make)

    def target(self, repository: Repository, registry: str = "") -> Side:
        """Return a repository to write to."""

        def make() -> Side:
            target = self._pusher.target(repository, (), self._pusher.named(registry))
            self._pusher.clients.want(target.endpoint, push=(target.repository,))
            client = self._pusher.clients.repository(target.endpoint, target.repository)
            return Side(repository, registry, client)

        return self._targets.get((repository, registry), make)

    def known(self, side: Side) -> frozenset[str] | None:
        """Return the tags of a repository if they were read; ``None`` where they were not, or cannot be."""
        found = self._names.peek(side)
        return found.tags if found else None

    def names(self, context: Context, side: Side, *, must: bool = False) -> frozenset[str] | None:
        """List a repository's tags; ``None`` where the registry does not, which with `must` is an error.

        A repository that is not there has none.
        """

        def read() -> _Names:
            try:
                found = side.client.session.run(context, listings.list_tags(side.client.repository, listings.PAGE))
            except NotFoundError:
                return _Names(frozenset())
            except RegistryError as error:
                if must or error.transient:
                    raise
                return _Names(None)
            return _Names(frozenset(name for name in found if is_tag(name)))

        return self._names.get(side, read).tags
