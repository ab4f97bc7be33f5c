"""What `push` and `run` show and leave behind, as a user meets it: the same options on both."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from equipment.sandbox import Sandbox
from images import layer, make_layout
from program import program, until
from published import check_json
from screen import Screen

from oci_push.runner.report import EventForm

COMMANDS = {
    "push": ("push", "oci:image", "HOST/team/app:1,latest", "--no-memory"),
    "run": ("run", "p.yml", "--no-memory"),
}
both = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path, sandbox: Sandbox) -> Path:
    """Return a folder with an image and a pipeline that pushes it as `push` does."""
    make_layout(tmp_path / "image", layer(1), layer(2))
    (tmp_path / "p.yml").write_text(
        "version: '1.0'\nsteps:\n"
        f"  ship: {{type: push, candidate: 'oci:image', image_name: team/app, tags: ['1', latest],"
        f" registry: '{sandbox.address}'}}\n"
        "  not: {type: push, candidate: 'oci:image', image_name: b, tag: '1', registry: r.example,"
        " when: {condition: {all: {never: '1 == 2'}}}}\n"
    )
    return tmp_path


def words(command: str, sandbox: Sandbox) -> tuple[str, ...]:
    return tuple(word.replace("HOST", sandbox.address) for word in COMMANDS[command])


def root(folder: Path) -> str:
    return str(json.loads((folder / "image/index.json").read_text())["manifests"][0]["digest"])


@both
def test_results_are_whole_on_stdout_and_a_table_on_stderr(command: str, sandbox: Sandbox, folder: Path) -> None:
    done = program(*words(command, sandbox), cwd=folder)
    name, digest = f"{sandbox.address}/team/app", root(folder)
    assert done.stdout.splitlines() == [f"{name}:1@{digest}", f"{name}:latest@{digest}"]
    heads, row = re.findall(r"(?m)^(?:STEP .*|TARGET .*)$\n.*", done.stderr)[0].split("\n")
    assert heads.split() == ["STEP"] * (command == "run") + [
        "TARGET",
        "TAGS",
        "DIGEST",
        "SENT",
        "MOUNTED",
        "THERE",
        "TIME",
        "RETRIES",
    ]
    assert row.split()[command == "run" :][:4] == [name, "1,", "latest", digest[:19]]
    assert digest not in done.stderr
    assert f"Tagged {name}:latest" in done.stderr.splitlines()


@both
def test_quiet_prints_results_only(command: str, sandbox: Sandbox, folder: Path) -> None:
    done = program(*words(command, sandbox), "--quiet", cwd=folder)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.splitlines()[-1:] == (["Build finished: success"] if command == "run" else [])
    assert not re.search("Pushing|Tagged|RETRIES", done.stderr)


@both
@pytest.mark.parametrize("mode", ["auto", "plain", "none"])
def test_progress_is_chosen(mode: str, command: str, sandbox: Sandbox, folder: Path) -> None:
    done = program(*words(command, sandbox), "--progress", mode, cwd=folder)
    assert ("Pushing to" in done.stderr) == (mode != "none")
    assert "RETRIES" in done.stderr


@both
def test_progress_as_json_is_a_stream_of_events_and_nothing_else(command: str, sandbox: Sandbox, folder: Path) -> None:
    done = program(*words(command, sandbox), "--progress", "json", cwd=folder)
    assert len(done.stdout.splitlines()) == 2
    found = [json.loads(line) for line in done.stderr.splitlines()]
    for line in done.stderr.splitlines():
        check_json(line, EventForm)
    inner = [one["event"] for one in found]
    names = [one["type"] for one in inner]
    assert {"source_opened", "target_started", "blob_started", "blob_done", "tag_done", "target_finished"} <= set(names)
    assert sorted(one["kind"] for one in inner if one["type"] == "blob_done") == ["config", "layer", "layer"]
    assert {one["digest"] for one in inner if one["type"] == "tag_done"} == {root(folder)}
    assert all(one["time"] > 1.7e9 for one in found)


@both
def test_errors_are_events_too_where_events_are_asked_for(command: str, folder: Path) -> None:
    replaced = (folder / "p.yml").read_text()
    (folder / "p.yml").write_text(re.sub(r"127.0.0.1:\d+", "127.0.0.1:9", replaced))
    line = tuple(word.replace("HOST", "127.0.0.1:9") for word in COMMANDS[command])
    done = program(*line, "--retries", "0", "--progress", "json", code=None, cwd=folder)
    assert done.returncode != 0
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    errors = [one for one in events if one["type"] == "log_message" and one["level"] == "error"]
    assert len(errors) == 1
    assert "Connection refused" in errors[0]["text"]
    assert "\nhint: " in errors[0]["text"]


def test_an_option_that_is_refused_is_an_event_too(folder: Path) -> None:
    done = program("push", "oci:image", "h.example/a:1", "--progress", "json", "--key-file", "k", code=2, cwd=folder)
    (event,) = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert (event["level"], event["text"]) == ("error", "--key-file needs --cert-file\nhint: give both, or neither")


REFUSED = {
    "unknown": (("--progress", "fancy"), "--progress 'fancy' is not known"),
    "no terminal": (("--progress", "live"), "--progress live: stderr is no terminal"),
    "quiet": (("--progress", "plain", "-q"), "--quiet has no effect with --progress plain"),
    "form": (("--report", "r", "--report-format", "yaml"), "--report-format 'yaml' is not known"),
    "no report": (("--report-format", "junit"), "--report-format needs --report FILE"),
    "no folder": (("--digest-file", "no/where"), "--digest-file no/where: there is no folder no"),
}


@both
@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_effect_is_refused_before_anything_is_sent(
    case: str, command: str, sandbox: Sandbox, folder: Path
) -> None:
    more, message = REFUSED[case]
    assert message in program(*words(command, sandbox), *more, code=2, cwd=folder).stderr
    assert not sandbox.traffic.requests


@pytest.mark.parametrize("more", [("--digest-file", "d"), ("--report", "r", "--report-format", "junit")])
def test_a_plan_has_no_results(more: tuple[str, ...], folder: Path) -> None:
    done = program("push", "oci:image", "127.0.0.1:9/a:1", "--plan", *more, code=2, cwd=folder)
    assert "has no effect with --plan" in done.stderr


@both
def test_the_digest_is_written_alone(command: str, sandbox: Sandbox, folder: Path) -> None:
    program(*words(command, sandbox), "--digest-file", "digest", cwd=folder)
    assert (folder / "digest").read_text() == f"{root(folder)}\n"


def test_no_digest_is_written_of_what_was_not_pushed(folder: Path) -> None:
    program("push", "oci:image", "127.0.0.1:9/a:1", "--retries", "0", "--digest-file", "d", code=6, cwd=folder)
    assert not (folder / "d").exists()


@both
def test_a_report_is_junit_or_markdown_where_that_is_asked_for(command: str, sandbox: Sandbox, folder: Path) -> None:
    program(*words(command, sandbox), "--report", "r.xml", "--report-format", "junit", cwd=folder)
    suites = ElementTree.parse(folder / "r.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == (("1", "0") if command == "push" else ("2", "0"))
    program(*words(command, sandbox), "--report", "r.md", "--report-format", "markdown", cwd=folder)
    text = (folder / "r.md").read_text()
    assert f"`{root(folder)}`" in text
    assert ("⏭️ **not**" in text) == (command == "run")


@both
def test_a_source_that_is_bad_is_in_the_report(command: str, sandbox: Sandbox, folder: Path) -> None:
    (folder / "image/index.json").write_text("{}")
    line = words(command, sandbox)
    done = program(*line, "--report", "r.xml", "--report-format", "junit", code=None, cwd=folder)
    assert done.returncode in (1, 3)
    assert done.stderr.count("error: ") == 1
    failure = ElementTree.parse(folder / "r.xml").getroot().find("*/testcase/failure")
    assert failure is not None
    assert failure.get("type") == "SourceError"


@both
def test_github_gets_a_summary_sections_and_annotations(command: str, sandbox: Sandbox, folder: Path) -> None:
    env = {"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    (folder / "summary.md").write_text("# before\n")
    done = program(*words(command, sandbox), cwd=folder, **env)
    summary = (folder / "summary.md").read_text()
    assert summary.startswith("# before\n### ✅ ")
    assert f"| `{sandbox.address}/team/app` | `1, latest` | `{root(folder)}` |" in summary
    lines = done.stderr.splitlines()
    title = "Push oci:image" if command == "push" else "ship"
    assert lines.index(f"::group::{title}") < lines.index(f"Pushing to {sandbox.address}/team/app")
    assert lines.index("::endgroup::") < next(n for n, line in enumerate(lines) if "RETRIES" in line)


def test_a_mistake_in_a_pipeline_is_annotated_at_its_line(folder: Path) -> None:
    (folder / "p.yml").write_text("version: '1.0'\nsteps:\n  p: {type: push, image_nam: a}\n")
    done = program("run", "p.yml", "--sandbox", code=2, cwd=folder, GITHUB_ACTIONS="true")
    assert re.search(r"^::error file=p.yml,line=3,col=\d+::p.yml:3:\d+: ", done.stderr, re.MULTILINE)
    azure = program("run", "p.yml", "--sandbox", code=2, cwd=folder, TF_BUILD="True")
    assert "##vso[task.logissue type=error;sourcepath=p.yml;linenumber=3;columnnumber=" in azure.stderr


def test_a_summary_that_cannot_be_written_is_no_failure(sandbox: Sandbox, folder: Path) -> None:
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "no/summary")}
    done = program(*words("push", sandbox), cwd=folder, **env)
    assert "::warning::" in done.stderr


class Pty:
    """The program on a terminal of its own."""

    def __init__(self, folder: Path, columns: int, *arguments: str, **env: str) -> None:
        self.screen = Screen(columns, 30)
        main, other = pty.openpty()
        os.set_blocking(main, False)
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        around = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **env}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oci_push", *arguments],
            cwd=folder,
            env=around,
            stdin=other,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        self._main = main
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._waiting = self._written = ""

    def read(self) -> None:
        """Show what has been written; a command that has come in part waits for the rest."""
        try:
            while data := os.read(self._main, 65536):
                self._waiting += self._decoder.decode(data)
                begun = re.search(r"\x1b[^A-Za-z]*$", self._waiting)
                end = begun.start() if begun else len(self._waiting)
                self.screen.feed(self._waiting[:end])
                self._written += self._waiting[:end]
                self._waiting = self._waiting[end:]
        except OSError:
            return

    def has(self, text: str) -> bool:
        """Return whether a text has been on the screen."""
        self.read()
        return text in self._written

    def end(self) -> int:
        """Wait for the end, and show what was written."""
        code = self.process.wait(60)
        self.read()
        os.close(self._main)
        return code


def test_on_a_terminal_a_display_comes_and_goes(sandbox: Sandbox, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1, 4_000_000))
    target = f"{sandbox.address}/team/app:1"
    shown = Pty(tmp_path, 100, "push", "oci:image", target, "--no-memory", "--limit-rate", "1M")
    until(lambda: shown.has("B/s") and shown.has("layer  "))
    assert shown.end() == 0
    lines = shown.screen.shown()
    assert lines[0].startswith("Image sha256:")
    assert lines[1].startswith(f"{target}@sha256:")
    assert not any("B/s" in line for line in lines)


@pytest.mark.parametrize("env", [{"CI": "true"}, {"TERM": "dumb"}])
def test_a_ci_and_a_dumb_terminal_get_lines(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1))
    shown = Pty(tmp_path, 200, "push", "oci:image", f"{sandbox.address}/a:1", "--no-memory", **env)
    assert shown.end() == 0
    assert f"Pushing to {sandbox.address}/a" in shown.screen.shown()
    assert not shown.screen.frames


def test_a_stop_with_the_display_on_leaves_whole_lines_and_no_display(sandbox: Sandbox, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1, 8_000_000))
    target = f"{sandbox.address}/a:1"
    shown = Pty(tmp_path, 120, "push", "oci:image", target, "--no-memory", "--limit-rate", "300k")
    until(lambda: shown.has("B/s"))
    shown.process.send_signal(signal.SIGINT)
    assert shown.end() == 130
    lines = shown.screen.shown()
    assert "SIGINT received: stopping (again: stop at once)" in lines
    assert "error: stopped by SIGINT" in lines
    assert "  hint: the same command goes on where this one stopped" in lines
    assert not any("B/s" in line for line in lines)
    assert shown.screen.column == 0


def test_the_picture_of_the_display_is_made_by_its_script() -> None:
    script = Path(__file__).parents[2] / "docs/pictures/make_live.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run docs/pictures/make_live.py, and look at the picture\n{done.stderr}"
