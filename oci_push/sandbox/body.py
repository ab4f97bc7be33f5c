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
    ``100 Continue``). `cut_at` breaks the body off after so many bytes, or at its end if it is shorter. `flip` names a
    byte (from the end, if negative) and the bits of it that change on the way.
    """

    def __init__(self, stream: Stream, length: int | None, before_read: Callable[[], None]) -> None:
        self._stream = stream
        self._before_read = before_read
        self._started = False
        self.length = length
        self.received = 0
        self.finished = length == 0
        self.cut_at: int | None = None
        self.flip: tuple[int, int] | None = None
        self._block_bytes = BLOCK_BYTES
        self._pause: Callable[[], object] = lambda: None

    @property
    def remaining(self) -> int | None:
        """Return how many bytes are still to come, ``None`` when nobody knows."""
        return None if self.length is None else self.length - self.received

    def slow_down(self, block_bytes: int, pause: Callable[[], object]) -> None:
        """Read at most so many bytes at a time, and call `pause` before each block."""
        self._block_bytes, self._pause = block_bytes, pause

    def blocks(self) -> Iterator[memoryview]:
        """Return the bytes in blocks of at most 1 MiB; each is overwritten by the next. Raises `BodyBrokenError`."""
        if not self._started:
            self._started = True
            self._before_read()
        if self.length is None:
            yield from self._chunked()
        else:
            yield from self._exactly(self.length - self.received)
        if self.cut_at is not None:
            raise BodyBrokenError("cut off by a fault at the end of the body")
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

    def _exactly(self, count: int) -> Iterator[memoryview]:
        view = memoryview(bytearray(min(count, self._block_bytes)))
        while count:
            self._pause()
            want = min(count, len(view))
            if self.cut_at is not None:
                want = min(want, max(self.cut_at - self.received, 0))
            filled, broken = self._fill(view[:want])
            self.received += filled
            count -= filled
            self._garble(view[:filled])
            if filled:
                yield view[:filled]
            if broken or not want:
                raise BodyBrokenError("the connection broke inside the body" if broken else "cut off by a fault")

    def _garble(self, block: memoryview) -> None:
        if self.flip is None or not block:
            return
        at, mask = self.flip
        place = at + (self.length or 0 if at < 0 else 0) - (self.received - len(block))
        if 0 <= place < len(block):
            block[place] ^= mask

    def _fill(self, view: memoryview) -> tuple[int, bool]:
        filled = 0
        while filled < len(view):
            try:
                count = self._stream.readinto1(view[filled:])
            except (OSError, ValueError):  # ValueError: stop() closed the stream under us
                count = 0
            if not count:
                return filled, True
            filled += count
        return filled, False

    def _chunked(self) -> Iterator[memoryview]:
        while size := self._chunk_size():
            yield from self._exactly(size)
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
