"""TLS inside TLS: an https registry behind a proxy that is itself spoken to by https."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_BLOCK = 64 * 1024


class NestedTls:
    """Be to `Stream` what a TLS socket is, over another one; timeouts are the outer's."""

    def __init__(self, outer: ssl.SSLSocket | NestedTls, context: ssl.SSLContext, name: str) -> None:
        self._outer = outer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._left = memoryview(b"")

    def do_handshake(self) -> None:
        """Shake hands."""
        self._run(self._tls.do_handshake)

    def recv(self, most: int) -> bytes:
        """Read what is there; nothing at the end."""
        try:
            return self._run(lambda: self._tls.read(most))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def recv_into(self, view: memoryview) -> int:
        """Read what is there into `view`; 0 at the end."""
        try:
            return self._run(lambda: self._tls.read(len(view), view))  # type: ignore[return-value]  # a count where there is a buffer
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def send(self, data: memoryview) -> int:
        """Take some of `data`; what the outer socket has no room for yet goes before anything else."""
        self._flush()
        count = self._tls.write(data[:_BLOCK])
        with contextlib.suppress(TimeoutError):  # it is taken all the same, and must not be given twice
            self._flush()
        return count

    def pending(self) -> int:
        """Return how many bytes have come and were not read."""
        return self._tls.pending() + self._incoming.pending + self._outer.pending()

    def fileno(self) -> int:
        """Return the file under it all."""
        return self._outer.fileno()

    def settimeout(self, seconds: float) -> None:
        """Bound each wait."""
        self._outer.settimeout(seconds)

    def wake(self) -> None:
        """End the waits of another thread."""
        if isinstance(self._outer, NestedTls):
            self._outer.wake()
        else:
            socket.socket.shutdown(self._outer, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self._outer.close()

    def _run(self, act: Callable[[], T]) -> T:
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._outer.recv(_BLOCK)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        """Send what TLS has made; where that breaks off, the rest is sent first the next time."""
        while self._left or self._outgoing.pending:
            self._left = self._left or memoryview(self._outgoing.read())
            self._left = self._left[self._outer.send(self._left) :]
