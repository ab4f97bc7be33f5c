"""The one door: everything that is printed, by us, by the option parser, by Python itself, leaves through here.

`say` is for results on stdout, `tell` for everything else on stderr, one line each. Both clean what they are given (see
`model.display`), so no caller needs to know who wrote a text. `open_doors` puts a `Door` in the place of both streams,
which cleans what others print: usage errors, which repeat the user's words, warnings and tracebacks.

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
from typing import TextIO

from msgspec import Struct

from oci_push import forms
from oci_push.model.display import clean, clean_json
from oci_push.secret import Json

_DEBUG = "oci-push --debug"


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


def tell(line: str) -> None:
    """Print one line for people, on stderr."""
    _put(sys.stderr, f"{clean(line)}\n")


def prompt(text: str) -> None:
    """Print a question on stderr, whose answer stands on the same line."""
    _put(sys.stderr, clean(text))


def warn(text: str, hint: str | None = None) -> None:
    """Print a warning, and what to do about it."""
    tell(f"warning: {text}")
    if hint:
        tell(f"  hint: {hint}")


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


class Door(io.TextIOBase):
    """Stand in for a stream: clean each line that is written, and fail at nothing. `trouble` is what went wrong."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._begun = ""
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
                self._stream.write(text)
                self._stream.flush()

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
    sys.stdout, sys.stderr = Door(sys.stdout), Door(sys.stderr)


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
