"""Proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, by the rules of curl.

Lower case goes before upper case, an address without a scheme is ``http://``, ``socks5`` resolves names here and
``socks5h`` at the proxy. Beside curl's rules this machine and a cloud's metadata are always reached directly.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from msgspec import Struct, field

from oci_push.errors import ConfigError
from oci_push.model.endpoint import is_loopback
from oci_push.secret import Secret
from oci_push.transport.redirects import Origin, Reach, is_instance_metadata, literal, reach

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[\w.-]+)?")


class Proxy(Struct, frozen=True):
    """A proxy's address, the variable that names it, and the login in it."""

    scheme: str
    host: str
    port: int
    variable: str
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{name}:{self.port} ({self.variable})"

    @property
    def is_socks(self) -> bool:
        """Say whether it speaks SOCKS 5."""
        return self.scheme.startswith("socks")

    @property
    def resolves(self) -> bool:
        """Say whether names are resolved there, where we cannot see it."""
        return self.scheme != "socks5"

    def authorization(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the header that carries its login, if there is one."""
        if not self.user:
            return ()
        packed = base64.b64encode(f"{self.user}:{self.password.reveal()}".encode())
        return ((b"Proxy-Authorization", b"Basic " + packed),)


def find_proxy(target: Origin, env: Mapping[str, str]) -> Proxy | None:
    """Return the proxy on the way to `target`; raise `ConfigError` naming a variable that cannot be used."""
    scheme, host, port = target
    if _is_direct(host, port, env):
        return None
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if value := env.get(variable, "").strip():
                return _parse(value, variable)
    return None


def _is_direct(host: str, port: int, env: Mapping[str, str]) -> bool:
    address = literal(host)
    if is_loopback(host) or is_instance_metadata(address or host) or (address and reach(address) is Reach.LOOPBACK):
        return True
    variable = next((name for name in ("no_proxy", "NO_PROXY") if env.get(name)), "")
    entries = re.split(r"[,\s]+", env.get(variable, ""))
    return any(_names(entry, variable, host.rstrip("."), address, port) for entry in entries if entry)


def _names(entry: str, variable: str, host: str, address: str, port: int) -> bool:
    """Say whether one entry is about a host: ``*``, a name and what is below it, an address, a range, with a port."""
    if entry == "*":
        return True
    text = entry.lower().rpartition("://")[2]
    if "/" in text:
        return bool(address) and ipaddress.ip_address(address) in _network(text, variable)
    name, only_port = _with_port(text)
    if only_port and only_port != str(port):
        return False
    if address:
        return literal(name) == address
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(text: str, variable: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        raise ConfigError(
            f"{variable}: {text[:60]!r} is not a range of addresses", hint="write it like 10.0.0.0/8 or fd00::/8"
        ) from None


def _with_port(text: str) -> tuple[str, str]:
    """Split a name from its port; an IPv6 address has one only after brackets."""
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        return name, rest.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    name, _, port = text.partition(":")
    return name, port


def _parse(value: str, variable: str) -> Proxy:
    text = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _unusable(value, variable, "is not the address of a proxy") from None
    if parts.scheme not in _PORTS:
        raise _unusable(value, variable, f"names a kind of proxy that is not supported ({parts.scheme[:20]!r})")
    if not _HOST.fullmatch(host) or any(not c.isprintable() or c == " " for c in text):
        raise _unusable(value, variable, "is not the address of a proxy")
    user, password = unquote(parts.username or ""), Secret(unquote(parts.password or ""))
    return Proxy(parts.scheme, host, port or _PORTS[parts.scheme], variable, user, password)


def _unusable(value: str, variable: str, why: str) -> ConfigError:
    """Show a value that may be anything without what stands before its host, where a login would be."""
    before, _, after = value.rpartition("@")
    shown = "".join(c for c in after[:80] if c.isprintable())
    hint = "write it like http://proxy.example:3128; http, https, socks5 and socks5h are supported"
    return ConfigError(f"{variable}: {('***@' if before else '') + shown!r} {why}", hint=hint)
