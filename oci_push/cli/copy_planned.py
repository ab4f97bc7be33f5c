"""What ``--plan`` of `copy` and `mirror` prints: a line for each image in each repository, and the sums.

Of very many, the sums alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oci_push.cli.copy_results import SAID
from oci_push.cli.output import is_terminal, say, say_form, table, terminal_size
from oci_push.cli.planned import amount_lines
from oci_push.cli.progress import MOST_TOLD
from oci_push.cli.wording import counted, familiar, size
from oci_push.engine.copying.forecast import CopyForecast
from oci_push.engine.forecast import TargetForecast
from oci_push.model.outcomes import BlobWay, CopyOutcome, TagMove
from oci_push.runner.copy_plan import CopyPlan, MirrorPlan
from oci_push.runner.image_plan import PlannedAmounts

_HEADS = ("tags", "change", "there", "mount", "send")
_MOST_TAGS = 3
_SAID = {**SAID, CopyOutcome.COPIED: "to set"}


def show_copy_plan(found: CopyForecast, form: CopyPlan | MirrorPlan, env: Mapping[str, str], *, as_json: bool) -> None:
    """Print what copies would do, for people or as its published `form`."""
    if as_json:
        say_form(form)
    else:
        columns = terminal_size().columns if is_terminal(env) else None
        for line in lines_of(found, columns):
            say(line)


def lines_of(found: CopyForecast, columns: int | None) -> Iterator[str]:
    """Return a plan as lines; tags are cut where they would not fit into so many `columns`."""
    if len(found.copied.rows) <= MOST_TOLD:
        by_repository: dict[str, list[TargetForecast]] = {}
        for target in found.targets:
            by_repository.setdefault(familiar(target.repository), []).append(target)
        for name, targets in by_repository.items():
            is_refused = any(target.may_push is False for target in targets)
            yield name + ("  (writing is not allowed, says the token)" if is_refused else "")
            rows = [_cells(target) for target in targets if target.error is None]
            lines = list(table(_HEADS, rows)) if rows else []
            yield from (f"  {line}" for line in (lines if _fits(lines, columns) else _narrow(rows)))
            yield ""
    counts = [(found.copied.count(outcome), words) for outcome, words in _SAID.items()]
    told = ", ".join(f"{count} {words}" for count, words in counts if count)
    yield f"{counted(len(found.copied.rows), 'tag')}: {told}"
    if found.targets:
        yield from amount_lines(PlannedAmounts.of(found.targets))
        for host, rule in dict.fromkeys(one for image in found.images for one in image.signed):
            yield f"  sign     at {host} with {rule.name} ({', '.join(rule.written)})"
        if found.with_referrers:
            yield "  and what refers to them, which is not looked for here"


def _cells(target: TargetForecast) -> tuple[str, ...]:
    tags = [tag.tag for tag in target.tags]
    more = f", +{len(tags) - _MOST_TAGS}" if len(tags) > _MOST_TAGS else ""
    moves = [tag.move for tag in target.tags]
    words = [f"{moves.count(move)} {move}" if len(tags) > 1 else str(move) for move in TagMove if move in moves]
    ways = (size(target.size(way)) if target.count(way) else "-" for way in BlobWay)
    return (", ".join(tags[:_MOST_TAGS]) + more or "by digest", ", ".join(words) or "-", *ways)


def _fits(lines: list[str], columns: int | None) -> bool:
    return columns is None or max(map(len, lines), default=0) + 2 <= columns


def _narrow(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Return two lines for each image."""
    for tags, moves, *amounts in rows:
        yield f"{tags}: {moves}"
        told = [f"{amount} {name}" for amount, name in zip(amounts, _HEADS[2:], strict=True) if amount != "-"]
        yield f"  {', '.join(told) or 'no blob'}"
