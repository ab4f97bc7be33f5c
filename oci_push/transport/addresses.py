"""Addresses: how near to us one is, whatever it is spelt like, and so who may send us there.

A server that we were not told of by the user is judged by the address that the socket connects to: names, and the many
ways to write one address, say nothing. Nothing here resolves or connects; see `dialing`.
"""

from __future__ import annotations

import enum
import ipaddress
import socket

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
