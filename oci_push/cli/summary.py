"""A report as Markdown: what a CI's page, a merge request or a chat shows of a push."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from oci_push.cli.results import HEADS, Row
from oci_push.errors import OciPushError
from oci_push.model.display import clean

_SIGNS = re.compile(r"([\\`*_{}\[\]<>#!|~&])")
"""What Markdown, and the HTML in it, would read as more than a letter."""


def markdown_of(
    title: str,
    rows: Sequence[Row],
    errors: Sequence[tuple[str, OciPushError]],
    skipped: Sequence[tuple[str, str]] = (),
) -> str:
    """Return results as Markdown; `errors` are told with the step that each belongs to, `skipped` steps with why."""
    return "\n".join(_lines(title, rows, errors, skipped)) + "\n"


def _lines(
    title: str,
    rows: Sequence[Row],
    errors: Sequence[tuple[str, OciPushError]],
    skipped: Sequence[tuple[str, str]],
) -> Iterator[str]:
    yield f"### {'❌' if errors else '✅'} {_escaped(title)}"
    if rows:
        steps = any(row.step for row in rows)
        heads = [head.capitalize() for head in (("step", *HEADS) if steps else HEADS)]
        yield ""
        yield f"| {' | '.join(heads)} |"
        yield f"|{'---|' * len(heads)}"
        for row in rows:
            cells = [_escaped(row.step)] if steps else []
            target, tags, digest, *numbers = row.cells()
            # Whole digests: who reads them here copies them.
            whole = digest if row.result.error else str(row.result.root)
            cells += [_code(target), _code(tags), _code(whole), *map(_escaped, numbers)]
            yield f"| {' | '.join(cells)} |"
    if errors:
        yield ""
    for step, error in errors:
        yield f"- ❌ {f'**{_escaped(step)}**: ' if step else ''}{_escaped(str(error))}"
        if error.hint:
            yield f"  - hint: {_escaped(error.hint)}"
    if skipped:
        yield ""
    for step, reason in skipped:
        yield f"- ⏭️ **{_escaped(step)}**: {_escaped(reason)}"


def _escaped(text: str) -> str:
    line = " ".join(clean(text.replace("\n", " ")).split())
    return _SIGNS.sub(r"\\\1", line)


def _code(text: str) -> str:
    """Return text as code, which holds no sign but a backtick and, in a table, the bar."""
    line = clean(text.replace("\n", " ")).replace("`", "'").replace("|", "\\|")
    return f"`{line}`"
