"""What `push` and `run` show while they work and leave behind: progress, table, report, digests, the CI's summary.

The forms of results are chosen here; templates are left to ``jq`` (see docs/output.md): the report holds everything,
`--digest-file` what is wanted most, and a language for templates would be a second one to learn and to escape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct

from oci_push.cli.options import Common
from oci_push.cli.output import is_terminal, is_unicode, show_picture, speak_json, tell_section, terminal_size, warn
from oci_push.cli.progress import BEAT_S, LineRenderer
from oci_push.cli.tally import Tally
from oci_push.cli.words import OUTPUT, Option
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit
from oci_push.runtime.clock import Clock
from oci_push.runtime.files import check_writable, write_result
from oci_push.runtime.tasks import Ticker

if TYPE_CHECKING:
    from oci_push.cli.results import Row
    from oci_push.runner.report import PipelineReport, PushReport

MODES = ("auto", "live", "plain", "json", "none")
_FORMATS = ("json", "junit", "markdown")


def _speak(mode: str) -> None:
    """Let every line be JSON from the first one on, also what is said of options."""
    if mode == "json":
        speak_json()


class Follower(Struct, frozen=True):
    """Who is told the events of a command, and what they came to."""

    emit: Emit
    tally: Tally


Progress = Annotated[
    str,
    Option(
        "How progress is shown on stderr: live on a terminal, else plain lines; json: events.",
        choices=MODES,
        acts=_speak,
        under=OUTPUT,
    ),
]


class Reporting(Struct, frozen=True):
    """What `push` and `run` can be told about showing."""

    progress: Progress = "auto"
    report_format: Annotated[
        str, Option("The form of --report; json if not given.", choices=_FORMATS, under=OUTPUT)
    ] = ""
    digest_file: Annotated[
        Path | None, Option("Write the digest of what was pushed.", metavar="FILE", under=OUTPUT)
    ] = None

    def check_with(self, common: Common, env: Mapping[str, str], *, is_plan: bool = False) -> None:
        """Refuse what has no effect beside other options, or here; raises `ConfigError`."""
        check_writable(self.digest_file, "--digest-file")
        if self.report_format and common.report is None:
            raise ConfigError("--report-format needs --report FILE", hint="give both, or neither")
        if is_plan and self.digest_file:
            raise ConfigError("--digest-file has no effect with --plan: nothing is pushed", hint="leave out one")
        if is_plan and self.report_format not in ("", "json"):
            raise ConfigError(f"--report-format {self.report_format} has no effect with --plan", hint="leave out one")
        if common.quiet and self.progress in ("live", "plain", "json"):
            raise ConfigError(f"--quiet has no effect with --progress {self.progress}", hint="leave out one of them")
        if self.progress == "live" and not is_terminal(env):
            raise ConfigError("--progress live: stderr is no terminal that can show it", hint="auto, plain or json")

    @contextmanager
    def following(self, clock: Clock, env: Mapping[str, str], *, is_quiet: bool, title: str = "") -> Iterator[Follower]:
        """Show progress until the block ends; `title` is that of the section it is in a CI's log.

        An `is_quiet` command shows none unless it is asked for by name.
        """
        mode, tally = self._mode(env, is_quiet=is_quiet), Tally()
        if mode == "json":
            from oci_push.cli.ndjson import JsonLines

            yield Follower(JsonLines(tally, clock), tally)
            return
        lines = LineRenderer(quiet=mode == "none", beside_display=mode == "live", tally=tally, clock=clock)
        tick, every_s = _ticking(mode, lines, tally, clock, env)
        ticker = Ticker(clock, tick, every_s) if every_s else None
        is_section = mode == "plain" and bool(title)
        if is_section:
            tell_section(title, clock.now(), begins=True)
        if ticker is not None:
            ticker.start()
        try:
            yield Follower(lines, tally)
        finally:
            if ticker is not None:
                ticker.stop()
            show_picture(None)
            if is_section:
                tell_section(title, clock.now(), begins=False)

    def finish(
        self,
        common: Common,
        env: Mapping[str, str],
        *,
        title: str,
        rows: Sequence[Row],
        errors: Sequence[tuple[str, OciPushError]],
        skipped: Sequence[tuple[str, str]] = (),
        form: Callable[[], PushReport | PipelineReport],
    ) -> None:
        """Write what was asked for: the CI's summary, digests, and last the report; raises `ConfigError`."""
        summary = env.get("GITHUB_STEP_SUMMARY") if env.get("GITHUB_ACTIONS", "").lower() == "true" else None
        markdown = ""
        if summary or self.report_format == "markdown":
            from oci_push.cli.summary import markdown_of

            markdown = markdown_of(title, rows, errors, skipped)
        if summary:
            _append(Path(summary), markdown)
        if self.digest_file:
            digests = dict.fromkeys(str(row.result.root) for row in rows if row.result.error is None)
            if digests:
                write_result(self.digest_file, "".join(f"{digest}\n" for digest in digests), "the digest")
        if common.report is None:
            return
        if self.report_format == "markdown":
            write_result(common.report, markdown, "the report")
        elif self.report_format == "junit":
            from oci_push.cli.junit import junit_of

            write_result(common.report, junit_of(form()), "the report")
        else:
            from oci_push.runner.report import write_report

            write_report(common.report, form())

    def show_rows(self, rows: Sequence[Row], tally: Tally, env: Mapping[str, str], *, is_quiet: bool) -> None:
        """Print the table of what was done, for people, and what trying again has cost."""
        if not is_quiet and self.progress != "json":
            from oci_push.cli.results import show_retries, show_rows

            show_rows(rows, terminal_size().columns if is_terminal(env) else None)
            show_retries(tally)

    def _mode(self, env: Mapping[str, str], *, is_quiet: bool) -> str:
        if self.progress != "auto":
            return self.progress
        if is_quiet:
            return "none"
        is_ci = env.get("CI", "").lower() not in ("", "0", "false")
        return "live" if is_terminal(env) and not is_ci else "plain"


def _ticking(
    mode: str, lines: LineRenderer, tally: Tally, clock: Clock, env: Mapping[str, str]
) -> tuple[Callable[[], None], float]:
    """Return what is done every so often while work is under way, and how often; 0: nothing is."""
    if mode != "live":
        return lines.beat, BEAT_S if mode == "plain" else 0.0
    from oci_push.cli.live import FRAME_S, LiveDisplay

    return LiveDisplay(tally, clock, env, has_signs=is_unicode()).tick, FRAME_S


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{text}\n")
    except OSError as problem:
        warn(f"{path}: the summary cannot be written ({problem.strerror})")
