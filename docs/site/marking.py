"""Markdown as the made pages need it: tables, and texts that were written for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is escaped, a line break becomes a blank."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text).replace("|", "\\|")


def plain(text: str) -> str:
    """Return a text that people wrote for a terminal or a docstring, so that Markdown shows it as it is."""
    parts = re.split(r"(``.+?``|`.+?`)", text)
    shown = [re.sub(r"([*_<>{}\[\]$\\])", r"\\\1", part) if at % 2 == 0 else part for at, part in enumerate(parts)]
    return "".join(shown)
