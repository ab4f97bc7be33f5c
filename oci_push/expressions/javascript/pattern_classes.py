"""Sets of characters in regular expressions: what JavaScript's escapes stand for, and how our engine is told."""

from __future__ import annotations

Ranges = list[tuple[int, int]]

DIGITS: Ranges = [(0x30, 0x39)]
WORDS: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
SPACES: Ranges = [
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
]  # fmt: skip
RELATIVES: Ranges = [(0x130, 0x131), (0x17F, 0x17F), (0x212A, 0x212A)]
"""Letters that our engine takes for i, s and k when case is ignored."""

LAST = 0x10FFFF


def class_text(ranges: Ranges, *, is_negated: bool, properties: str = "") -> str:
    """Write a class; an empty one matches nothing, and negated anything."""
    if not ranges and not properties:
        return "(?s:.)" if is_negated else "(?!)"
    written = "".join(
        literal(first) if first == last else f"{literal(first)}-{literal(last)}" for first, last in ranges
    )
    return f"[{'^' if is_negated else ''}{written}{properties}]"


def complement(ranges: Ranges) -> Ranges:
    """Return all characters outside of sorted `ranges`."""
    starts = [0, *(last + 1 for _, last in ranges)]
    ends = [*(first - 1 for first, _ in ranges), LAST]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if start <= end]


def literal(code: int) -> str:
    """Write one character so that it means nothing but itself."""
    char = chr(code)
    if char.isascii() and char.isalnum():
        return char
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
