"""Amazon ECR: host names, and how its data plane differs. Tokens and repositories are not here yet.

Host pattern: the AWS credential helper's. Pieces are at least 5 MiB except the last (ECR API, UploadLayerPart).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from oci_push.model.access import Access
from oci_push.providers.base import Cloud, CloudSide, Quirks

_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.\-]ecr(?P<fips>-fips)?\.(?P<region>[a-zA-Z0-9][a-zA-Z0-9_-]*)\."
    r"(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov"
    r"|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)


@dataclass(frozen=True, slots=True)
class Ecr:
    """Know ECR's private registries."""

    name: str = "ecr"
    quirks: Quirks = field(
        default_factory=lambda: Quirks(multi_tag=False, chunk_bytes=10 * 1024 * 1024, chunk_min_bytes=5 * 1024 * 1024)
    )

    def matches(self, host: str) -> bool:
        """Match an account's registry host."""
        return _HOST.fullmatch(host.split(":")[0].lower()) is not None

    def api_host(self, host: str) -> str:
        """Requests go to the host that references name."""
        return host

    def cloud_side(self, access: Access, cloud: Cloud) -> CloudSide | None:
        """Only logins that were given or found count here."""
        return None


PROVIDER = Ecr()
