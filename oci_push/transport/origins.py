"""Origins: where a URL leads, and whether a registry may send us there.

Credentials go only to the origin they were asked for, and a public registry must not point our requests at
loopback, link-local or private addresses (distribution-spec: no credentials across hosts on redirects).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urljoin, urlsplit

from oci_push.errors import ProtocolViolationError
from oci_push.protocol.endpoints import bare

_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int]:
    """Give scheme, host and port of an absolute URL; raise `ProtocolViolationError` when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise ProtocolViolationError(f"{url[:80]!r} is not a URL") from problem
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ProtocolViolationError(f"{bare(url)[:80]!r} is not an http or https URL")
    return parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme]


def join(base: str, location: str) -> str:
    """Resolve the Location of a redirect; raise `ProtocolViolationError` when it is no URL."""
    try:
        return urljoin(base, location)
    except ValueError as problem:
        raise ProtocolViolationError(f"{bare(base)}: redirects to {location[:80]!r}, which is no URL") from problem


def check_hop(start: tuple[str, str, int], url: str) -> tuple[str, str, int]:
    """Allow a step from a registry's origin to `url`, or raise; gives the new origin."""
    target = origin(url)
    if target == start:
        return target
    if start[0] == "https" and target[0] == "http":
        raise ProtocolViolationError(
            f"{start[1]}: points from https to plain http at {bare(url)}; refused",
            hint="the registry or a proxy before it is misconfigured",
        )
    if _is_link_local(target[1]) and not _is_link_local(start[1]):
        # Clouds answer there with credentials of the machine: no registry has a reason to point at it.
        raise ProtocolViolationError(f"{start[1]}: points at the link-local address {target[1]}; refused")
    if _is_private(target[1]) and not _is_private(start[1]):
        raise ProtocolViolationError(
            f"{start[1]}: points at the private address {target[1]}; refused",
            hint="a public registry has no business there; check the registry's external URL setting",
        )
    return target


def is_instance_metadata(host: str) -> bool:
    """Say whether a host is where a cloud tells an instance of itself; a proxy would tell of the proxy's."""
    return host in ("metadata.google.internal", "169.254.169.254", "fd00:ec2::254")


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host  # a bare name is one of the own network
    return address.is_private or address.is_loopback or address.is_link_local


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False
