"""The pool: what a request's body is read from is let go when the request has ended, however it did; connections are
opened ahead; a small request is written at once.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from oci_push.errors import Cancelled
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.transport.connection import Connection, Patience
from oci_push.transport.network_errors import Kind, Trouble
from oci_push.transport.pool import Pool, Request, Response
from oci_push.transport.redirects import origin
from oci_push.transport.sockets import Stream

URL = "http://registry.example/v2/"


class OneWay:
    """A dialer that gives connections over a pair of sockets, whose other end is `theirs`."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()

    def dial(self, context: Context, where: tuple[str, str, int], connect_s: float) -> Connection:
        """Return the connection."""
        return Connection(Stream(self.ours))

    def proxy(self, where: tuple[str, str, int]) -> None:
        """Return none."""


def endless(closed: list[bool], before: Callable[[], None]) -> Iterator[bytes]:
    """Give blocks until it is closed, and note that."""
    try:
        before()
        while True:
            yield b"x" * 65_536
    finally:
        closed.append(True)


def put(dialer: OneWay, body: Iterator[bytes]) -> Response:
    request = Request("PUT", URL, origin(URL), {"Content-Length": "10000000"}, body, Patience(5.0, 5.0), 5.0)
    return Pool(dialer).send(Context(FakeClock()), request)  # type: ignore[arg-type]


def test_the_body_of_a_request_that_broke_is_closed_at_once() -> None:
    closed: list[bool] = []
    dialer = OneWay()
    with pytest.raises(Trouble) as broken:
        put(dialer, endless(closed, dialer.theirs.close))
    # The traceback still holds the body: nothing else would close it as long as somebody looks at the error.
    assert broken.tb is not None
    assert closed == [True]


def test_the_body_of_a_request_that_was_answered_early_is_closed_at_once() -> None:
    closed: list[bool] = []
    dialer = OneWay()

    def refuse() -> None:
        dialer.theirs.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        dialer.theirs.close()

    body = endless(closed, refuse)
    response = put(dialer, body)
    assert (response.status, closed) == (413, [True])
    response.close()


class Written(Stream):
    """Be a connection to a registry that has answered already, and keep what is written, call by call."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def read(self, context: Context, most: int, timeout_s: float) -> bytes:
        return b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"

    def write(self, context: Context, data: bytes | bytearray | memoryview, timeout_s: float) -> None:
        self.parts.append(bytes(data))

    def is_readable(self) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("blocks", "calls"), [([], 1), ([b"small"], 1), ([b"x" * 100_000], 2), ([b"x", b"y"], 2)])
def test_a_small_request_is_written_in_one_go(blocks: list[bytes], calls: int) -> None:
    stream = Written()
    size = str(sum(map(len, blocks))).encode()
    headers = [(b"Host", b"registry.example"), (b"Content-Length", size), (b"Accept", b"*/*")]
    connection = Connection(stream)
    connection.send(Context(FakeClock()), b"PUT", "/v2/", headers, blocks, Patience(5.0, 5.0))
    assert len(stream.parts) == calls
    assert b"".join(stream.parts).endswith(b"\r\n\r\n" + b"".join(blocks))


class Slow:
    """A dialer whose first connection is not there before `gate` is open, and then only if it does not fail."""

    def __init__(self, *, fails: bool) -> None:
        self.count = 0
        self.has_begun, self.gate = threading.Event(), threading.Event()
        self._fails = fails

    def dial(self, context: Context, where: tuple[str, str, int], connect_s: float) -> Connection:
        """Return the connection."""
        self.count += 1
        if self.count == 1:
            self.has_begun.set()
            self.gate.wait(30)
            if self._fails:
                raise Trouble(Kind.CONNECT, "refused")
        return Connection(Written())

    def proxy(self, where: tuple[str, str, int]) -> None:
        """Return none."""


@pytest.mark.parametrize(("fails", "dialled"), [(False, 1), (True, 2)])
def test_a_request_waits_for_a_connection_that_is_opened_ahead_and_opens_one_where_that_fails(
    fails: bool, dialled: int
) -> None:
    dialer, context = Slow(fails=fails), Context(SystemClock())
    pool = Pool(dialer)  # type: ignore[arg-type]
    pool.open_ahead(context, origin(URL), 1, 5.0)
    assert dialer.has_begun.wait(30)
    statuses: list[int] = []
    request = Request("GET", URL, origin(URL), {}, None, Patience(5.0, 5.0), 5.0)
    thread = threading.Thread(target=lambda: statuses.append(pool.send(context, request).status))
    thread.start()
    dialer.gate.set()
    thread.join(30)
    assert (statuses, dialer.count) == ([201], dialled)


def test_whoever_waits_for_a_connection_that_is_opened_ahead_can_be_cancelled() -> None:
    dialer, context = Slow(fails=False), Context(SystemClock())
    pool = Pool(dialer)  # type: ignore[arg-type]
    pool.open_ahead(context, origin(URL), 1, 5.0)
    assert dialer.has_begun.wait(30)
    context.cancel(Cancelled())
    with pytest.raises(Cancelled):
        pool.send(context, Request("GET", URL, origin(URL), {}, None, Patience(5.0, 5.0), 5.0))
    dialer.gate.set()
