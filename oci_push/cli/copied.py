"""What became of copies, for people and as files."""

from __future__ import annotations

from oci_push.cli.command import show_error
from oci_push.cli.options import Common
from oci_push.cli.output import say, say_form, tell
from oci_push.cli.progress import MOST_ERRORS, MOST_TOLD
from oci_push.cli.reporting import Reporting
from oci_push.cli.wording import counted, duration, size
from oci_push.engine.copying.items import Copied
from oci_push.engine.copying.referrers import told
from oci_push.engine.copying.report import CopyReport
from oci_push.errors import OciPushError
from oci_push.model.outcomes import CopyOutcome
from oci_push.runtime.files import write_result

_SAID = {
    CopyOutcome.COPIED: "copied",
    CopyOutcome.UNCHANGED: "unchanged",
    CopyOutcome.THERE: "there and not asked for",
    CopyOutcome.OLDER: "left out as older",
    CopyOutcome.FAILED: "failed",
    CopyOutcome.NOT_REACHED: "not reached",
}


def show(copied: Copied, seconds: float, *, is_quiet: bool, as_json: CopyReport | None) -> None:
    """Print what is there now, one line each or their number, and what went wrong."""
    if as_json is not None:
        say_form(as_json)
    there = [row for row in copied.rows if row.outcome in (CopyOutcome.COPIED, CopyOutcome.UNCHANGED)]
    summary = _summary(copied, seconds)
    if as_json is None and len(copied.rows) <= MOST_TOLD:
        for row in there:
            say(f"{row.name}@{row.digest}" if row.tag else row.name)
        if not is_quiet:
            tell(summary)
    elif as_json is None:
        say(summary)
    failed = [row for row in copied.rows if row.error is not None and row.outcome is not CopyOutcome.NOT_REACHED]
    for row in failed[:MOST_ERRORS]:
        show_error(row.error or OciPushError("failed"), before=f"{row.name}: ")
    others = _others(copied)
    for error in others[:MOST_ERRORS]:
        show_error(error)
    more = max(0, len(failed) - MOST_ERRORS) + max(0, len(others) - MOST_ERRORS)
    if more:
        tell(f"and {more} more failed; --json and --report FILE have them all")


def _others(copied: Copied) -> list[OciPushError]:
    """Return errors that are no tag's own: of referrers, and why a run was stopped."""
    stopped = next((row.error for row in copied.rows if row.outcome is CopyOutcome.NOT_REACHED), None)
    found = [*([stopped] if stopped is not None else []), *copied.referrers.errors]
    return list({str(error): error for error in found}.values())


def _summary(copied: Copied, seconds: float) -> str:
    """Return what came of a copy in one line."""
    counts = [(copied.count(outcome), words) for outcome, words in _SAID.items()]
    ended = ", ".join(f"{count} {words}" for count, words in counts if count)
    changed = sum(row.before is not None for row in copied.rows)
    ended += f", {changed} under another digest" if changed else ""
    sent = sum(row.bytes_sent for row in copied.rows)
    beside = f", with {told(copied.referrers)}" if copied.referrers.count else ""
    return f"{counted(len(copied.rows), 'tag')}: {ended}; {size(sent)} sent in {duration(seconds)}{beside}"


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
    return "\n".join([_summary(copied, seconds), "", *lines, ""])
