"""The door: what is printed is clean, by lines, and a stream that fails disturbs nobody."""

from __future__ import annotations

import errno
import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_push.cli import output
from oci_push.cli.output import Door
from oci_push.secret import Secret

PROGRAM = [sys.executable, "-m", "oci_push"]


class Full(io.StringIO):
    """A stream with no space left."""

    def write(self, text: str) -> int:
        """Fail."""
        raise OSError(errno.ENOSPC, "No space left on device")


def doors(monkeypatch: pytest.MonkeyPatch) -> tuple[io.StringIO, io.StringIO]:
    streams = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", Door(streams[0]))
    monkeypatch.setattr(sys, "stderr", Door(streams[1]))
    return streams


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """Return the program's log, which is as it was afterwards."""
    found = logging.getLogger("oci_push")
    before = found.level
    monkeypatch.setattr(found, "handlers", [])
    yield found
    found.setLevel(before)


@pytest.mark.usefixtures("log")
def test_every_way_of_printing_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret("through-the-door").reveal()
    out, err = doors(monkeypatch)
    output.say(f"a {secret}\n::error::")
    output.say_text(f"b {secret}\n  ::add-mask::x\n")
    output.say_json({"c": f"{secret}\n::error::"})
    output.tell(f"::d {secret}\x1b[0m")
    output.warn(f"e {secret}", f"f {secret}")
    output.start_debug_log()
    logging.getLogger("oci_push.test").debug("g %s\n::error::", secret)
    print(f"h {secret}\n::error::x\x1b[0m")
    print(f"{secret}\r::stop", file=sys.stderr)
    print(warnings.formatwarning(f"i {secret}", UserWarning, "file.py", 1, f"::j {secret}"), file=sys.stderr)
    sys.excepthook(ValueError, ValueError(f"k {secret}\n::error::x"), None)
    assert out.getvalue() == (
        'a ***\\n::error::\nb ***\n  : :add-mask::x\n{\n  "c": "***\\n::error::"\n}\nh ***\n: :error::x\\x1b[0m\n'
    )
    shown = err.getvalue()
    assert secret not in shown
    assert "\x1b" not in shown
    assert not any(line.lstrip().startswith("::") for line in shown.splitlines())
    assert all(f"{letter} ***" in shown for letter in "defgijk")


def test_a_line_in_pieces_is_cleaned_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    Secret("in-two-pieces")
    out, _ = doors(monkeypatch)
    for piece in ("x in-two", "-pieces y", "\nPrompt: "):
        sys.stdout.write(piece)
    assert out.getvalue() == "x *** y\n"
    sys.stdout.flush()
    assert out.getvalue() == "x *** y\nPrompt: "


@pytest.mark.parametrize("stream", [None, Full()], ids=["closed", "full"])
def test_a_stream_that_fails_disturbs_nobody_and_is_told_of(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, err = doors(monkeypatch)
    monkeypatch.setattr(sys, "stdout", Door(stream))
    assert output.lost_results() is None
    output.say("one")
    output.say("two")
    output.tell("three")
    lost = output.lost_results()
    assert lost is not None
    assert lost.errno == (errno.EBADF if stream is None else errno.ENOSPC)
    assert err.getvalue() == "three\n"


@pytest.mark.parametrize(
    ("streams", "code", "out", "err"),
    [
        (">&-", 1, "", "error: the results could not be printed: Bad file descriptor\n"),
        (">/dev/full", 1, "", "error: the results could not be printed: No space left on device\n"),
        ("2>&-", 0, "true\n", ""),
        ("2>/dev/full", 0, "true\n", ""),
        ("<&-", 0, "true\n", "result: 1\n"),
        (">&- 2>&- <&-", 1, "", ""),
    ],
)
def test_streams_that_are_closed_or_full_give_no_traceback(streams: str, code: int, out: str, err: str) -> None:
    script = f'exec "$@" {streams}'
    done = subprocess.run(["sh", "-c", script, "sh", *PROGRAM, "eval", "1"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.removeprefix("result: 1\n") if code else done.stderr) == (
        code,
        out,
        err,
    )


@pytest.mark.parametrize("words", [["push", "-", "localhost:1/a:1"], ["validate", "-"], ["login", "h.example", "-ux"]])
def test_a_closed_stdin_is_said_to_be(words: list[str], tmp_path: Path) -> None:
    more = ["--password-stdin"] if words[0] == "login" else []
    script = 'exec "$@" <&-'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *PROGRAM, *words, *more],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert "stdin is closed" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (2, 3)


@pytest.mark.parametrize(
    "words",
    [
        ["push", "oci:x", "https://user:PASSWORD@host/app:1"],
        ["push", "docker://user:PASSWORD@host/x", "h.example/x"],
        ["push", "user:PASSWORD@host.example/x", "h.example/x"],
        ["https://user:PASSWORD@host"],
        ["login", "https://user:PASSWORD@host/x"],
        ["doctor", "user:PASSWORD@host:5000/x"],
        ["auth", "explain", "https://PASSWORD@host/x"],
        ["push", "--jobs", "https://user:PASSWORD@host", "x", "h.example/x"],
        ["validate", "https://user:PASSWORD@host/pipeline.yml"],
        ["eval", "'https://user:PASSWORD@host' == 1"],
    ],
    ids=" ".join,
)
def test_no_message_repeats_the_password_of_an_argument(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oci_push.cli import app

    out, err = doors(monkeypatch)
    monkeypatch.setattr(output, "open_doors", lambda: None)
    monkeypatch.setattr(sys, "argv", ["oci-push", *words])
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        app.main()
    assert out.getvalue() + err.getvalue()
    assert "PASSWORD" not in out.getvalue() + err.getvalue()
