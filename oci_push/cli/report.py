"""`oci-push report merge`: the results of several workers as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from oci_push.cli.command import run_command, show_error
from oci_push.cli.inputs import read_bytes
from oci_push.cli.options import AsJson, Quiet
from oci_push.cli.output import issue, say_form, tell
from oci_push.cli.progress import MOST_ERRORS
from oci_push.cli.wording import counted, size
from oci_push.cli.words import OUTPUT, SAFETY, Argument, Option
from oci_push.forms import encode
from oci_push.runtime.context import Context
from oci_push.runtime.files import check_writable, write_result
from oci_push.work.results import WorkReport, WorkRow, read_results, together, worst
from oci_push.work.units import read_units


def merge(
    files: Annotated[list[Path], Argument(metavar="RESULTS...", help="Files that work --results has written.")],
    units: Annotated[
        Path | None,
        Option("The units that were to be done: what nobody did is a failure.", metavar="FILE", under=SAFETY),
    ] = None,
    results: Annotated[Path | None, Option("Write the results as one file.", metavar="FILE", under=OUTPUT)] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Join the results of several workers; the exit code is that of the worst.

    A unit that failed at one worker and was done by another is done.
    """

    def act(context: Context) -> int:
        check_writable(results, "--results")
        found = together([read_results(one) for one in files])
        missing, foreign = [], 0
        if units is not None:
            wanted = read_units(read_bytes(units), str(units))
            known, keys = {one.key for one in found}, {one.key for one in wanted}
            missing = [one for one in wanted if one.key not in known]
            foreign = len(known - keys)
            found = tuple(one for one in found if one.key in keys)
        errors = [one.error for one in found]
        code = worst(errors, len(missing))
        if results:
            write_result(results, "".join(f"{encode(one).decode()}\n" for one in found), "the results")
        report = WorkReport.of((WorkRow.of(one) for one in found), code, sum(one.result.seconds for one in found))
        if as_json:
            say_form(report)
        elif not quiet:
            parts = [f"{count} {name}" for name, count in report.counts.items() if count]
            parts += [f"{len(missing)} that nobody did"] if missing else []
            said = ", ".join(parts) or "nothing to do"
            tell(f"{counted(len(found) + len(missing), 'unit')}: {said}; {size(report.bytes_sent)} sent")
        if foreign:
            tell(f"{counted(foreign, 'result')} of other units than those of {units}: left out")
        failed = [one for one in found if one.error is not None]
        for one in failed[:MOST_ERRORS]:
            if one.error is not None:
                show_error(one.error, before=f"{one.name}: ")
        for unit in missing[:MOST_ERRORS]:
            issue("error", f"{unit.name}: nobody did it", "run its shard again")
        return code

    run_command(act, what="report merge")
