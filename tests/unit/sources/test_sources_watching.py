"""How far the reading of a layer is, as listeners are told."""

from __future__ import annotations

import io

from oci_push.events import Event, LayerReading
from oci_push.model.digest import Digest
from oci_push.runtime.clock import FakeClock
from oci_push.sources.watching import Watch, WatchedReader

DIFF = Digest.of(b"layer")


class File:
    """A reader of a file in memory."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.is_closed = False

    def fill(self, view: memoryview) -> int:
        return self._file.readinto(view)

    def close(self) -> None:
        self.is_closed = True


def test_a_reader_tells_a_few_times_a_second_and_passes_all_on() -> None:
    clock, told = FakeClock(), list[Event]()
    file = File(b"x" * 95)
    reader = WatchedReader(file, Watch(DIFF, 95, clock, told.append, is_compressed=True))
    buffer, sizes = memoryview(bytearray(10)), []
    while size := reader.fill(buffer):
        sizes.append(size)
        clock.time += 0.125
    reader.close()
    assert sizes == [10] * 9 + [5]
    assert told == [LayerReading(DIFF, read, 95, True) for read in (30, 50, 70, 90, 95)]
    assert file.is_closed


def test_a_short_layer_tells_nothing() -> None:
    told = list[Event]()
    watch = Watch(DIFF, 10, FakeClock(), told.append, is_compressed=False)
    assert b"".join(watch.blocks([b"01234", memoryview(b"56789")])) == b"0123456789"
    assert told == []
