"""Registry integrations: the registries that pipelines name, and which of them a push or a pull uses.

How they are read from ``oci-push.yaml`` is in `config` and `config_registry`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.config_values import Allowed, SecretSource
from oci_push.language.document import Location
from oci_push.model.endpoint import Credential, RegistryEndpoint, TlsConfig
from oci_push.model.identity import CloudIdentity
from oci_push.model.reference import comparable_host
from oci_push.model.traffic import AS_USUAL, Header, Traffic
from oci_push.model.trust import Requirement, SignRule
from oci_push.protocol.credentials import basic_password, basic_user
from oci_push.secret import Secret

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
    empty the host tells. `traffic` is what is said of requests, without `headers`, which are read when they are
    used. `sign` and `require` are about signatures. `unplaced` is what its place lacks, `unread` its login.
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
    traffic: Traffic = AS_USUAL
    headers: Mapping[str, SecretSource] = field(default_factory=dict)
    sign: tuple[SignRule, ...] = ()
    require: Requirement | None = None
    unplaced: tuple[Diagnostic, ...] = ()
    unread: tuple[Diagnostic, ...] = ()

    def endpoint(self, *, with_login: bool = True) -> RegistryEndpoint:
        """Return how it is reached; raises `ConfigError` for what is missing of its place or login."""
        problems = self.unplaced + (self.unread if with_login else ())
        if problems:
            raise ConfigError(problems=problems)
        bare = RegistryEndpoint(
            self.host,
            None,
            self.tls,
            self.name,
            self.address,
            self.identity,
            self.is_alone,
            self.family,
            self.traffic,
            self.sign,
            self.require,
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
        return replace(self.with_headers(bare), credential=credential, identity=identity)

    @property
    def host(self) -> str:
        """Return its host: its domain, or what its identity says of its account; of ECR that may be nobody's yet."""
        return self.domain or (self.identity.host if self.identity else "")

    @property
    def must_be_used(self) -> bool:
        """Return whether going on without it would leave out what keeps images safe."""
        return bool(self.sign) or self.require is not None

    def with_headers(self, endpoint: RegistryEndpoint) -> RegistryEndpoint:
        """Return how it is reached with its own headers added; raises `ConfigError` for what cannot be read of them."""
        headers = tuple(self._header(name) for name in self.headers)
        return replace(endpoint, traffic=replace(endpoint.traffic, headers=headers))

    def _header(self, name: str) -> Header:
        from oci_push.model.traffic_words import header

        try:
            return header(name, self.headers[name].read())
        except ValueError as problem:
            raise ConfigError(f"registry {self.name!r}: headers: {problem}") from None


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
            for source in (*([one.password] if one.password else []), *one.secrets.values(), *one.headers.values()):
                source.learn()

    def find(self, name: str) -> Integration | None:
        """Return an integration by name."""
        return next((one for one in (*self.integrations, *self.stand_ins) if one.name == name), None)

    def default(self) -> Integration | None:
        """Return the integration flagged default, else the first."""
        return next((one for one in self.integrations if one.is_default), next(iter(self.integrations), None))

    def for_pull(self, host: str) -> Integration | None:
        """Return the primary integration of a host, however that is written: what it requires holds."""
        wanted = comparable_host(host)
        same = [one for one in self.integrations if one.host and comparable_host(one.host) == wanted]
        return next((one for one in same if one.is_primary), next(iter(same), None))

    def as_pulled(self, endpoint: RegistryEndpoint) -> RegistryEndpoint:
        """Return how images are pulled from a registry: signed as its primary integration requires."""
        primary = self.for_pull(endpoint.host)
        return replace(endpoint, require=(primary.require if primary is not None else None) or endpoint.require)
