"""What became of copies, for people and as files."""

from __future__ import annotations

from collections.abc import Collection

from oci_push.cli.command import show_error
from oci_push.cli.options import Common
from oci_push.cli.output import say, tell
from oci_push.cli.progress import MOST_ERRORS, MOST_TOLD
from oci_push.cli.reporting import Reporting
from oci_push.cli.wording import counted, duration, size
from oci_push.engine.copying.items import Copied, CopyRow
from oci_push.engine.copying.referrers import told
from oci_push.engine.copying.report import CopyReport
from oci_push.errors import OciPushError
from oci_push.model.outcomes import CopyOutcome
from oci_push.runtime.files import write_result

SAID = {
    CopyOutcome.COPIED: "copied",
    CopyOutcome.UNCHANGED: "unchanged",
    CopyOutcome.THERE: "there and not asked for",
    CopyOutcome.OLDER: "left out as older",
    CopyOutcome.FAILED: "failed",
    CopyOutcome.NOT_REACHED: "not reached",
}
"""What became of a tag, in words."""


def show(copied: Copied, summary: str, *, outcomes: Collection[CopyOutcome], is_quiet: bool) -> None:
    """Print the tags that ended like `outcomes`, one line each, and the `summary`; of very many the summary alone."""
    shown = [row for row in copied.rows if row.outcome in outcomes]
    if len(copied.rows) > MOST_TOLD:
        if shown or not is_quiet:
            say(summary)
        return
    for row in shown:
        say(f"{row.name}@{row.digest}" if row.tag else row.name)
    if not is_quiet:
        tell(summary)


def show_errors(copied: Copied, *, kept_in: str) -> None:
    """Print what went wrong, and what several tags have in common once; `kept_in` says where all of it is told."""
    failed: dict[str, list[CopyRow]] = {}
    for row in copied.rows:
        if row.error is not None and row.outcome is not CopyOutcome.NOT_REACHED:
            failed.setdefault(str(row.error), []).append(row)
    for first, *rest in list(failed.values())[:MOST_ERRORS]:
        beside = f" and {counted(len(rest), 'more tag')}" if rest else ""
        show_error(first.error or OciPushError("failed"), before=f"{first.name}{beside}: ")
    others = _others(copied)
    for error in others[:MOST_ERRORS]:
        show_error(error)
    more = sum(map(len, list(failed.values())[MOST_ERRORS:])) + max(0, len(others) - MOST_ERRORS)
    if more:
        tell(f"and {more} more failed; {kept_in} them all")


def _others(copied: Copied) -> list[OciPushError]:
    """Return errors that are no tag's own: of referrers, and why a run was stopped."""
    stopped = next((row.error for row in copied.rows if row.outcome is CopyOutcome.NOT_REACHED), None)
    found = [*([stopped] if stopped is not None else []), *copied.referrers.errors]
    return list({str(error): error for error in found}.values())


def summary_of(copied: Copied, seconds: float, failed_sources: int = 0) -> str:
    """Return what came of copies in one line."""
    ended = [f"{count} {words}" for outcome, words in SAID.items() if (count := copied.count(outcome))]
    changed = sum(row.before is not None for row in copied.rows)
    if changed:
        ended.append(f"{changed} under another digest")
    if failed_sources:
        ended.append(f"{counted(failed_sources, 'source')} failed")
    sent = sum(row.bytes_sent for row in copied.rows)
    beside = f", with {told(copied.referrers)}" if copied.referrers.count else ""
    said = ", ".join(ended) or "nothing to do"
    return f"{counted(len(copied.rows), 'tag')}: {said}; {size(sent)} sent in {duration(seconds)}{beside}"


def write(copied: Copied, form: CopyReport, common: Common, reporting: Reporting) -> None:
    """Write what was asked for: digests, and the report."""
    if reporting.digest_file:
        digests = dict.fromkeys(str(row.digest) for row in copied.rows if row.digest and row.error is None)
        if digests:
            write_result(reporting.digest_file, "".join(f"{one}\n" for one in digests), "the digest")
    if common.report and reporting.report_format == "markdown":
        write_result(common.report, _markdown(copied, form.seconds), "the report")
    elif common.report:
        from oci_push.runner.report import write_report

        write_report(common.report, form)


def _markdown(copied: Copied, seconds: float) -> str:
    lines = ["| tag | outcome | digest |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.outcome} | {row.digest or '-'} |" for row in copied.rows]
    return "\n".join([summary_of(copied, seconds), "", *lines, ""])
