"""How settings of requests are written, in options and in ``oci-push.yaml`` alike. Mistakes are ``ValueError``.

Messages begin with what was written, as far as it is no secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from msgspec import Struct

from oci_push.model.reference import Repository
from oci_push.model.traffic import Header, MountRule
from oci_push.secret import Secret

_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_SIZE = re.compile(r"(\d{1,12})([kKmMgG]?)", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER = re.compile(
    r"(?P<name>[^\s:@]+)(?:@(?P<host>\[[^\]]*\](?::\d{1,5})?|[^\s:/@\[]+(?::\d{1,5}(?=:))?))?:(?P<value>.*)", re.DOTALL
)
_RESOLVE = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]*+,]+):(?P<port>\d{1,5}):(?P<addresses>.+)")
LEAST_CHUNK = 64 * 1024
"""Below it an upload is little more than round trips."""
LEAST_RATE = 0.01
_OURS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-identity-header",
    }
)
"""What the protocol itself says, or HTTP (RFC 9110 7.2, 7.6, 10.1, 11; RFC 9112 6): another value would break it."""
_OURS_BEGIN = ("content-", "if-", "oci-", "docker-")
_OVERRIDES = ("x-http-method", "x-method-override", "x-original-ur", "x-rewrite-url")
"""By these some servers take a request for another one than it is."""


class Given(Struct, frozen=True):
    """A header as an option gives it; `host` is empty where it is for the only registry there is."""

    header: Header
    host: str


def requests_per_s(text: str) -> float:
    """Read how many requests may go in a second."""
    rate = float(text) if _NUMBER.fullmatch(text) else 0.0
    if rate < LEAST_RATE:
        raise ValueError(f"{text!r} is no number of requests a second, such as 10 or 0.5")
    return rate


def size_bytes(text: str) -> int:
    """Read a size with curl's suffixes; 0 where it is none."""
    found = _SIZE.fullmatch(text)
    return int(found[1]) * 1024 ** " kmg".index(found[2].lower() or " ") if found else 0


def chunk_bytes(text: str) -> int:
    """Read the size of a chunk."""
    size = size_bytes(text)
    if size < LEAST_CHUNK:
        raise ValueError(f"{text!r} is no size of a chunk: {LEAST_CHUNK // 1024}k or more, as in 16m")
    return size


def mount_rule(text: str) -> MountRule | None:
    """Read from where blobs may be mounted; ``None``: from anywhere."""
    if text == "any":
        return None
    if text in ("off", "namespace"):
        return MountRule(in_namespace=text == "namespace")
    paths = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    for path in paths:
        try:
            Repository("registry.invalid", path.removesuffix("/*"))
        except ValueError as problem:
            raise ValueError(f"{path!r} is no repository: {problem}") from problem
    if not paths:
        raise ValueError(f"{text!r} names no repository")
    return MountRule(listed=paths)


def user_agent(text: str) -> str:
    """Read what requests say that they are sent by (RFC 9110 10.1.5)."""
    if not text or not _can_be_sent(text):
        raise ValueError("is empty, or holds what no header can carry (line ends, blanks around it, other than ASCII)")
    return text


def header_name(name: str) -> str:
    """Return the name of a header of our own; one that the protocol needs itself is refused."""
    low = name.lower()
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"{name[:40]!r} is no name of a header")
    if low == "user-agent":
        raise ValueError("User-Agent has a setting of its own, user_agent or --user-agent")
    if low == "authorization":
        raise ValueError("Authorization is made of the login; log in, or give username and password")
    if low in _OURS or low.startswith((*_OURS_BEGIN, *_OVERRIDES)):
        raise ValueError(f"{name} belongs to the protocol and cannot be set")
    return name


def header(name: str, value: Secret) -> Header:
    """Return a header of our own; messages never show its value."""
    name = header_name(name)
    if not _can_be_sent(value.reveal()):
        raise ValueError(
            f"the value of {name} is empty, or holds what no header can carry (line ends, blanks around it,"
            " other than ASCII)"
        )
    return name, value


def given_header(text: str) -> Given:
    """Read ``NAME[@HOST[:PORT]]: VALUE``."""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise ValueError("a header is written NAME: VALUE, or NAME@HOST: VALUE for one registry")
    host = found["host"] or ""
    if host:
        host = Repository(host, "x").host
    return Given(header(found["name"], Secret(found["value"].strip(" \t"))), host)


def no_header_twice(headers: Iterable[Header]) -> tuple[Header, ...]:
    """Return headers; one that is given twice is refused, as servers differ in which of the two they read."""
    found: dict[str, Header] = {}
    for one in headers:
        if found.setdefault(one[0].lower(), one) is not one:
            raise ValueError(f"{one[0]} is given twice")
    return tuple(found.values())


def pinned(texts: Iterable[str]) -> dict[tuple[str, int], tuple[str, ...]]:
    """Read ``HOST:PORT:ADDR[,ADDR…]``, which are addresses to connect to in the place of what names resolve to."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for text in texts:
        parts = _RESOLVE.fullmatch(text)
        if parts is None or not 0 < int(parts["port"]) < 65536:
            raise ValueError(f"{text!r}: write HOST:PORT:ADDRESS, as in registry.example:443:10.0.0.7")
        try:
            addresses = tuple(str(ipaddress.ip_address(one.strip(" []"))) for one in parts["addresses"].split(","))
        except ValueError:
            raise ValueError(f"{text!r}: {parts['addresses']!r} is no IP address") from None
        found[parts["host"].strip("[]").lower(), int(parts["port"])] = addresses
    return found


def _can_be_sent(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()
