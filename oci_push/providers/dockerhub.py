"""Docker Hub: references say ``docker.io``, requests go to ``registry-1.docker.io``."""

from __future__ import annotations

from dataclasses import dataclass, field

from oci_push.model.access import Access
from oci_push.model.reference import DOCKER_HUB, canonical_host
from oci_push.providers.base import Cloud, CloudSide, Quirks


@dataclass(frozen=True, slots=True)
class DockerHub:
    """Know the Hub. Whether it reads ``?tag=`` is documented nowhere, so it is not tried there."""

    name: str = "dockerhub"
    quirks: Quirks = field(default_factory=lambda: Quirks(multi_tag=False))

    def matches(self, host: str) -> bool:
        """Match every spelling of the Hub."""
        return canonical_host(host) == DOCKER_HUB

    def api_host(self, host: str) -> str:
        """Give the Hub's API host."""
        return "registry-1.docker.io"

    def cloud_side(self, access: Access, cloud: Cloud) -> CloudSide | None:
        """Only logins that were given or found count here."""
        return None


PROVIDER = DockerHub()
