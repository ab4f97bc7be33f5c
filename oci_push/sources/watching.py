"""How far the reading of a layer is, told while it goes on: compressing a large one takes long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oci_push.events import Emit, LayerReading
from oci_push.model.digest import Digest
from oci_push.runtime.clock import Clock
from oci_push.sources.compress import Reader

_TELL_S = 0.2


class Watch:
    """Count what is read of a layer's `size` stored bytes, and tell it a few times a second; one thread at a time."""

    def __init__(self, diff_id: Digest, size: int, clock: Clock, emit: Emit, *, is_compressed: bool) -> None:
        self._diff_id = diff_id
        self._size = size
        self._clock = clock
        self._emit = emit
        self._is_compressed = is_compressed
        self._read = 0
        self._told_at: float | None = None

    def count(self, size: int) -> None:
        """Add to what has been read."""
        self._read += size
        now = self._clock.monotonic()
        if self._told_at is None:
            self._told_at = now
        elif now - self._told_at >= _TELL_S:
            self._told_at = now
            self._emit(LayerReading(self._diff_id, self._read, self._size, self._is_compressed))

    def blocks(self, blocks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """Pass blocks on and count them."""
        for block in blocks:
            yield bytes(block)
            self.count(len(block))


class WatchedReader:
    """A reader whose bytes are counted."""

    def __init__(self, reader: Reader, watch: Watch) -> None:
        self._reader = reader
        self._watch = watch

    def fill(self, view: memoryview) -> int:
        """Write the next bytes into `view`."""
        count = self._reader.fill(view)
        self._watch.count(count)
        return count

    def close(self) -> None:
        """Close what is open."""
        self._reader.close()
