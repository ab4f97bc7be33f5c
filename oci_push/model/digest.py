"""Digests: `algorithm:encoded`, checked on construction. Hashing of files and streams lives with their readers.

Grammar and registered algorithms: image-spec descriptor.md, "Digests".
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from hashlib import _Hash

_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+")


class Digest(Struct, frozen=True, order=True):
    """Name content by its hash; only sha256 and sha512 exist, with their exact lengths."""

    algorithm: str
    encoded: str

    def __post_init__(self) -> None:
        length = _LENGTHS.get(self.algorithm)
        if length is None:
            raise ValueError(f"digest algorithm {self.algorithm!r} is not supported (sha256 and sha512 are)")
        if len(self.encoded) != length or not _HEX.fullmatch(self.encoded):
            raise ValueError(f"{self.algorithm} digest must be {length} lower-case hex digits")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``sha256:…``; raise ``ValueError`` on anything else."""
        algorithm, separator, encoded = text.partition(":")
        if not separator:
            raise ValueError(f"{text[:80]!r} is not a digest (expected algorithm:hex)")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Digest:
        """Hash `data`, which is held in memory."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    @property
    def short(self) -> str:
        """Return the first twelve digits, as logs show them."""
        return self.encoded[:12]

    def new_hash(self) -> _Hash:
        """Start a hash of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def matches(self, running: _Hash) -> bool:
        """Return whether a finished hash equals this digest."""
        return running.hexdigest() == self.encoded
