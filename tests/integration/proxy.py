"""A TCP proxy on loopback with switches: cut, slow down, freeze. For failures that no registry has a setting for.

It passes bytes and knows nothing of HTTP, so TLS goes through it as well.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

_BLOCK_BYTES = 64 * 1024
_TICK_S = 0.05


class TcpProxy:
    """Pass connections on to `target_port` from construction until `close`.

    `port` is where it listens. Counters are totals over all connections: `bytes_up` from clients,
    `bytes_down` to clients.
    """

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = threading.Event()
        self._links: set[_Link] = set()
        self._cut_after: int | None = None
        self._cuts_left = 0
        self._bytes_per_s: float | None = None
        self._delay_s = 0.0
        self.connections = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(_TICK_S)
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def host(self) -> str:
        """Give address and port, as a reference begins with."""
        return f"127.0.0.1:{self.port}"

    def cut_after(self, count: int, *, times: int = 1) -> None:
        """Reset the next `times` connections that have sent `count` bytes up; the bytes up to there are passed on."""
        with self._lock:
            self._cut_after, self._cuts_left = count, times

    def throttle(self, bytes_per_s: float | None) -> None:
        """Pass at most so much a second in each direction of each connection; None ends it."""
        self._bytes_per_s = bytes_per_s

    def delay(self, seconds: float) -> None:
        """Hold each block so long before passing it on; 0 ends it."""
        self._delay_s = seconds

    def freeze(self) -> None:
        """Pass nothing on and say nothing: connections stay open, new ones are accepted."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Go on where `freeze` stopped."""
        self._flowing.set()

    def kill_connections(self) -> None:
        """Reset every open connection; new ones are accepted."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.reset()

    def close(self) -> None:
        """Stop listening and reset what is open."""
        self._closed.set()
        self._flowing.set()
        self.kill_connections()
        self._acceptor.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            with self._lock:
                self.connections += 1
            try:
                server = socket.create_connection(self._target, timeout=120)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            link = _Link(client, server)
            with self._lock:
                self._links.add(link)
            for pump in (self._pump_up, self._pump_down):
                threading.Thread(target=self._guard, args=(pump, link), name="proxy", daemon=True).start()

    def _guard(self, pump: Callable[[_Link], None], link: _Link) -> None:
        try:
            pump(link)
        except OSError:
            # One side has gone: the other is told in the same way.
            link.reset()
        if link.leave():
            with self._lock:
                self._links.discard(link)

    def _pump_up(self, link: _Link) -> None:
        sent = 0
        while block := link.client.recv(_BLOCK_BYTES):
            allowed = self._claim_cut(sent, len(block))
            piece = block if allowed is None else block[:allowed]
            self._hold(len(piece))
            sent += len(piece)
            with self._lock:
                self.bytes_up += len(piece)
            link.server.sendall(piece)
            if allowed is not None:
                link.reset()
                return
        link.server.shutdown(socket.SHUT_WR)

    def _pump_down(self, link: _Link) -> None:
        while block := link.server.recv(_BLOCK_BYTES):
            self._hold(len(block))
            # Counted first: a test looks as soon as its answer is there.
            with self._lock:
                self.bytes_down += len(block)
            link.client.sendall(block)
        link.client.shutdown(socket.SHUT_WR)

    def _claim_cut(self, sent: int, size: int) -> int | None:
        """Give how much of the block may pass before the connection is cut; None when it is not."""
        with self._lock:
            if self._cut_after is None or self._cuts_left == 0 or sent + size < self._cut_after:
                return None
            self._cuts_left -= 1
            return max(0, self._cut_after - sent)

    def _hold(self, size: int) -> None:
        wait = self._delay_s + (size / self._bytes_per_s if self._bytes_per_s else 0.0)
        if wait:
            self._closed.wait(wait)
        while not self._flowing.wait(_TICK_S):
            continue


class _Link:
    """Join one client with one server connection; sockets are freed when both directions have ended."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self._lock = threading.Lock()
        self._directions = 2

    def reset(self) -> None:
        """Wake both pumps and make both ends see a reset."""
        for end in (self.client, self.server):
            _linger_never(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def leave(self) -> bool:
        """End one direction; the last one closes the sockets and gets True."""
        with self._lock:
            self._directions -= 1
            if self._directions:
                return False
        self.client.close()
        self.server.close()
        return True


def _linger_never(end: socket.socket) -> None:
    # With a linger time of zero, closing sends a reset instead of an orderly end.
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _reset(end: socket.socket) -> None:
    _linger_never(end)
    end.close()
