"""Request bodies that break off, arrive slowly, or change on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from oci_push.sandbox.body import BLOCK_BYTES, BodyBrokenError, RequestBody, Stream


class FaultyBody(RequestBody):
    """A body that a fault may meet.

    `cut_at` breaks it off after so many bytes, or at its end if it is shorter. `flip` names a byte (from the end, if
    negative) and the bits of it that change.
    """

    def __init__(self, stream: Stream, length: int | None, before_read: Callable[[], None]) -> None:
        super().__init__(stream, length, before_read)
        self.cut_at: int | None = None
        self.flip: tuple[int, int] | None = None
        self._block_bytes = BLOCK_BYTES
        self._pause: Callable[[], object] = lambda: None

    @property
    def remaining(self) -> int | None:
        """Return how many bytes are still to come; nobody knows that of a body that is cut."""
        return super().remaining if self.cut_at is None else None

    def slow_down(self, block_bytes: int, pause: Callable[[], object]) -> None:
        """Read at most so many bytes at a time, and call `pause` before each block."""
        self._block_bytes, self._pause = block_bytes, pause

    def blocks(self) -> Iterator[memoryview]:
        """Return the bytes in blocks, up to the cut."""
        yield from super().blocks()
        if self.cut_at is not None:
            self.finished = False
            raise BodyBrokenError("cut off by a fault at the end of the body")

    def exactly(self, count: int) -> Iterator[memoryview]:
        """Return the next `count` bytes as the fault lets them through."""
        view = memoryview(bytearray(min(count, self._block_bytes)))
        while count:
            self._pause()
            want = min(count, len(view))
            if self.cut_at is not None:
                want = min(want, max(self.cut_at - self.received, 0))
            filled = self.fill(view[:want])
            count -= filled
            self._garble(view[:filled])
            if filled:
                yield view[:filled]
            if filled < want or not want:
                raise BodyBrokenError("the connection broke inside the body" if want else "cut off by a fault")

    def _garble(self, block: memoryview) -> None:
        if self.flip is None or not block:
            return
        at, mask = self.flip
        place = at + (self.length or 0 if at < 0 else 0) - (self.received - len(block))
        if 0 <= place < len(block):
            block[place] ^= mask
