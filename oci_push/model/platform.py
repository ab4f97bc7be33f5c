"""Platforms of an index's children: ``os/architecture[/variant]``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

_USUAL_VARIANTS = {"arm64": "v8", "arm": "v7"}
_PART = re.compile(r"[A-Za-z0-9_.-]+")


class Platform(Struct, frozen=True):
    """Name what an image runs on; empty strings are "not said"."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``linux/arm64`` or ``linux/arm/v7``; raise ``ValueError`` on anything else."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(_PART.fullmatch(part) for part in parts):
            raise ValueError(f"{text!r} is not a platform (expected os/architecture[/variant])")
        return cls(*parts)

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Platform:
        """Read the `platform` object of a descriptor, or the same fields of an image config."""

        def text(key: str) -> str:
            found = value.get(key, "")
            return found if isinstance(found, str) else ""

        return cls(text("os"), text("architecture"), text("variant"), text("os.version"))

    def to_json(self) -> dict[str, str]:
        """Return the object that a descriptor holds."""
        pairs = {"architecture": self.architecture, "os": self.os, "variant": self.variant}
        pairs["os.version"] = self.os_version
        return {key: value for key, value in pairs.items() if value}

    def satisfies(self, wanted: Platform) -> bool:
        """Return whether a child of this platform is what `wanted` asks for; a variant counts only if asked for.

        A child that names no variant has its architecture's usual one (containerd's platform normalisation).
        """
        if (self.os, self.architecture) != (wanted.os, wanted.architecture):
            return False
        return not wanted.variant or (self.variant or _USUAL_VARIANTS.get(self.architecture)) == wanted.variant
