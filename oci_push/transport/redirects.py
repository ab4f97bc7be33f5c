"""Where a server may send us: origins, what a URL names, and addresses, how near to us one is.

Credentials go only to the origin they were asked for (distribution-spec: no credentials across hosts on redirects).
Whether an origin that a server named may be talked to at all is judged by the address that the socket connects to:
names, and the many ways to write one address, say nothing. Nothing here resolves or connects; see `dialing`.
"""

from __future__ import annotations

import enum
import ipaddress
import re
import socket
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote, urljoin, urlsplit

from oci_push.errors import ProtocolViolationError
from oci_push.protocol.endpoints import bare

Origin: TypeAlias = tuple[str, str, int]
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:.]+(%[a-z0-9._-]+)?")
_USUAL_NAME = re.compile(r"([a-z0-9_-]+\.)*[a-z][a-z0-9_-]*")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_MOST_SHOWN = 200
_HINT = "does the registry give its own address right? see its setting for the external URL"
_IP = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in (
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # Azure's host, which is a global address
    )
)
"""Where clouds tell an instance of itself, beside the link-local 169.254.169.254: with the machine's credentials."""


def origin(url: str, subject: str = "") -> Origin:
    """Return scheme, host and port of an absolute URL; raise `ProtocolViolationError` about `subject` if it is none."""
    lead = f"{subject}: sent to " if subject else ""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise ProtocolViolationError(f"{lead}{shown(url)}, which is not a URL", hint=_HINT) from problem
    host = (parts.hostname or "").lower()
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or port == 0:
        raise ProtocolViolationError(f"{lead}{shown(url)}, which is not an http or https URL", hint=_HINT)
    return parts.scheme, host, port or _PORTS[parts.scheme]


def base_of(where: Origin) -> str:
    """Return an origin as a URL without a path; the port is left out where it is the usual one."""
    scheme, host, port = where
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port == _PORTS[scheme] else f"{scheme}://{name}:{port}"


@lru_cache(maxsize=64)
def host_header(where: Origin) -> str:
    """Return what a request to an origin says in ``Host`` (RFC 9110 7.2); raise `ProtocolViolationError` if it cannot.

    httpx is asked about a host that is neither an address nor a usual name (RFC 3986 3.2.2). It takes a quarter of a
    second to import, so it is not asked about others.
    """
    if not (_USUAL_NAME.fullmatch(where[1]) or _is_address(where[1])):
        import httpx

        try:
            httpx.URL(base_of(where))
        except httpx.InvalidURL as problem:
            raise ProtocolViolationError(f"{shown(base_of(where))} is not a URL") from problem
    return base_of(where).partition("://")[2]


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def target_of(url: str) -> str:
    """Return what is asked of an origin: path and query, byte for byte, as a signed query must stay as it is.

    What cannot stand in a request (blanks, other than ASCII) is written as its UTF-8 bytes, as browsers do. A
    fragment is not sent, nor is a user.
    """
    parts = urlsplit(url)
    return quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_PRINTABLE)


def join(base: str, location: str) -> str:
    """Resolve the Location of a redirect; raise `ProtocolViolationError` when it is no URL."""
    try:
        return urljoin(base, location)
    except ValueError as problem:
        raise ProtocolViolationError(f"{bare(base)}: redirects to {shown(location)}, which is no URL") from problem


def check_hop(start: Origin, url: str, subject: str, *, is_allowed: bool = True) -> Origin:
    """Allow a step from a registry's origin to `url` by its scheme, or raise; gives the new origin."""
    if not is_allowed:
        raise ProtocolViolationError(
            f"{subject}: redirects to {shown(url)}; refused",
            hint="what is sent there is secret and for that place alone:"
            " does a proxy want a login, or is the address wrong?",
        )
    target = origin(url, subject)
    if start[0] == "https" and target[0] == "http":
        raise ProtocolViolationError(
            f"{start[1]}: points from https to plain http at {bare(url)[:_MOST_SHOWN]}; refused",
            hint="the registry or a proxy before it is misconfigured",
        )
    return target


def shown(url: str) -> str:
    """Show what should have been a URL: short, and without what may be secret in one (user, query, fragment)."""
    return repr(re.split(r"[?#]", url, maxsplit=1)[0].rpartition("@")[2][:80])


def is_instance_metadata(host: str) -> bool:
    """Say whether a host is where a cloud tells an instance of itself; a proxy would tell of the proxy's."""
    return host in ("metadata.google.internal", "169.254.169.254", "fd00:ec2::254")


class Reach(enum.IntEnum):
    """Say how near an address is; whoever is at one may send us to what is as near as that or less."""

    GLOBAL = 0
    PRIVATE = 1
    LOOPBACK = 2
    NEVER = 3
    """Link-local, a cloud's metadata, or nobody's: no server has a reason to send us there."""

    @property
    def word(self) -> str:
        """Return the word that messages use."""
        return {Reach.GLOBAL: "public", Reach.PRIVATE: "private", Reach.LOOPBACK: "loopback"}.get(self, "link-local")


def reach(address: str) -> Reach:
    """Judge an address as the resolver writes it; an IPv6 address that stands for an IPv4 one is judged as that."""
    found = _inner(ipaddress.ip_address(address.partition("%")[0]))
    if found.is_loopback:
        return Reach.LOOPBACK
    if found.version == 6 and found in _LOCAL_NAT64:
        return Reach.PRIVATE
    if found in _METADATA or found.is_link_local or found.is_multicast or found.is_reserved or found.is_unspecified:
        return Reach.NEVER
    if found.version == 4 and found in _THIS_NETWORK:
        return Reach.NEVER
    is_site_local = isinstance(found, ipaddress.IPv6Address) and found.is_site_local
    return Reach.GLOBAL if found.is_global and not is_site_local else Reach.PRIVATE


def literal(host: str) -> str:
    """Return the address that a host is written as, in any form the C library takes (``127.1``, ``0x7f000001``)."""
    text = host.rstrip(".").strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(text))
    except (OSError, UnicodeError):
        return ""


def _inner(address: _IP) -> _IP:
    """Unwrap IPv4 inside IPv6: mapped, NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
