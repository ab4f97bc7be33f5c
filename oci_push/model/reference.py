"""References: ``host[:port]/path[:tag][@digest]``, with Docker's familiar short names.

Grammars: distribution-spec "Pulling manifests" (name and tag) and distribution's reference package. All
matches are anchored at both ends.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re

from msgspec import Struct

from oci_push.model.digest import Digest

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", DOCKER_HUB})
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?")
_PORT = re.compile(r":[0-9]+$")
_FOUR_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_BARE_HEX = re.compile(r"[a-f0-9]{64}")
MAX_NAME = 255


def canonical_host(host: str) -> str:
    """Fold the spellings of Docker Hub into one and return every other host in lower case, as names compare."""
    lowered = host.lower()
    return DOCKER_HUB if lowered in _HUB_NAMES else lowered


def comparable_host(host: str) -> str:
    """Return a host as those are compared that something is required of: in one spelling, without https' port."""
    name, _, port = host.rpartition(":") if _PORT.search(host) else (host, "", "")
    if name.startswith("["):
        with contextlib.suppress(ValueError):  # of a pattern in a policy
            name = f"[{ipaddress.IPv6Address(name[1:-1])}]"
    number = port.lstrip("0")
    return canonical_host(name) + (f":{number}" if port and number != "443" else "")


def is_tag(text: str) -> bool:
    """Return whether `text` is a tag by the specification's grammar."""
    return _TAG.fullmatch(text) is not None


def is_host(text: str) -> bool:
    """Return whether a first path component is a registry host: it has a dot or a port, or is localhost."""
    return ("." in text or ":" in text or text == "localhost") and _HOST.fullmatch(text) is not None


def check_host(text: str) -> str:
    """Return the registry host back, or raise ``ValueError`` that says what is wrong with it."""
    if not _HOST.fullmatch(text):
        raise ValueError(f"{text!r} is not a registry host")
    name, _, port = text.rpartition(":") if _PORT.search(text) else (text, "", "")
    if port and not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not a registry host: ports are 1 to 65535")
    try:
        if name.startswith("["):
            ipaddress.IPv6Address(name[1:-1])
        elif _FOUR_NUMBERS.fullmatch(name):
            ipaddress.IPv4Address(name)
    except ValueError:
        raise ValueError(f"{text!r} is not a registry host: {name} is no address") from None
    return text


def shown(text: str) -> str:
    """Return a reference or URL as it may be repeated to people: without user and password."""
    name, digest = text, ""
    if re.search(r"@(?:sha\d+:.*|\d+)$", text):
        name, at, digest = text.rpartition("@")
        digest = at + digest
    before, at, rest = name.rpartition("@")
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", before)
    return f"{scheme[0] if scheme else ''}***@{rest}{digest}" if at else text


def check_tag(text: str) -> str:
    """Return the tag back, or raise ``ValueError`` that says what is wrong with it."""
    if is_tag(text):
        return text
    if not text:
        raise ValueError("tag is empty")
    if len(text) > 128:
        raise ValueError(f"tag {text[:40]!r}… has {len(text)} characters, at most 128 are allowed")
    if text[0] in ".-":
        raise ValueError(f"tag {text!r} starts with {text[0]!r}; it must start with a letter, a digit or '_'")
    bad = next((c for c in text if not re.fullmatch(r"[A-Za-z0-9._-]", c)), "\n")
    raise ValueError(f"tag {text!r} contains {bad!r}; letters, digits, '_', '.' and '-' are allowed")


class Repository(Struct, frozen=True, order=True):
    """Name a repository: `host` as people spell it (``docker.io``, ``localhost:5000``) and `path`."""

    host: str
    path: str

    def __post_init__(self) -> None:
        check_host(self.host)
        if not _PATH.fullmatch(self.path):
            lowered = self.path.lower()
            advice = f"; did you mean {lowered!r}?" if _PATH.fullmatch(lowered) else ""
            raise ValueError(f"{self.path!r} is not a repository name (lower-case path components){advice}")
        if len(self.host) + 1 + len(self.path) > MAX_NAME:
            raise ValueError(f"repository name {str(self)[:40]!r}… is longer than {MAX_NAME} characters")

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def familiar(self) -> str:
        """Return the short form people write: Docker Hub's host and ``library/`` are left out."""
        if self.host == DOCKER_HUB:
            return self.path.removeprefix("library/")
        return str(self)

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Read ``[host/]path`` with Docker Hub's rules for short names; raise ``ValueError``."""
        first, slash, rest = text.partition("/")
        if not slash or not is_host(first):
            host, path = DOCKER_HUB, text
        else:
            host, path = first, rest
        if host in _HUB_NAMES:
            host = DOCKER_HUB
            if "/" not in path:
                path = f"library/{path}"
        return cls(host, path)


class Reference(Struct, frozen=True):
    """Name one image: a repository with a tag, a digest or both (then the digest decides)."""

    repository: Repository
    tag: str = ""
    digest: Digest | None = None

    def __post_init__(self) -> None:
        if self.tag:
            check_tag(self.tag)

    def __str__(self) -> str:
        text = str(self.repository)
        if self.tag:
            text += f":{self.tag}"
        return f"{text}@{self.digest}" if self.digest else text

    @property
    def target(self) -> str:
        """Return what stands in the manifest URL: the digest if there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag

    @classmethod
    def parse(cls, text: str, *, default_tag: str = "latest") -> Reference:
        """Read a reference; without tag and digest it gets `default_tag`. Raises ``ValueError``."""
        name, tag, digest = split(text)
        if _BARE_HEX.fullmatch(name):
            raise ValueError(f"{text!r} is an image id, not a reference")
        if not tag and digest is None:
            tag = default_tag
        return cls(Repository.parse(name), tag, digest)


class Destination(Struct, frozen=True):
    """Name where an image goes: one repository and the tags it gets there, in the order written."""

    repository: Repository
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.repository}:{','.join(self.tags)}" if self.tags else str(self.repository)

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read ``host[:port]/repo[:tag[,tag…]]``; repeated tags count once. Raises ``ValueError``.

        The host is required: where an image goes is not guessed.
        """
        if "://" in text:
            raise ValueError("a destination is written without a scheme")
        if "@" in text:
            raise ValueError("a destination has no '@': it takes tags, not a digest, and no login")
        first, slash, rest = text.partition("/")
        if is_host(first) and not rest:
            raise ValueError(f"names the registry {first} and no repository")
        if slash and re.search(r":\d+$", first) and not is_host(first):
            raise ValueError(f"{first!r} is not a registry host (an IPv6 address stands in brackets)")
        if not slash or not is_host(first):
            raise ValueError("names no registry: its host has a dot, a port or is localhost; Docker Hub is docker.io")
        name, tags = _split_tag(text)
        given = tuple(dict.fromkeys(check_tag(tag) for tag in tags.split(","))) if tags is not None else ()
        return cls(Repository.parse(name), given)


def split(text: str) -> tuple[str, str, Digest | None]:
    """Cut a reference into name, tag (empty if none) and digest; raises ``ValueError``."""
    if text != text.strip() or not text:
        raise ValueError(f"{text!r} is not an image reference")
    rest, at, digest_text = text.partition("@")
    digest = Digest.parse(digest_text) if at else None
    name, tag = _split_tag(rest)
    return name, check_tag(tag) if tag is not None else "", digest


def _split_tag(text: str) -> tuple[str, str | None]:
    slash = text.rfind("/")
    colon = text.find(":", slash + 1)
    return (text, None) if colon < 0 else (text[:colon], text[colon + 1 :])
