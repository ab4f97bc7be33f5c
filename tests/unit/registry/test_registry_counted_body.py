"""A body that is counted as it goes out: all of it, told now and then, in small pieces on a slow line."""

from __future__ import annotations

from oci_push.protocol.call import BytesBody
from oci_push.registry.counted_body import CountedBody
from oci_push.runtime.clock import FakeClock

MIB = 1024 * 1024


class Blocks:
    """A body of blocks of 1 MiB."""

    def __init__(self, count: int) -> None:
        self.size = count * MIB

    def blocks(self, start: int = 0) -> object:
        return (bytes(MIB) for _ in range(start // MIB, self.size // MIB))


def sent(body: object, *, seconds_each: float, offset: int = 0) -> tuple[list[int], list[int], int, FakeClock]:
    """Send a body on a line that takes this long for a piece; return pieces, what was told, and the sum."""
    clock, told, total = FakeClock(), [], 0

    def on_sent(size: int, position: int, *, is_told: bool) -> None:
        nonlocal total
        total += size
        if is_told:
            told.append(position)

    pieces = []
    for piece in CountedBody(body, offset, clock, on_sent).blocks():  # type: ignore[arg-type]
        pieces.append(len(piece))
        clock.time += seconds_each
    return pieces, told, total, clock


def test_on_a_fast_line_blocks_stay_whole_and_every_four_mebibytes_are_told() -> None:
    pieces, told, total, _ = sent(Blocks(9), seconds_each=0.001, offset=100)
    assert pieces == [MIB] * 9
    assert told == [100 + 4 * MIB, 100 + 8 * MIB]
    assert total == 9 * MIB


def test_on_a_slow_line_small_pieces_are_told_a_few_times_a_second() -> None:
    pieces, told, total, clock = sent(Blocks(3), seconds_each=0.125)
    assert pieces == [MIB] + [65536] * 32
    assert clock.time - 1_700_000_000 == 33 * 0.125
    assert len(told) == 16
    assert told == sorted(told)
    assert total == 3 * MIB


def test_a_body_counts_its_own_time_and_size() -> None:
    clock = FakeClock()
    body = CountedBody(BytesBody(b"abc"), 0, clock, lambda size, position, *, is_told: None)
    assert body.size == 3
    for _ in body.blocks():
        clock.time += 2.0
    assert body.seconds == 2.0
