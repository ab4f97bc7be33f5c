"""Sockets under the HTTP client: where blocked threads can be woken, and where a stalled peer is noticed.

`httpcore`, the engine inside httpx, takes a network backend. Ours keeps every read and write inside
`Scope.blocked`, so that a cancel, a deadline or a failed sibling shuts the socket down at once, on new and on
reused connections alike (the ``trace`` extension sees only new ones). A timeout here is per operation: slow is
not stalled, silence is.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpcore

from oci_push.runtime.scope import Scope

T = TypeVar("T")
_SEND_BUFFER_BYTES = 4 * 1024 * 1024
_HEAD_BYTES = 512 * 1024
_HEAD_S = 60.0
"""What the head of an answer may take once it has begun: interim answers (1xx) may come without end, and one byte a
minute is never silence."""


class Backend(httpcore.NetworkBackend):
    """Open sockets for one registry session; `addresses` maps ``host:port`` to where to connect instead."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses
        self._local = threading.local()
        self.connect_s: float | None = None

    @contextmanager
    def use(self, scope: Scope) -> Iterator[None]:
        """Make this thread's socket operations belong to `scope`."""
        previous = getattr(self._local, "scope", None)
        self._local.scope = scope
        try:
            yield
        finally:
            self._local.scope = previous

    def current(self) -> Scope | None:
        """Give the scope of this thread's request."""
        scope: Scope | None = getattr(self._local, "scope", None)
        return scope

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect, without Nagle's delay; the time it took is a measure of the distance."""
        replaced = self._addresses.get(f"{host}:{port}")
        if replaced:
            name, _, number = replaced.rpartition(":")
            host, port = name.strip("[]"), int(number)
        scope = self.current()
        started = scope.clock.monotonic() if scope else 0.0
        try:
            sock = socket.create_connection((host, port), scope.remaining(timeout or 30.0) if scope else timeout)
        except TimeoutError as problem:
            raise httpcore.ConnectTimeout("connecting took too long") from problem
        except OSError as problem:
            raise httpcore.ConnectError(str(problem)) from problem
        if scope:
            took = scope.clock.monotonic() - started
            self.connect_s = took if self.connect_s is None else min(self.connect_s, took)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.connect_s and self.connect_s > 0.01:
            with contextlib.suppress(OSError):  # the kernel's limit may be lower
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return Stream(sock, self)


class Stream(httpcore.NetworkStream):
    """One connection, plain or TLS."""

    def __init__(self, sock: socket.socket, backend: Backend) -> None:
        self._sock = sock
        self._backend = backend
        self._in_head = True
        self._head_bytes = 0
        self._head_end = 0.0

    def end_head(self) -> None:
        """Note that the head of the answer is complete; what comes now is its body."""
        self._in_head = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, waiting for the first byte at most `timeout` seconds in which no byte moves."""
        with self._blocking(timeout, httpcore.ReadTimeout, httpcore.ReadError):
            data = self._while_moving(lambda: self._sock.recv(max_bytes), timeout)
        if self._in_head:
            self._check_head(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of `buffer`; `timeout` is how long no byte may move."""
        view = memoryview(buffer)
        self._in_head, self._head_bytes = True, 0
        with self._blocking(timeout, httpcore.WriteTimeout, httpcore.WriteError):
            while view:
                view = view[self._while_moving(lambda part=view: self._sock.send(part), timeout) :]  # type: ignore[misc]

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Shake hands; a certificate that is not trusted ends in ``ConnectError``."""
        with self._blocking(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
            wrapped = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        return Stream(wrapped, self._backend)

    def get_extra_info(self, info: str) -> Any:
        """Answer what httpcore asks of a connection."""
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock
        if info == "socket":
            return self._sock
        if info == "is_readable":
            return _has_data(self._sock)
        return None

    def _while_moving(self, act: Callable[[], T], timeout: float | None) -> T:
        """Wait on after a timeout for as long as the kernel still gets bytes across.

        Its buffer may hold megabytes, which a slow line needs minutes for, while we see no byte move.
        """
        queued = _unsent(self._sock)
        while True:
            try:
                return act()
            except TimeoutError:
                scope = self._backend.current()
                left = _unsent(self._sock)
                if scope is None or left >= queued:
                    raise
                queued = left
                self._sock.settimeout(scope.remaining(timeout or 60.0))

    def _check_head(self, count: int) -> None:
        scope = self._backend.current()
        now = scope.clock.monotonic() if scope else 0.0
        if not self._head_bytes:
            self._head_end = now + _HEAD_S
        self._head_bytes += count
        if self._head_bytes > _HEAD_BYTES or now > self._head_end:
            raise httpcore.RemoteProtocolError("the answer's head does not end")

    @contextmanager
    def _blocking(self, timeout: float | None, late: type[Exception], broken: type[Exception]) -> Iterator[None]:
        scope = self._backend.current()
        try:
            if scope is None:
                self._sock.settimeout(timeout)
                yield
                return
            self._sock.settimeout(scope.remaining(timeout or 60.0))
            with scope.blocked(self._wake):
                yield
        except TimeoutError as problem:
            if scope is not None:
                scope.check()
            raise late(f"no byte moved for {timeout:g} seconds" if timeout else "no byte moved") from problem
        except (OSError, ValueError) as problem:
            if scope is not None:
                scope.check()
            raise broken(str(problem)) from problem

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            # The plain socket's method: an SSLSocket's own would drop its state under the reading thread.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


def _has_data(sock: socket.socket) -> bool:
    import select

    if sock.fileno() < 0:
        return True
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


def _unsent(sock: socket.socket) -> int:
    """Give how many bytes the other side has not yet acknowledged; 0 where the system cannot tell."""
    try:
        import fcntl
        import termios

        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (ImportError, OSError, ValueError):
        return 0
