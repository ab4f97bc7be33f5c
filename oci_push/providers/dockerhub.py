"""Docker Hub: references say ``docker.io``, requests go to ``registry-1.docker.io``.

Names of one part lie under ``library/``, login files call it ``https://index.docker.io/v1/``. Accounts push under their
own name and their organisations'. Pulls are limited by account or address, which every answer to a manifest tells in
``RateLimit-Limit`` and ``RateLimit-Remaining`` (Docker documentation, "Usage and limits"). A tag that may not move is
403 (docker/hub-feedback issue 2466); ``origin`` beside a mount breaks pushes (google/go-containerregistry issue 1741).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oci_push.model.access import Access
from oci_push.model.reference import DOCKER_HUB, canonical_host
from oci_push.providers.base import Cloud, CloudSide, Quirks

_HINTS: Mapping[int, str] = {
    401: "the Hub lets an account push under its own name and its organisations' only: docker.io/NAME/…",
    403: "the token needs Read & Write, and the repository must let the account push; the tag may also be immutable",
    429: "log in, so that the account's limit counts and not the address's; oci-push doctor shows what is left",
}


@dataclass(frozen=True, slots=True)
class DockerHub:
    """Know the Hub. Whether it reads ``?tag=`` is documented nowhere, so it is not tried there."""

    name: str = "dockerhub"
    quirks: Quirks = field(default_factory=lambda: Quirks(multi_tag=False, hints=_HINTS))

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
