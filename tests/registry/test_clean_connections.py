"""A connection serves another request only when nothing is left on it that would be taken for its answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from oci_push.model.endpoint import RegistryEndpoint
from oci_push.protocol.call import Call, Reply
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.session import Session
from oci_push.transport.settings import TransportSettings

OK = b"HTTP/1.1 200 OK\r\nX-Count: 1\r\nContent-Length: 2\r\n\r\nok"
STALE = b"HTTP/1.1 201 Created\r\nX-Count: stale\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nX-Count: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


class Wire:
    """Serve connections one request after the other: the n-th answer of the first connection, then `OK`.

    `later` is sent beside it when the client has read the answer. `is_cut` closes the first connection after its
    answer. `clients` counts them.
    """

    def __init__(self, first: bytes, later: bytes = b"", *, is_cut: bool = False) -> None:
        self._first = first
        self._is_cut = is_cut
        self._later = later
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.clients = 0
        self.has_sent_later = threading.Event()
        self.may_send_later = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def host(self) -> str:
        """Give address and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Close everything."""
        self.may_send_later.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.clients += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection, self.clients), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            is_first = number == 1
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = connection.recv(65536)
                    if not more:
                        return
                    head += more
                connection.sendall(self._first if is_first else OK)
                if is_first and self._later:
                    self.may_send_later.wait(30)
                    connection.sendall(self._later)
                    self.has_sent_later.set()
                if is_first and self._is_cut:
                    connection.close()
                    return
                is_first = False
        except OSError:
            return


@contextmanager
def session(wire: Wire) -> Iterator[Callable[[str], Reply]]:
    """Ask the wire by one session, whose connections are kept as they are in a run."""
    context = Context(SystemClock(), what="test")
    settings = TransportSettings(stall_s=20.0, call_retry=RetryPolicy(attempts=1))
    talking = Session(RegistryEndpoint(wire.host), wire.host, context, settings, lambda: 0.5)
    try:
        yield lambda method: talking.fetch(context, Call(method, "/v2/", ok_statuses=frozenset({200, 201})))
    finally:
        talking.close()
        wire.close()


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("GET", OK + STALE),
        ("GET", OK + OK),
        ("GET", OK + STALE[:10]),
        ("GET", OK + b"\r\n"),
        ("GET", OK + b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("GET", CHUNKED + STALE),
        ("GET", CHUNKED + STALE[:-2]),
        ("GET", CHUNKED + b"x"),
        ("GET", b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + STALE),
        ("HEAD", OK),
        ("HEAD", CHUNKED),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + STALE),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nok"),
    ],
)
def test_what_comes_behind_an_answer_is_not_the_answer_to_the_next_request(method: str, answer: bytes) -> None:
    wire = Wire(answer)
    with session(wire) as ask:
        assert ask(method).status == 200
        second = ask("GET")
        assert (second.status, second.headers["x-count"]) == (200, "1")
        assert wire.clients == 2


@pytest.mark.parametrize("first", [OK, CHUNKED])
@pytest.mark.parametrize("later", [STALE, b"H", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_what_comes_later_on_a_connection_at_rest_closes_it(first: bytes, later: bytes) -> None:
    wire = Wire(first, later)
    with session(wire) as ask:
        ask("GET")
        wire.may_send_later.set()
        assert wire.has_sent_later.wait(30)
        assert ask("GET").headers["x-count"] == "1"
        assert wire.clients == 2


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("GET", OK),
        ("GET", CHUNKED),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n"),
    ],
)
def test_a_clean_connection_is_used_again(method: str, answer: bytes) -> None:
    wire = Wire(answer)
    with session(wire) as ask:
        for _ in range(3):
            assert ask(method).status == 200
            method = "GET"
        assert wire.clients == 1
