"""Any registry that speaks the distribution API and is nobody's family: distribution, zot, Harbor, Nexus, …"""

from __future__ import annotations

from dataclasses import dataclass, field

from oci_push.model.access import Access
from oci_push.providers.base import Cloud, CloudSide, Quirks


@dataclass(frozen=True, slots=True)
class Generic:
    """Match every host; always the table's last line. What nobody has described is asked: both tries cost little."""

    name: str = "other"
    quirks: Quirks = field(default_factory=lambda: Quirks(anonymous_mount=True, single_post=True))

    def matches(self, host: str) -> bool:
        """Accept."""
        return bool(host)

    def api_host(self, host: str) -> str:
        """Requests go to the host that references name."""
        return host

    def cloud_side(self, access: Access, cloud: Cloud) -> CloudSide | None:
        """Only logins that were given or found count here."""
        return None


PROVIDER = Generic()
