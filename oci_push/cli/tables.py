"""Tables for people: columns as wide as their content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return the lines of a table; the last column is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    for row in ([head.upper() for head in heads], *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def fields(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Return lines of a name and a text; a name that repeats is left blank, as before further lines."""
    width = max((len(name) for name, _ in rows), default=0)
    before = ""
    for name, text in rows:
        for line in text.splitlines() or [""]:
            yield f"{'' if name == before else name:<{width}}  {line}".rstrip()
            before = name
