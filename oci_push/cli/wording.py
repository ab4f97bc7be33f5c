"""Words for amounts: bytes, rates, times, digests; the same in lines, displays and tables."""

from __future__ import annotations

from oci_push.model.digest import Digest
from oci_push.model.reference import DOCKER_HUB, Repository


def size(count: float) -> str:
    """Return a number of bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def part(count: int, whole: int) -> str:
    """Return how much of something there is, both in the unit of the whole: ``12.3/500.0 MB``."""
    number, unit = size(whole).split(" ")
    scale = 1000 ** ("B", "kB", "MB", "GB").index(unit)
    return f"{count}/{number} B" if scale == 1 else f"{count / scale:.1f}/{number} {unit}"


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(count: int, what: str, many: str = "") -> str:
    """Return a number of things: ``1 layer``, ``2 layers``."""
    return f"{count} {what}" if count == 1 else f"{count} {many or f'{what}s'}"


def short(digest: Digest) -> str:
    """Return as much of a digest as a person compares."""
    return f"{digest.algorithm}:{digest.short}"


def familiar(repository: Repository | str) -> str:
    """Return a repository's name, Docker Hub's with its host, as the vendor's log does; a path as it is."""
    if isinstance(repository, str):
        return repository
    return f"{DOCKER_HUB}/{repository.familiar}" if repository.host == DOCKER_HUB else str(repository)
