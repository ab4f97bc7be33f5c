"""A body of known length does not pass the parser: what the parser would refuse is refused all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from images import noise
from test_clean_connections import CHUNKED, OK, STALE, Wire

from oci_push.errors import NetworkError
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.protocol.call import Call
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.session import Session, TransportSettings

BODY = noise(1_300_000)
BLOCK = 512 * 1024
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(BODY)
WHOLE = HEAD + b"\r\n" + BODY
IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@contextmanager
def reading(wire: Wire) -> Iterator[tuple[Session, Context]]:
    """Give a session with the wire, which closes both at the end."""
    context = Context(SystemClock(), what="test")
    settings = TransportSettings(stall_s=20.0, call_retry=RetryPolicy(attempts=1))
    session = Session(RegistryEndpoint(wire.host), wire.host, context, settings, lambda: 0.5)
    try:
        yield session, context
    finally:
        session.close()
        wire.close()


def download(session: Session, context: Context, at_most: int = 1 << 30) -> list[bytes]:
    """Read blocks, each copied before the next is asked for, until so many bytes have come."""
    found: list[bytes] = []
    with session.download(context, Call("GET", "/v2/a/blobs/x")) as (status, blocks):
        assert status == 200
        for block in blocks:
            found.append(bytes(block))
            if sum(map(len, found)) >= at_most:
                break
    return found


@pytest.mark.parametrize("answer", [WHOLE, IN_CHUNKS], ids=["known length", "chunks"])
def test_a_large_body_comes_whole_and_its_connection_serves_the_next_request(answer: bytes) -> None:
    wire = Wire(answer)
    with reading(wire) as (session, context):
        blocks = download(session, context)
        assert b"".join(blocks) == BODY
        assert max(map(len, blocks)) == BLOCK
        assert download(session, context) == [b"ok"]
        assert wire.clients == 1


@pytest.mark.parametrize(
    ("answer", "at_most"),
    [
        (WHOLE + STALE, 1 << 30),
        (WHOLE + b"H", 1 << 30),
        (HEAD + b"Connection: close\r\n\r\n" + BODY, 1 << 30),
        (HEAD.replace(b"1.1", b"1.0") + b"\r\n" + BODY, 1 << 30),
        (WHOLE, 1),
        (WHOLE, BLOCK),
    ],
    ids=["more behind it", "a byte behind it", "close", "HTTP/1.0", "left at once", "left in the middle"],
)
def test_a_connection_that_is_not_at_its_end_is_not_used_again(answer: bytes, at_most: int) -> None:
    wire = Wire(answer)
    with reading(wire) as (session, context):
        read = b"".join(download(session, context, at_most))
        assert read == BODY[: len(read)]
        assert len(read) == len(BODY) if at_most > len(BODY) else len(read) < len(BODY)
        assert download(session, context) == [b"ok"]
        assert wire.clients == 2


@pytest.mark.parametrize("missing", [1, 600_000, len(BODY) - 1])
def test_a_body_that_is_cut_short_is_told(missing: int) -> None:
    wire = Wire(WHOLE[:-missing], is_cut=True)
    with reading(wire) as (session, context), pytest.raises(NetworkError, match="closed inside an answer"):
        download(session, context)


@pytest.mark.parametrize("answer", [OK, CHUNKED, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
def test_a_body_that_came_with_its_head_is_read_there(answer: bytes) -> None:
    wire = Wire(answer)
    with reading(wire) as (session, context):
        assert b"".join(download(session, context)) in (b"ok", b"")
        assert download(session, context) == [b"ok"]
        assert wire.clients == 1
