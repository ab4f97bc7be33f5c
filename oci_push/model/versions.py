"""Tags as versions: which is the newer one (semver.org, 2.0.0, section 11), with what people write beside it.

``v1.2.3``, ``1.2`` and ``1`` are versions too; what comes after a plus counts for nothing but the order of equals.
"""

from __future__ import annotations

import re
from typing import TypeAlias

_VERSION = re.compile(
    r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]+))?(?:[+_]([0-9A-Za-z.-]+))?",
    re.ASCII,
)
Key: TypeAlias = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...], str]


def version_key(tag: str) -> Key | None:
    """Return what orders versions, the newer one the greater; ``None`` for a tag that is none."""
    match = _VERSION.fullmatch(tag)
    if match is None:
        return None
    numbers = tuple(int(part or 0) for part in match.groups()[:4])
    before = match[5]
    parts = tuple(_part(part) for part in before.split(".")) if before else ()
    return numbers, not before, parts, tag


def _part(text: str) -> tuple[bool, int, str]:
    """Numbers come before words, as numbers."""
    is_number = text.isascii() and text.isdigit() and len(text) < 19
    return (False, int(text), "") if is_number else (True, 0, text)
