"""What became of a push, for people: a table at the end, and what there is to say of tags and copies.

Results for programs are the lines on stdout, the report, and the digest's file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from oci_push.cli.command import show_error
from oci_push.cli.output import say, table, tell
from oci_push.cli.tally import Tally
from oci_push.cli.wording import duration, familiar, short, size
from oci_push.engine.push import PushResult, ReplicaResult
from oci_push.engine.unit import UnitResult
from oci_push.errors import OciPushError
from oci_push.model.outcomes import BlobOutcome

if TYPE_CHECKING:
    from oci_push.runner.results import StepResult  # a push loads nothing of runs

_NOT_MOVED = ("failed", "not reached", "restored", "removed")
_TOLD = ("restored", "removed", "left", "unknown")


class Row(Struct, frozen=True):
    """One repository's result, how often something of it was tried again, and the step it belongs to, if to one."""

    result: PushResult
    retries: int
    step: str = ""

    @property
    def tags(self) -> str:
        """Return the tags that name the image now."""
        return ", ".join(tag.tag for tag in self.result.tags if tag.outcome.is_there) or "-"

    def count(self, outcome: BlobOutcome) -> int:
        """Return how many blobs came to be there in this way."""
        return sum(blob.outcome is outcome for blob in self.result.blobs)

    @property
    def bytes_sent(self) -> int:
        """Return the bytes of blobs that went out, of what was attached, too."""
        attached = sum(one.bytes_sent for one in self.result.attached)
        return sum(blob.bytes_sent for blob in self.result.blobs) + attached

    def cells(self) -> tuple[str, ...]:
        """Return what a table shows of it, beginning with the repository."""
        return (
            familiar(self.result.repository),
            self.tags,
            "failed" if self.result.error else short(self.result.root),
            size(self.bytes_sent),
            str(self.count(BlobOutcome.MOUNTED)),
            str(self.count(BlobOutcome.EXISTS)),
            duration(self.result.seconds),
            str(self.retries),
        )


HEADS = ("target", "tags", "digest", "sent", "mounted", "there", "time", "retries")


def rows_of_push(results: Sequence[PushResult], tally: Tally) -> list[Row]:
    """Return the rows of a push."""
    return [Row(result, tally.retries_of(result.repository)) for result in results]


def rows_of_run(steps: Sequence[StepResult], tally: Tally) -> list[Row]:
    """Return the rows of a run."""
    return [Row(one, tally.retries_of(one.repository), step.name) for step in steps for one in step.pushed]


def show_rows(rows: Sequence[Row], columns: int | None) -> None:
    """Print a table on stderr; where it is wider than the window, what is in it as a block for each repository."""
    if not rows:
        return
    steps = any(row.step for row in rows)
    heads = ("step", *HEADS) if steps else HEADS
    cells = [(row.step, *row.cells()) if steps else row.cells() for row in rows]
    lines = list(table(heads, cells))
    if columns is not None and max(map(len, lines)) > columns:
        lines = [line for row in rows for line in _block(row)]
    for line in lines:
        tell(line)


def show_retries(tally: Tally) -> None:
    """Print how often something was tried again, and how long that was waited for, if it was."""
    if tally.retries:
        times = "once" if tally.retries == 1 else f"{tally.retries} times"
        tell(f"tried again {times}, after waits of {duration(tally.waited_s)} in all")


def _block(row: Row) -> Iterator[str]:
    target, tags, digest, sent, mounted, there, time, retries = row.cells()
    yield f"[{row.step}] {target}" if row.step else target
    yield f"  {digest}  {tags}"
    others = [f"{count} {way}" for count, way in ((mounted, "mounted"), (there, "there")) if count != "0"]
    ways = [f"{sent} sent", *others]
    yield f"  {', '.join(ways)}, {time}" + (f", {retries} retries" if retries != "0" else "")


def show_tags(result: PushResult) -> None:
    """Print the tags that are where they were, and by name each that was moved or may have been."""
    missing = [tag.tag for tag in result.tags if tag.outcome in _NOT_MOVED]
    if missing:
        tell(f"  tags not pushed to {result.repository}: {', '.join(missing)}")
    for tag in result.tags:
        if tag.outcome in _TOLD:
            tell(f"  tag {tag.tag}: {tag.outcome}" + (f" ({tag.error})" if tag.error else ""))


def show_tags_of(results: Sequence[PushResult], replicas: Sequence[ReplicaResult]) -> None:
    """Print on stdout each tag that names the image, with its digest, and each place that serves it."""
    for result in results:
        for tag in result.tags:
            if tag.outcome.is_there:
                say(f"{result.repository}:{tag.tag}@{result.root}")
    for replica in replicas:
        if replica.error is None:
            say(f"{replica.repository} {replica.outcome}")


def show_errors(done: UnitResult) -> list[OciPushError]:
    """Print what went wrong with a push and return it."""
    for result in done.results:
        if result.error is not None:
            show_error(result.error)
            show_tags(result)
    others = [*(one.error for one in done.replicas), done.trouble]
    for error in others:
        if error is not None:
            show_error(error)
    return [error for error in (*(one.error for one in done.results), *others) if error is not None]


def show_replicas(results: Sequence[ReplicaResult], *, is_quiet: bool) -> None:
    """Print each place that serves the image on stdout, unless `is_quiet`, and each failure on stderr."""
    for result in results:
        if result.error is not None:
            show_error(result.error)
        elif not is_quiet:
            say(f"{result.repository} {result.outcome}")
