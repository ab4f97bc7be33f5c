"""SOCKS 5 (RFC 1928, RFC 1929): asking a proxy for a connection, by name or by address."""

from __future__ import annotations

import ipaddress

from oci_push.runtime.context import Context
from oci_push.transport.network_errors import Kind, Trouble
from oci_push.transport.proxies import Proxy
from oci_push.transport.sockets import Stream

_NO_LOGIN, _PASSWORD = 0, 2
_REASONS = {
    1: "it failed",
    2: "it is not allowed there",
    3: "the network cannot be reached",
    4: "the host cannot be reached",
    5: "connection refused",
    6: "it took too long",
    7: "it cannot do that",
    8: "it does not know this kind of address",
}


def greet(context: Context, stream: Stream, proxy: Proxy, host: str, port: int, timeout_s: float) -> None:
    """Ask the proxy to connect us with a host; raises `Trouble`. From then on the stream leads there."""

    def read(count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = stream.read(context, count - len(data), timeout_s)
            if not more:
                raise Trouble(Kind.PROXY, "it closed the connection", at_proxy=True)
            data += more
        return data

    offered = (_NO_LOGIN, _PASSWORD) if proxy.user else (_NO_LOGIN,)
    stream.write(context, bytes((5, len(offered), *offered)), timeout_s)
    version, method = read(2)
    if version != 5:
        raise Trouble(Kind.PROXY, "it does not speak SOCKS 5", at_proxy=True, again=False)
    if method == _PASSWORD and proxy.user:
        user, password = proxy.user.encode()[:255], proxy.password.reveal().encode()[:255]
        stream.write(context, bytes((1, len(user))) + user + bytes((len(password),)) + password, timeout_s)
        if read(2)[1] != 0:
            raise Trouble(Kind.PROXY, "it refuses the login", at_proxy=True, again=False)
    elif method != _NO_LOGIN:
        raise Trouble(Kind.PROXY, "it wants a login", at_proxy=True, again=False)
    stream.write(context, b"\x05\x01\x00" + _address(host) + port.to_bytes(2), timeout_s)
    _, status, _, kind = read(4)
    if status != 0:
        raise Trouble(
            Kind.PROXY, _REASONS.get(status, f"code {status}"), at_proxy=True, again=status in (1, 3, 4, 5, 6)
        )
    # Where it is bound follows, which nobody needs: 4 or 16 bytes, or a name with its length, and a port.
    read({1: 4, 4: 16}.get(kind) or read(1)[0])
    read(2)


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.encode("ascii", "ignore")[:255]
        return bytes((3, len(name))) + name
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed
