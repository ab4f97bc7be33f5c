"""A stall is silence: no byte in, and none that the kernel gets across from its buffer. No time passes here."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import termios
from collections.abc import Callable, Iterator

import pytest

from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.transport.network_errors import Trouble
from oci_push.transport.sockets import Stream

LOOKS = 12
TIMEOUT_S = 1.0
"""Each look waits a quarter of it, so that all of them together are three times as long."""


class Waiting(socket.socket):
    """A socket on which so many waits for an answer end with nothing; `meanwhile` is what happens in each."""

    meanwhile: Callable[[], None]
    looks = LOOKS

    def recv(self, *_: object) -> bytes:  # type: ignore[override]
        if self.looks == 0:
            return b"answer"
        self.looks -= 1
        self.meanwhile()
        raise TimeoutError


@pytest.fixture
def pair() -> Iterator[tuple[Waiting, socket.socket]]:
    """Give a connection whose sending side has filled the kernel's buffer, and the other side of it."""
    plain, other = socket.socketpair()
    sending = Waiting(fileno=plain.detach())
    sending.setblocking(False)
    with sending, other:
        other.settimeout(10)
        with contextlib.suppress(BlockingIOError):
            while True:
                sending.send(bytes(1024))
        yield sending, other


def queued(sock: socket.socket) -> int:
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), "little")


def test_a_slow_line_is_no_stall_while_its_buffer_empties(pair: tuple[Waiting, socket.socket]) -> None:
    sending, other = pair

    def drain() -> None:
        before = queued(sending)
        while queued(sending) >= before:
            assert other.recv(1024)

    sending.meanwhile = drain
    assert Stream(sending).read(Context(FakeClock()), 10, TIMEOUT_S) == b"answer"
    assert sending.looks == 0


def test_a_line_that_gets_nothing_across_is_a_stall(pair: tuple[Waiting, socket.socket]) -> None:
    sending, _ = pair
    sending.meanwhile = lambda: None
    with pytest.raises(Trouble, match="no byte moved for 1 seconds"):
        Stream(sending).read(Context(FakeClock()), 10, TIMEOUT_S)
    assert 0 < LOOKS - sending.looks < LOOKS
