"""The body of one request, read from the connection in blocks, of known length or chunked (RFC 9112 §6, §7.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

BLOCK_BYTES = 1 << 20
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")
_MAX_LINE = 4096


class Stream(Protocol):
    """Read from a connection, as `io.BufferedReader` does."""

    def readinto1(self, buffer: memoryview, /) -> int:
        """Read what is there, blocking for at least one byte; 0 means that the peer has closed."""
        ...

    def readline(self, limit: int, /) -> bytes:
        """Read a line with its end, at most `limit` bytes."""
        ...


class BodyBrokenError(Exception):
    """Report that a body ended before its end: the client went away, or a fault cut it off."""


class RequestBody:
    """Read one request's body once; whatever arrived before a break is handed out first.

    `length` is ``None`` for a chunked body. `before_read` is called before the first byte is asked for (it sends
    ``100 Continue``).
    """

    def __init__(self, stream: Stream, length: int | None, before_read: Callable[[], None]) -> None:
        self._stream = stream
        self._before_read = before_read
        self._started = False
        self.length = length
        self.received = 0
        self.finished = length == 0

    @property
    def remaining(self) -> int | None:
        """Return how many bytes are still to come, ``None`` when nobody knows."""
        return None if self.length is None else self.length - self.received

    def blocks(self) -> Iterator[memoryview]:
        """Return the bytes in blocks of at most 1 MiB; each is overwritten by the next. Raises `BodyBrokenError`."""
        if not self._started:
            self._started = True
            self._before_read()
        if self.length is None:
            yield from self._chunked()
        else:
            yield from self.exactly(self.length - self.received)
        self.finished = True

    def read(self, limit: int) -> bytes | None:
        """Read the whole body into memory; ``None``, with the rest left unread, when it is over `limit` bytes."""
        if self.length is not None and self.length > limit:
            return None
        parts = bytearray()
        for block in self.blocks():
            parts += block
            if len(parts) > limit:
                return None
        return bytes(parts)

    def discard(self) -> None:
        """Read to the end and throw it away."""
        for _ in self.blocks():
            pass

    def exactly(self, count: int) -> Iterator[memoryview]:
        """Return the next `count` bytes in blocks; a body without length has one call for each chunk."""
        view = memoryview(bytearray(min(count, BLOCK_BYTES)))
        while count:
            want = min(count, len(view))
            filled = self.fill(view[:want])
            count -= filled
            if filled:
                yield view[:filled]
            if filled < want:
                raise BodyBrokenError("the connection broke inside the body")

    def fill(self, view: memoryview) -> int:
        """Read into `view` and count; return how many bytes came before the connection broke, if it did."""
        filled = 0
        while filled < len(view):
            try:
                count = self._stream.readinto1(view[filled:])
            except (OSError, ValueError):  # ValueError: stop() closed the stream under us
                count = 0
            if not count:
                break
            filled += count
        self.received += filled
        return filled

    def _chunked(self) -> Iterator[memoryview]:
        while size := self._chunk_size():
            yield from self.exactly(size)
            if self._line():
                raise BodyBrokenError("a chunk is longer than its size says")
        while self._line():
            pass  # trailers

    def _chunk_size(self) -> int:
        text = self._line().partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(text):
            raise BodyBrokenError("a chunk has no valid size")
        return int(text, 16)

    def _line(self) -> bytes:
        try:
            line = self._stream.readline(_MAX_LINE)
        except (OSError, ValueError) as problem:
            raise BodyBrokenError("the connection broke between two chunks") from problem
        if not line.endswith(b"\n"):
            raise BodyBrokenError("the connection ended between two chunks")
        return line.rstrip(b"\r\n")
