"""A request's body that is counted as it goes out, at no cost where the line is fast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from oci_push.protocol.call import Body
from oci_push.runtime.clock import Clock

_TELL_BYTES = 4 * 1024 * 1024
_TELL_S = 0.2
"""What has gone out is told after so many bytes or so long a time, whichever is first."""
_SLOW_S = 0.1
_PIECE_BYTES = 64 * 1024


class OnSent(Protocol):
    """Take `size` more bytes that went out; `position` is how far the blob is, and `is_told` asks to say so."""

    def __call__(self, size: int, position: int, *, is_told: bool) -> None:
        """Count them."""
        ...


class CountedBody:
    """Count what goes out of a part that begins at `offset` of its blob, and time it; for one thread.

    Blocks go out as they are. Where one takes long, the rest goes in small pieces: a listener sees a slow line move.
    """

    def __init__(self, body: Body, offset: int, clock: Clock, on_sent: OnSent) -> None:
        self._body = body
        self._offset = offset
        self._clock = clock
        self._on_sent = on_sent
        self._started = 0.0

    @property
    def size(self) -> int:
        """Return the part's size."""
        return self._body.size

    @property
    def seconds(self) -> float:
        """Return the time since its first byte was asked for; waiting for one's turn is not among it."""
        return self._clock.monotonic() - self._started

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Pass the blocks on."""
        self._started = before = told_at = self._clock.monotonic()
        position = told = self._offset + start
        is_slow = False
        for block in self._body.blocks(start):
            for piece in _pieces(block) if is_slow else (block,):
                yield piece
                now = self._clock.monotonic()
                position += len(piece)
                is_told = position - told >= _TELL_BYTES or now - told_at >= _TELL_S
                is_slow = is_slow or now - before >= _SLOW_S
                before = now
                if is_told:
                    told, told_at = position, now
                self._on_sent(len(piece), position, is_told=is_told)


def _pieces(block: bytes | memoryview) -> Iterator[memoryview]:
    view = memoryview(block)
    return (view[at : at + _PIECE_BYTES] for at in range(0, len(view), _PIECE_BYTES))
