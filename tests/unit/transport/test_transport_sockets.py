"""Sockets: how long silence lasts, when a send buffer is asked for, and what makes a connection over TLS unclean."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority

from oci_push.errors import DeadlineError
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.transport.network_errors import Trouble
from oci_push.transport.sockets import Stream, autotuned_bytes, send_buffer_helps

MIB = 1024 * 1024


class Silent:
    """Never give a byte; the kernel gets one of the queued blocks across in each of the first `moves` waits."""

    def __init__(self, ours: socket.socket, theirs: socket.socket, moves: int, clock: FakeClock) -> None:
        self._ours = ours
        self._theirs = theirs
        self._moves = moves
        self._clock = clock
        self.waits: list[float] = []

    def settimeout(self, seconds: float) -> None:
        """Note it."""
        self.waits.append(seconds)

    def recv(self, most: int) -> bytes:
        """Wait for nothing."""
        self._clock.time += self.waits[-1]
        if self._moves:
            self._moves -= 1
            self._theirs.recv(1000)
        raise TimeoutError

    def fileno(self) -> int:
        """Give the file whose queue is looked at."""
        return self._ours.fileno()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give two ends with ten blocks on the way."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(10):
            ours.send(b"x" * 1000)
        yield ours, theirs


@pytest.mark.parametrize("moves", [0, 1, 7])
def test_silence_ends_a_wait_so_long_after_the_last_byte_moved(
    moves: int, pair: tuple[socket.socket, socket.socket]
) -> None:
    clock = FakeClock()
    silent = Silent(*pair, moves, clock)
    with pytest.raises(Trouble, match="no byte moved for 60 seconds"):
        Stream(silent).read(Context(clock), 10, 60.0)  # type: ignore[arg-type]
    assert sum(silent.waits[moves:]) == pytest.approx(60.0)
    assert max(silent.waits) <= 1.0


def test_a_deadline_ends_a_wait_before_silence_does(pair: tuple[socket.socket, socket.socket]) -> None:
    clock = FakeClock()
    silent = Silent(*pair, 0, clock)
    with pytest.raises(DeadlineError):
        Stream(silent).read(Context(clock).child(seconds=7.5), 10, 60.0)  # type: ignore[arg-type]
    assert sum(silent.waits) == pytest.approx(7.5)


class Kernel:
    """Be a socket under a limit for what may be asked for; it gives twice of that, as Linux does."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._given = 16384

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Cut it in silence."""
        self._given = 2 * min(value, self._limit)

    def getsockopt(self, level: int, option: int) -> int:
        """Give what was made of it."""
        return self._given


@pytest.mark.parametrize(
    ("limit", "autotuned", "helps"),
    [
        (212_992, 4 * MIB, False),  # the usual Linux: 33.9 seconds in place of 5.8 for 300 MiB at 80 ms
        (4 * MIB, 4 * MIB, True),
        (16 * MIB, 16 * MIB, False),
        (2 * MIB, 4 * MIB, False),
        (4 * MIB, None, False),
    ],
)
def test_a_send_buffer_is_asked_for_only_where_it_is_more_than_the_kernel_gives_by_itself(
    limit: int, autotuned: int | None, helps: bool
) -> None:
    assert send_buffer_helps(Kernel(limit), autotuned) is helps  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"), [("4096\t16384\t4194304\n", 4194304), ("", None), ("4096", None), ("a b c", None)]
)
def test_the_limit_of_the_kernels_own_growth_is_read(text: str, found: int | None, tmp_path: Path) -> None:
    (tmp_path / "tcp_wmem").write_text(text)
    assert autotuned_bytes(str(tmp_path / "tcp_wmem")) == found
    assert autotuned_bytes(str(tmp_path / "none")) is None


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Stream, ssl.SSLSocket]]:
    """Give our end and the server's of a connection over TLS 1.3, after whose handshake it has sent session tickets."""
    authority = Authority(tmp_path / "ca")
    ours, theirs = socket.socketpair()
    shaken: list[ssl.SSLSocket] = []
    server = authority.issue("registry").server_context()
    thread = threading.Thread(target=lambda: shaken.append(server.wrap_socket(theirs, server_side=True)))
    thread.start()
    trusting = ssl.create_default_context(cafile=str(authority.path))
    stream = Stream(ours).start_tls(Context(SystemClock()), trusting, "localhost", 30.0)
    thread.join(30)
    with contextlib.closing(stream), shaken[0]:
        yield stream, shaken[0]


def test_session_tickets_leave_a_connection_clean(secure: tuple[Stream, ssl.SSLSocket]) -> None:
    assert not secure[0].is_readable()
    assert not secure[0].is_readable()


def test_what_a_server_says_unasked_over_tls_does_not(secure: tuple[Stream, ssl.SSLSocket]) -> None:
    secure[1].sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    assert secure[0].is_readable()


def test_nor_does_the_end_of_a_connection_over_tls(secure: tuple[Stream, ssl.SSLSocket]) -> None:
    secure[1].close()
    assert secure[0].is_readable()
