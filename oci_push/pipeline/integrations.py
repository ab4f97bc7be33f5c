"""Registry integrations: the registries that pipelines name, and which of them a push or a pull uses.

How they are read from ``oci-push.yaml`` is in `config` and `config_registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oci_push.errors import ConfigError, Problem
from oci_push.model import ecr_host
from oci_push.model.access import Access, Login, Trust
from oci_push.model.identity import AwsIdentity, Identity
from oci_push.model.reference import is_host
from oci_push.model.secret import Secret
from oci_push.pipeline.document import Mark

PROVIDERS = ("dockerhub", "ecr", "gcr", "gar", "acr", "bintray", "other")


@dataclass(frozen=True, slots=True)
class Integration:
    """Hold one registry that pipelines name. `problem` is raised when it is used, not when it is read.

    `domain` is empty for an ECR integration whose account is only known after logging in. `fallback` names the
    integration that is pulled from where this one fails. `regions` and `replicate` are ECR's: every push goes to all
    of them, and ends only when each serves the image.
    """

    name: str
    provider: str
    domain: str
    mark: Mark
    login: Login | None = None
    identity: Identity | None = None
    trust: Trust = field(default_factory=Trust)
    is_default: bool = False
    is_primary: bool = True
    prefix: str = ""
    fallback: str = ""
    address: str = ""
    regions: tuple[str, ...] = ()
    replicate: bool = False
    problem: Problem | None = None

    def access(self, *, with_login: bool = True) -> Access:
        """Give how it is reached; raises `ConfigError` for what is missing, which without a login nothing is."""
        if self.problem is not None and with_login:
            raise ConfigError(problems=[self.problem])
        host = self.domain
        if not host and isinstance(self.identity, AwsIdentity):
            host = ecr_host.registry_host(self.identity)
        return Access(host, self.login, self.trust, self.name, self.address, self.identity)


@dataclass(frozen=True, slots=True)
class Config:
    """Hold ``oci-push.yaml``; `secrets` are by context, then key."""

    integrations: tuple[Integration, ...] = ()
    candidates: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Secret]] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    path: str = ""

    def find(self, name: str) -> Integration | None:
        """Find an integration by name."""
        return next((one for one in self.integrations if one.name == name), None)

    def default(self) -> Integration | None:
        """Give the integration flagged default, else the first."""
        return next((one for one in self.integrations if one.is_default), next(iter(self.integrations), None))

    def for_pull(self, host: str) -> Integration | None:
        """Give the primary integration of a host."""
        same = [one for one in self.integrations if one.domain == host]
        return next((one for one in same if one.is_primary), next(iter(same), None))


def names_host(text: str) -> str:
    """Give the host when a `registry:` value is one (it has a dot or a port, or is localhost), else nothing."""
    bare = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    return bare if is_host(bare) else ""
