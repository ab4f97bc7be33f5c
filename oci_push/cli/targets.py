"""What a command is about: a registry or repository as it is written, or a registry that ``oci-push.yaml`` names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Struct
from msgspec.structs import replace

from oci_push.api import this_environment
from oci_push.cli import inputs
from oci_push.cli.options import ConfigOptions
from oci_push.cli.words import LOGIN, Option
from oci_push.credentials.files import AuthFiles
from oci_push.credentials.format import AuthKey
from oci_push.engine.pusher import Pusher
from oci_push.errors import ConfigError
from oci_push.language.integrations import Config, Integration
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import DOCKER_HUB, Reference, Repository, is_host, shown
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.commands import command_runner

AuthFile = Annotated[
    Path | None, Option("Use this login file and no other.", name="--authfile", metavar="FILE", under=LOGIN)
]


class Target(Struct, frozen=True):
    """A registry to act on: how it is reached, and the `path` that was written after its host (may be empty)."""

    endpoint: RegistryEndpoint
    path: str = ""
    tag: str = ""
    integration: Integration | None = None

    @property
    def key(self) -> AuthKey:
        """Return its key in login files."""
        return AuthKey.parse(f"{self.endpoint.host}/{self.path}" if self.path else self.endpoint.host)

    @property
    def namespace(self) -> str:
        """Return what repositories beside the named one lie below; an integration stands for its prefix."""
        return self.path if self.integration else self.path.rpartition("/")[0]

    def repository(self, otherwise: str) -> Repository:
        """Return the repository that was named, or `otherwise` where only a registry or a prefix was."""
        if self.path and not self.integration:
            return Repository(self.endpoint.host, self.path)
        return Repository(self.endpoint.host, f"{self.path}/{otherwise}" if self.path else otherwise)


def read_config(given: ConfigOptions) -> Config:
    """Read ``oci-push.yaml`` from where it is found without a pipeline, and say so if it was."""
    config = inputs.read_config(None, given, this_environment().env)
    inputs.tell_found(config)
    return config


def registry_target(text: str, config: Config) -> Target:
    """Read ``HOST[:PORT][/PATH]`` or an integration's name; raises `ConfigError`."""
    named = config.find(text)
    if named is not None:
        return Target(named.endpoint(), integration=named)
    bare = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, path = bare.partition("/")
    if not is_host(host):
        raise ConfigError(f"{text!r} is neither a registry host nor a registry of oci-push.yaml", hint=_known(config))
    try:
        repository = Repository(DOCKER_HUB if AuthKey.parse(bare).host == DOCKER_HUB else host, path or "x")
    except ValueError as problem:
        raise ConfigError(f"{text!r}: {problem}", hint="write HOST[:PORT][/PATH]") from problem
    return Target(RegistryEndpoint(repository.host), path)


def of_family(target: Target, family: str) -> Target:
    """Return a target whose registry is of the family that ``--family`` names, if it does."""
    return replace(target, endpoint=replace(target.endpoint, family=family)) if family else target


def image_target(text: str, config: Config) -> Target:
    """Read a reference with its host, a host, or an integration's name, which stands for its prefix.

    Raises `ConfigError`; a name without a host is not taken for Docker Hub's, as it may be a mistyped integration.
    """
    named = config.find(text)
    if named is not None:
        return Target(named.endpoint(), named.prefix, integration=named)
    if "/" not in text and is_host(text.rstrip("/")):
        return registry_target(text, config)
    text = text.removeprefix("docker://")
    if not is_host(text.partition("/")[0]):
        raise ConfigError(
            f"{shown(text)!r} names neither a registry nor a registry of oci-push.yaml",
            hint=f"write HOST[:PORT]/REPO[:TAG], for Docker Hub {DOCKER_HUB}/REPO; {_known(config)}",
        )
    try:
        reference = Reference.parse(text)
    except ValueError as problem:
        raise ConfigError(
            f"{shown(text)!r}: {problem}", hint=f"write HOST[:PORT]/REPO[:TAG]; {_known(config)}"
        ) from problem
    repository = reference.repository
    return Target(RegistryEndpoint(repository.host), repository.path, reference.target)


def as_described(target: Target, config: Config, *, with_login: bool = True) -> Target:
    """Return a host that was named itself as it is described, under whatever name; `with_login` with its login.

    A description that was found, not named, and says how a host is reached is left out: it may be a stranger's. So is
    one that was found and may not read what it needs; of one that was named that is a `ConfigError`.
    """
    found = config.for_pull(target.endpoint.host)
    if target.integration is not None or found is None or found.is_alone:
        return target
    try:
        endpoint = found.with_headers(found.endpoint(with_login=with_login))
    except ConfigError:
        if config.is_named:
            raise
        return target
    return replace(target, endpoint=endpoint)


def reached(pusher: Pusher, target: Target, otherwise: str) -> Target:
    """Return a target as it is really reached: with login and certificates, and an account that only the cloud knows.

    `otherwise` is the repository to look a login up for where the target names none.
    """
    endpoint = pusher.endpoint(target.repository(otherwise), target.endpoint)
    return replace(target, endpoint=pusher.clients.resolve(endpoint, pusher.context))


def auth_files(authfile: Path | None) -> AuthFiles:
    """Return the login files, or one that was named; warnings are dropped."""
    environment = this_environment()
    env = dict(environment.env)
    if authfile is not None:
        env = {key: value for key, value in env.items() if key not in ("DOCKER_CONFIG", "DOCKER_AUTH_CONFIG")}
        env["REGISTRY_AUTH_FILE"] = str(authfile)
    run = command_runner(environment.env, SystemClock())
    return AuthFiles.discover(env, home=environment.home, uid=environment.uid, run_command=run, emit=lambda _: None)


def _known(config: Config) -> str:
    names = ", ".join(one.name for one in config.integrations)
    return f"registries of oci-push.yaml: {names}" if names else "no oci-push.yaml with registries was found"
