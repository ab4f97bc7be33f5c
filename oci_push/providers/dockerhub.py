"""Docker Hub: references say ``docker.io``, requests go to ``registry-1.docker.io``."""

from __future__ import annotations

from dataclasses import dataclass, field

from oci_push.providers.base import Quirks


@dataclass(frozen=True, slots=True)
class DockerHub:
    """Know the Hub. Whether it reads ``?tag=`` is documented nowhere, so it is not tried there."""

    name: str = "dockerhub"
    quirks: Quirks = field(default_factory=lambda: Quirks(multi_tag=False))

    def matches(self, host: str) -> bool:
        """Match the Hub's one canonical name (references have been folded to it)."""
        return host == "docker.io"

    def api_host(self, host: str) -> str:
        """Give the Hub's API host."""
        return "registry-1.docker.io"


PROVIDER = DockerHub()
