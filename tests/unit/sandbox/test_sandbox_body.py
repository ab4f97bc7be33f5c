"""Bodies as they come from a connection: of known length, chunked, malformed, cut off."""

import io

import pytest
from equipment.body import FaultyBody

from oci_push.sandbox.body import BodyBrokenError


def body(data: bytes, length=None, cut_at=None) -> FaultyBody:
    made = FaultyBody(io.BufferedReader(io.BytesIO(data)), length, lambda: None)
    made.cut_at = cut_at
    return made


def collect(made: FaultyBody) -> bytes:
    """Give what came, before a break too."""
    got = bytearray()

    def drain() -> None:
        for block in made.blocks():
            got.extend(block)

    with pytest.raises(BodyBrokenError):
        drain()
    return bytes(got)


def test_known_length_reads_no_further():
    made = body(b"abcNEXT", 3)
    assert made.read(10) == b"abc"
    assert (made.finished, made.remaining) == (True, 0)


def test_chunks_extensions_and_trailers_are_read():
    assert body(b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n").read(10) == b"abcde"


@pytest.mark.parametrize(
    ("data", "before"),
    [
        (b"zz\r\nabc", b""),
        (b"-1\r\n", b""),
        (b"3\r\nabcd\r\n0\r\n\r\n", b"abc"),
        (b"3\r\nab", b"ab"),
        (b"3", b""),
        (b"3\r\nabc\r\n", b"abc"),
    ],
)
def test_malformed_chunks_break_the_body_and_keep_what_came(data, before):
    assert collect(body(data)) == before


def test_end_inside_a_known_length_keeps_what_came():
    made = body(b"abc", 9)
    assert collect(made) == b"abc"
    assert (made.received, made.finished) == (3, False)


@pytest.mark.parametrize(("cut_at", "kept"), [(0, b""), (2, b"ab"), (3, b"abc"), (50, b"abc")])
def test_cut_keeps_so_many_bytes(cut_at, kept):
    assert collect(body(b"abc", 3, cut_at)) == kept


@pytest.mark.parametrize("made", [body(b"abcd", 4), body(b"4\r\nabcd\r\n0\r\n\r\n")])
def test_body_over_the_limit_is_not_read_into_memory(made):
    assert made.read(3) is None
    assert not made.finished


def test_a_slow_reader_pauses_before_each_small_block():
    made, pauses = body(b"abcdefgh", 8), []
    made.slow_down(3, lambda: pauses.append(made.received))
    assert made.read(10) == b"abcdefgh"
    assert pauses == [0, 3, 6]
