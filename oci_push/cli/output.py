"""The one door: everything that is printed, by us, by the option parser, by Python itself, leaves through here.

`say` is for results on stdout, `tell` for everything else on stderr, one line each. Both clean what they are given (see
`model.display`), so no caller needs to know who wrote a text. `open_doors` puts a `Door` in the place of both streams,
which cleans what others print: usage errors, which repeat the user's words, warnings and tracebacks.

What stands still on a terminal is text that is written over again and again: a `Picture` at the foot of a door's
stream, above which every line goes that is printed meanwhile.

A stream that is closed, full or no longer read never disturbs the work: what cannot be printed is dropped, and
`lost_results` says so at the end, for the exit code.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from msgspec import Struct

from oci_push import forms
from oci_push.cli.ci import Ci, Place, find_ci
from oci_push.model.display import clean, clean_json
from oci_push.secret import Json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from oci_push.events import Event

_DEBUG = "oci-push --debug"
_NOWHERE = Place()
_TO_LINES_END, _TO_THE_END = "\x1b[K", "\x1b[J"
_AT_ONCE, _DONE = "\x1b[?2026h", "\x1b[?2026l"
"""What a terminal that knows it (mode 2026) shows as one change; others pass over it."""


def say(line: str = "") -> None:
    """Print one line of a result."""
    _put(sys.stdout, f"{clean(line)}\n")


def say_text(text: str) -> None:
    """Print a text of ours that has several lines."""
    _put(sys.stdout, "".join(f"{clean(line)}\n" for line in text.split("\n")[: -1 if text.endswith("\n") else None]))


def say_json(value: Json) -> None:
    """Print a result as JSON."""
    _put(sys.stdout, f"{clean_json(value)}\n")


def say_form(form: Struct) -> None:
    """Print a result's published form as JSON."""
    say_json(forms.to_builtins(form))


def say_bytes(raw: bytes) -> None:
    """Print bytes exactly as they are; at a terminal as text, cleaned, as they may hold what controls it."""
    stream = sys.stdout
    if isinstance(stream, Door) and not stream.isatty():
        stream.put_bytes(raw)
    else:
        say_text(raw.decode("utf-8", "backslashreplace"))


def is_result_shown() -> bool:
    """Return whether stdout is shown to a person, and not read by a program or kept in a file."""
    return isinstance(sys.stdout, Door) and sys.stdout.isatty()


def tell(line: str) -> None:
    """Print one line for people, on stderr."""
    door = sys.stderr
    if isinstance(door, Door) and door.takes_events:
        from oci_push.events import LogMessage

        tell_event(LogMessage(line))
    else:
        _put(sys.stderr, f"{clean(line)}\n")


def tell_event(event: Event) -> None:
    """Print an event as one line of JSON, on stderr."""
    from oci_push.runner.report import EventForm
    from oci_push.runtime.clock import SystemClock

    form = EventForm(forms.VERSION, event, round(SystemClock().now(), 3))
    _put(sys.stderr, f"{clean_json(forms.to_builtins(form), indent=None)}\n")


def prompt(text: str) -> None:
    """Print a question on stderr, whose answer stands on the same line."""
    _put(sys.stderr, clean(text))


def warn(text: str, hint: str | None = None, place: Place = _NOWHERE) -> None:
    """Print a warning, and what to do about it."""
    issue("warning", text, hint, place)


def issue(level: str, text: str, hint: str | None = None, place: Place = _NOWHERE, help: str = "") -> None:
    """Print an ``error`` or a ``warning`` and what to do about it, so that a CI that reads along annotates it.

    `help` is where a person reads more: no part of an annotation or an event.
    """
    door = sys.stderr
    whole = f"{text}\nhint: {hint}" if hint else text
    if isinstance(door, Door) and door.takes_events:
        from oci_push.events import LogMessage

        tell_event(LogMessage(whole, level))
    elif isinstance(door, Door) and (command := door.ci.issue(level, whole, place)):
        _put(sys.stderr, f"{command}\n")
    else:
        tell(f"{level}: {text}")
        if hint:
            tell(f"  hint: {hint}")
        if help:
            tell(f"  help: {help}")


def tell_section(title: str, now: float, *, begins: bool) -> None:
    """Begin or end a part of the log that the CI can fold, if it can; `now` is in seconds since 1970."""
    door = sys.stderr
    if isinstance(door, Door) and not door.takes_events:
        mark = door.ci.opened(title, now) if begins else door.ci.closed(title, now)
        if mark:
            _put(sys.stderr, f"{mark}\n")


def speak_json() -> None:
    """Make stderr a stream of events: from now on every line for people is one, too."""
    if isinstance(sys.stderr, Door):
        sys.stderr.takes_events = True


def is_terminal(env: Mapping[str, str]) -> bool:
    """Return whether stderr is a terminal on which lines can be written over."""
    return isinstance(sys.stderr, Door) and sys.stderr.isatty() and env.get("TERM", "dumb") != "dumb"


def shows_results() -> bool:
    """Return whether results go to a terminal, where bytes of any kind would do harm."""
    return isinstance(sys.stdout, Door) and sys.stdout.isatty()


def is_unicode() -> bool:
    """Return whether stderr takes every sign."""
    return sys.stderr is not None and (sys.stderr.encoding or "").lower().startswith("utf")


def show_picture(picture: Picture | None) -> None:
    """Put a picture at the foot of stderr, draw the one that is there again, or take it away."""
    if isinstance(sys.stderr, Door):
        sys.stderr.show(picture)


def terminal_size() -> os.terminal_size:
    """Return how large the window is that stderr is shown in; one that does not say so is taken for a usual one."""
    try:
        found = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        found = os.terminal_size((0, 0))
    return os.terminal_size((found.columns or 80, found.lines or 24))


def console(width: int, env: Mapping[str, str]) -> Console:
    """Return what renders for a terminal of this width, into a text; colours are those that `env` speaks of."""
    from rich.console import Console  # loaded for a display only

    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=100,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
        _environ={name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")},
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return the lines of a table; the last column is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    for row in ([head.upper() for head in heads], *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def fields(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Return lines of a name and a text; a name that repeats is left blank, as before further lines."""
    width = max((len(name) for name, _ in rows), default=0)
    before = ""
    for name, text in rows:
        for line in text.splitlines() or [""]:
            yield f"{'' if name == before else name:<{width}}  {line}".rstrip()
            before = name


def start_debug_log() -> None:
    """Tell the core's log, a line for each record."""
    import logging  # few runs are looked at so closely

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tell(self.format(record))

    log = logging.getLogger("oci_push")
    log.setLevel(logging.DEBUG)
    for other in [handler for handler in log.handlers if handler.name == _DEBUG]:
        log.removeHandler(other)
    handler = Teller()
    handler.set_name(_DEBUG)
    handler.setFormatter(logging.Formatter("%(relativeCreated)6d ms %(threadName)s %(message)s"))
    log.addHandler(handler)


class Picture(Protocol):
    """What stands at the foot of a terminal; its texts are clean."""

    def over(self) -> str:
        """Return what moves the cursor from below the picture to its first character."""
        ...

    def drawn(self) -> str:
        """Return the picture as whole lines, and note its size."""
        ...


class Door(io.TextIOBase):
    """Stand in for a stream: clean each line that is written, and fail at nothing. `trouble` is what went wrong.

    `ci` reads along, and what `takes_events` gets its lines as JSON.
    """

    def __init__(self, stream: TextIO | None, ci: Ci | None = None) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._begun = ""
        self._picture: Picture | None = None
        self.ci = ci or Ci()
        self.takes_events = False
        self.trouble: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base class has a plain attribute
        """Return the stream's encoding."""
        return self._stream.encoding if self._stream is not None else "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]  # the base class has a plain attribute
        """Return what becomes of characters that the encoding lacks: they are escaped."""
        return "backslashreplace"

    def writable(self) -> bool:
        """Return true, also where nothing arrives."""
        return True

    def isatty(self) -> bool:
        """Return whether a terminal is behind it."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's number; raises ``OSError`` where there is none."""
        if self._stream is None:
            raise io.UnsupportedOperation("the stream is closed")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Take text from those who know nothing of cleaning; a line is printed when it is whole, or at a flush."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            if lines:
                self.put("".join(f"{clean(line)}\n" for line in lines))
        return len(text)

    def put(self, text: str) -> None:
        """Print text that is clean."""
        with self._lock, self._noting():
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            if self.trouble is None:
                picture = self._picture
                self._stream.write(_above(picture, text) if picture is not None else text)
                self._stream.flush()

    def show(self, picture: Picture | None) -> None:
        """Draw a picture below all that is printed; without one, take away what is there."""
        with self._lock:
            before, self._picture = self._picture, picture
            if picture is not None:
                self.put("")
            elif before is not None:
                self.put(f"{before.over()}{_TO_THE_END}")

    def put_bytes(self, raw: bytes) -> None:
        """Print bytes whose every one counts."""
        with self._lock, self._noting():
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            if self.trouble is None:
                self._stream.flush()
                self._stream.buffer.write(raw)
                self._stream.buffer.flush()

    def flush(self) -> None:
        """Print what a line has so far."""
        with self._lock:
            begun, self._begun = self._begun, ""
            if begun:
                self.put(clean(begun))

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as problem:
            if self.trouble is not None:
                return
            self.trouble = problem if isinstance(problem, OSError) else OSError(errno.EBADF, str(problem))
            # What the stream still holds would fail once more, and loudly, when Python ends.
            with contextlib.suppress(OSError, ValueError):
                if self._stream is not None:
                    number = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(number, self._stream.fileno())
                    os.close(number)


def open_doors() -> None:
    """Put doors in the place of stdout and stderr, and nothing in the place of streams that are closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The next file or connection would get this number, and be taken for a stream by whoever we start.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    ci = find_ci(os.environ)
    sys.stdout, sys.stderr = Door(sys.stdout, ci), Door(sys.stderr, ci)


def lost_results() -> OSError | None:
    """Return why a result could not be printed, if one could not."""
    sys.stdout.flush()
    return sys.stdout.trouble if isinstance(sys.stdout, Door) else None


def _put(stream: TextIO | None, text: str) -> None:
    if isinstance(stream, Door):
        stream.put(text)
    elif stream is not None:
        stream.write(text)
        stream.flush()


def _above(picture: Picture, text: str) -> str:
    """Return what writes a text where a picture is, and the picture below: in place, so that nothing flickers."""
    over = picture.over()
    lines = f"{text}{picture.drawn()}".replace("\n", f"{_TO_LINES_END}\n")
    return f"{_AT_ONCE}{over}{lines}{_TO_THE_END}{_DONE}"
