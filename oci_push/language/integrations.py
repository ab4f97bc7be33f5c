"""Registry integrations: the registries that pipelines name, and which of them a push or a pull uses.

How they are read from ``oci-push.yaml`` is in `config` and `config_registry`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.config_values import Allowed, SecretSource
from oci_push.language.document import Location
from oci_push.language.steps import BuildStep, Pipeline, PushStep, Step, Text, flatten
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.model.identity import CloudIdentity
from oci_push.model.reference import is_host
from oci_push.protocol.credentials import basic_password, basic_user
from oci_push.providers.families import known_regional
from oci_push.secret import Secret
from oci_push.variables.lookup import Variables

PROVIDERS = {
    "dockerhub": "dockerhub",
    "ecr": "ecr",
    "gcr": "google",
    "gar": "google",
    "acr": "azure",
    "bintray": "artifactory",
    "other": "other",
}
"""The vendor's words for who runs a registry, and the family whose cloud is asked for logins."""


class Integration(Struct, frozen=True):
    """One registry that pipelines name. What is wrong with it is raised when it is used, not when it is read.

    `domain` is empty for an ECR integration whose account is only known after logging in. `password` and `secrets`, by
    the field of `identity`, are read when a login is wanted. `fallback` names the integration that is pulled from where
    this one fails. `regions` and `replicate` are ECR's: every push goes to all of them, and ends only when each serves
    the image. `is_alone` keeps logins from elsewhere away. `family` names its family, where it is
    empty the host tells. `unplaced` is what its place lacks, `unread` its login.
    """

    name: str
    provider: str
    domain: str
    location: Location
    username: str = ""
    password: SecretSource | None = None
    identity: CloudIdentity | None = None
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    tls: TlsConfig = field(default_factory=TlsConfig)
    is_default: bool = False
    is_primary: bool = True
    prefix: str = ""
    fallback: str = ""
    address: str = ""
    regions: tuple[str, ...] = ()
    replicate: bool = False
    is_alone: bool = False
    family: str = ""
    unplaced: tuple[Diagnostic, ...] = ()
    unread: tuple[Diagnostic, ...] = ()

    def endpoint(self, *, with_login: bool = True) -> RegistryEndpoint:
        """Return how it is reached; raises `ConfigError` for what is missing of its place or login."""
        problems = self.unplaced + (self.unread if with_login else ())
        if problems:
            raise ConfigError(problems=problems)
        host = self.domain or (self.identity.host if self.identity else "")
        bare = RegistryEndpoint(
            host, None, self.tls, self.name, self.address, self.identity, self.is_alone, self.family
        )
        if not with_login:
            return bare
        password = self.password.read() if self.password else None
        source = f"registry {self.name!r}"
        if password:
            user = basic_user(self.username, source)
            credential = Credential(user, basic_password(password.reveal(), source), source=source)
        else:
            credential = None
        identity = self.identity
        if identity is not None:
            identity = replace(identity, **{name: source.read() or None for name, source in self.secrets.items()})
        return replace(bare, credential=credential, identity=identity)


class Config(Struct, frozen=True):
    """An ``oci-push.yaml``; `secrets` are by context, then key.

    `is_named` says that the user named it; one that was found may be a stranger's. `lacking` says, by the name of a
    variable or ``secrets.CONTEXT.KEY``, why it has no value. `allowed` are the variables that found ones may use;
    `notice` is what people are told about one that was found. `stand_ins` are what a rehearsal puts in the place of
    registries that nobody describes: found by name, and never a default.
    """

    integrations: tuple[Integration, ...] = ()
    candidates: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Secret]] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    path: str = ""
    is_named: bool = True
    lacking: Mapping[str, Diagnostic] = field(default_factory=dict)
    allowed: frozenset[Allowed] = frozenset()
    notice: str = ""
    stand_ins: tuple[Integration, ...] = ()

    def learn_secrets(self) -> None:
        """Make all secrets known that can be read, so that titles and messages show none before it is used."""
        for one in self.integrations:
            for source in (*([one.password] if one.password else []), *one.secrets.values()):
                source.learn()

    def find(self, name: str) -> Integration | None:
        """Find an integration by name."""
        return next((one for one in (*self.integrations, *self.stand_ins) if one.name == name), None)

    def default(self) -> Integration | None:
        """Return the integration flagged default, else the first."""
        return next((one for one in self.integrations if one.is_default), next(iter(self.integrations), None))

    def for_pull(self, host: str) -> Integration | None:
        """Return the primary integration of a host."""
        same = [one for one in self.integrations if one.domain == host]
        return next((one for one in same if one.is_primary), next(iter(same), None))


def names_host(text: str) -> str:
    """Return the host when a `registry:` value is one (it has a dot or a port, or is localhost), else nothing."""
    bare = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    return bare if is_host(bare) else ""


_NOT_IN_HOSTS = re.compile(r"[^a-z0-9-]+")
_REGION = "us-east-1"


def add_stand_ins(pipeline: Pipeline, config: Config, variables: Variables) -> tuple[Config, tuple[str, ...]]:
    """Describe each registry that steps name and nobody describes; return their names as well."""
    found: dict[str, Integration] = {}
    for step in _steps(pipeline):
        for text in _named(step):
            name = _value(text, variables)
            if name and name not in found and config.find(name) is None and not names_host(name):
                found[name] = _stand_in(name, text, step)
    return replace(config, stand_ins=tuple(found.values())), tuple(found)


def _steps(pipeline: Pipeline) -> Iterator[Step]:
    hooks = list(pipeline.hooks)
    for step in flatten(pipeline.steps):
        yield step
        hooks += step.settings.hooks
    for hook in hooks:
        yield from flatten(hook.steps)


def _named(step: Step) -> Iterator[Text]:
    if isinstance(step, PushStep):
        yield from (text for text in (step.registry, step.registry_context) if text is not None)
    elif isinstance(step, BuildStep) and step.registry is not None:
        yield step.registry


def _value(text: Text, variables: Variables) -> str:
    """Return a registry's name, or nothing where it is only known later or is wrong, which is told when it is used."""
    try:
        done = variables.interpolate(text.text)
    except ConfigError:
        return ""
    return "" if done.undefined else done.text


def _stand_in(name: str, text: Text, step: Step) -> Integration:
    aws = step.aws if isinstance(step, PushStep) else None
    if aws is not None and (aws.region or aws.role_arn):
        return Integration(name, "ecr", "", text.location, identity=known_regional("ecr").IDENTITY(region=_REGION))
    is_context = isinstance(step, PushStep) and text is step.registry_context
    host = _NOT_IN_HOSTS.sub("-", name.lower()).strip("-") or "registry"
    # A dot makes it a host; one that is only pulled with stands beside the candidate's own.
    return Integration(name, "other", "" if is_context else f"{host}.stand-in", text.location)
