"""A look at the way to a registry: its addresses, how long a connection takes, what TLS was agreed on."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence

from msgspec import Struct

from oci_push.model.endpoint import RegistryEndpoint
from oci_push.transport.tls import make_context


class Probe(Struct, frozen=True):
    """Tell of one connection; empty when a proxy stands between, which would have been looked at instead.

    `protocol` is empty for plain http. `expires` is the certificate's end as it is written there, and `issuer` its
    authority; both are empty where certificates are not checked.
    """

    addresses: tuple[str, ...] = ()
    address: str = ""
    protocol: str = ""
    cipher: str = ""
    issuer: str = ""
    expires: str = ""


def look(
    endpoint: RegistryEndpoint,
    origin: tuple[str, str, int],
    env: Mapping[str, str],
    timeout_s: float,
    pinned: Sequence[str] = (),
) -> Probe:
    """Connect once and close, to one of the addresses that are `pinned` if there are any; raises ``OSError``."""
    scheme, name, port = origin
    place, number = name, port
    if pinned:
        place = pinned[0]
    elif endpoint.address:
        place, _, text = endpoint.address.rpartition(":")
        number = int(text)
    found = socket.getaddrinfo(place.strip("[]"), number, type=socket.SOCK_STREAM)
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    with socket.create_connection((place.strip("[]"), number), timeout_s) as plain:
        address = str(plain.getpeername()[0])
        if scheme != "https":
            return Probe(addresses, address)
        with make_context(endpoint.tls, env).wrap_socket(plain, server_hostname=name) as secure:
            return _told(secure, addresses, address)


def _told(secure: ssl.SSLSocket, addresses: tuple[str, ...], address: str) -> Probe:
    certificate = secure.getpeercert() or {}
    cipher = secure.cipher()
    expires = certificate.get("notAfter", "")
    return Probe(
        addresses,
        address,
        secure.version() or "",
        cipher[0] if cipher else "",
        _name(certificate.get("issuer", ())),
        expires if isinstance(expires, str) else "",
    )


def _name(parts: object) -> str:
    """Return a distinguished name's organisation and common name."""
    found: dict[str, str] = {}
    for relative in parts if isinstance(parts, tuple) else ():
        for key, value in relative:
            found[key] = value
    return ", ".join(found[key] for key in ("organizationName", "commonName") if key in found)
