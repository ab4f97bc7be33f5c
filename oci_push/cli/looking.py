"""What the commands around a push share: the options of access, references, and a run's connections to look with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct

from oci_push.api import this_environment
from oci_push.cli import options
from oci_push.cli.options import Common, Connection
from oci_push.cli.progress import LineRenderer
from oci_push.engine.pusher import Pusher
from oci_push.errors import ConfigError
from oci_push.events import Emit
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import DOCKER_HUB, Destination, Reference, Repository, is_host, shown
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader
from oci_push.sources.table import GRAMMAR

_RETRIES = 2
"""Somebody waits for the answer: less patience than for a push, and enough for what passes at once."""


class Access(Connection, frozen=True):
    """How a registry is reached that is looked at or changed, and as whom."""

    username: options.Username = ""
    password_stdin: options.PasswordStdin = False
    timeout: options.Timeout = 0

    def settings(self) -> Common:
        """Return all options that a push has, with these."""
        return self.common(retries=_RETRIES)

    @property
    def timeout_s(self) -> float | None:
        """Return the time limit, if there is one."""
        return self.timeout or None


class TransferAccess(Access, frozen=True):
    """The same for commands that send or fetch blobs, with the patience of a push."""

    jobs: options.Jobs = 0
    retries: options.Retries = 4

    def settings(self) -> Common:
        """Return all options that a push has, with these."""
        return self.common()


class Looker(Struct, frozen=True):
    """A run's connections, and how to get at images and repositories by them."""

    pusher: Pusher
    context: Context

    @contextmanager
    def image(self, text: str, *, mirrors: bool = False) -> Iterator[tuple[ImageReader, RepositoryClient | None]]:
        """Open a SOURCE; with the client of its repository where that is in a registry.

        With `mirrors` it may come from where ``registries.conf`` says; who looks at a registry wants that one.
        """
        with self.pusher.open(text, self.context, mirrors=mirrors) as source:
            repository = repository_of(text)
            yield source, self.client(repository) if repository is not None else None

    def client(self, repository: Repository, *, push: bool = False) -> RepositoryClient:
        """Return the client of a repository; with `push` its first token lets us write as well."""
        target = self.pusher.target(repository, ())
        if push:
            self.pusher.clients.want(target.endpoint, push=(target.repository,))
        return self.pusher.clients.repository(target.endpoint, target.repository)


@contextmanager
def looking(
    context: Context,
    access: Access,
    *,
    sources: Sequence[str] = (),
    repositories: Sequence[Repository] = (),
    emit: Emit | None = None,
) -> Iterator[Looker]:
    """Give what is needed to look at `sources` and `repositories`, reached as oci-push.yaml and the options say.

    Where both are given, a login of the command line is for the `repositories`, as with a push.
    Without `emit` only warnings are told.
    """
    if access.password_stdin and "-" in sources:
        raise ConfigError("--password-stdin and the source - cannot both read stdin")
    named = [one for one in map(repository_of, sources) if one is not None] + list(repositories)
    common = access.settings()
    hosts = tuple(dict.fromkeys(one.host for one in repositories or named))
    described = endpoints(access, named)
    with common.pusher(
        context,
        emit or LineRenderer(quiet=True),
        endpoints=described,
        login_host=common.login_host(hosts),
        hosts=hosts,
    ) as pusher:
        yield Looker(pusher, context)


def endpoints(access: Access, repositories: Sequence[Repository]) -> Mapping[str, RegistryEndpoint]:
    """Return how registries are reached that oci-push.yaml describes, by host."""
    env = this_environment().env
    if not repositories or access.find(None, env)[0] is None:
        return {}
    from oci_push.cli.inputs import described_endpoints

    common = access.common()
    return described_endpoints(f"docker://{repositories[0]}", [Destination(one) for one in repositories], common, env)


def repository_of(source: str) -> Repository | None:
    """Return the repository that a SOURCE lies in; ``None`` for a file. Raises `ConfigError`."""
    spec = GRAMMAR.parse(source)
    return Reference.parse(spec.path).repository if spec.kind == "registry" else None


def reference(text: str, *, default_tag: str = "latest") -> Reference:
    """Read ``HOST[:PORT]/REPO[:TAG|@DIGEST]``; raises `ConfigError`. A host is required, as for a push."""
    bare = text.removeprefix("docker://")
    if not is_host(bare.partition("/")[0]) or "/" not in bare:
        raise ConfigError(
            f"{shown(text)!r} names no repository of a registry",
            hint=f"write HOST[:PORT]/REPO[:TAG], for Docker Hub {DOCKER_HUB}/REPO",
        )
    try:
        return Reference.parse(bare, default_tag=default_tag)
    except ValueError as problem:
        raise ConfigError(f"{shown(text)!r}: {problem}", hint="write HOST[:PORT]/REPO[:TAG]") from problem


def repository(text: str) -> Repository:
    """Read ``HOST[:PORT]/REPO``; raises `ConfigError` where there is a tag as well."""
    found = reference(text)
    bare = text.removeprefix("docker://")
    if found.digest is not None or ":" in bare.rpartition("/")[2]:
        raise ConfigError(
            f"{shown(text)!r} names an image, and a repository is wanted", hint=f"write {found.repository}"
        )
    return found.repository
