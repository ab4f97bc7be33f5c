"""What all sessions of a run are told: timeouts, requests at once, retries, and what stands for the network."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.sockets import Network


class TransportSettings(Struct, frozen=True):
    """What all sessions of a run share: timeouts in seconds, and how often a request is repeated.

    `stall_s` is for how long no byte may move; how long a request may take in all is bounded by its scope alone.
    `limit_bytes_per_s` bounds what the whole run sends in bodies; 0: no bound. `spare_requests` are places beside those
    of `near_requests` and `far_requests`, which small requests alone may take. `pinned` has, by host and port, the
    addresses to connect to in the place of what the name resolves to.
    """

    connect_s: float = 15.0
    stall_s: float = 60.0
    near_requests: int = 4
    far_requests: int = 32
    spare_requests: int = 1
    call_retry: RetryPolicy = field(default_factory=RetryPolicy)
    limit_bytes_per_s: float = 0.0
    user_agent: str = "oci-push"
    env: Mapping[str, str] = field(default_factory=dict)
    network: Network = field(default_factory=Network)
    pinned: Mapping[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a user agent that no header can carry; raises ``ValueError``."""
        if not (self.user_agent.isascii() and self.user_agent.isprintable()):
            raise ValueError("user_agent holds characters that no header can carry")
