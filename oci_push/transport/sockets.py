"""Sockets under the HTTP client: where blocked threads can be woken, and where a stalled peer is noticed.

Every read and write is inside `Context.blocked`, so that a cancel, a deadline or a failed sibling shuts the socket down
at once. A timeout here is how long no byte may move: slow is not stalled, silence is.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from oci_push.runtime.context import Context
from oci_push.transport.network_errors import Kind, Trouble, trouble_of
from oci_push.transport.redirects import Reach, reach

if TYPE_CHECKING:
    import ssl

    from oci_push.transport.tls_in_tls import NestedTls

T = TypeVar("T")
Address = tuple[int, tuple[str, int] | tuple[str, int, int, int]]
"""An address family and what `socket.connect` takes."""
_LOOK_S = 1.0
"""How often a waiting thread looks whether the kernel still gets bytes across."""
_SEND_BUFFER_BYTES = 4 * 1024 * 1024


class Network:
    """Resolve names and open sockets: all there is to replace where the world is not to be asked."""

    def __init__(self) -> None:
        self._send_buffer: bool | None = None

    def resolve(self, host: str, port: int) -> tuple[Address, ...]:
        """Return a name's addresses, in the order to try them in; raises ``OSError``, ``UnicodeError``."""
        # As bytes: a text would be encoded by `encodings.idna`, which takes long to import.
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys((family, where) for family, _, _, _, where in found))  # type: ignore[misc]

    def connect(self, sock: socket.socket, address: Address) -> None:
        """Connect a socket of the address's family."""
        sock.connect(address[1])

    def round_trip_s(self, address: str, connect_s: float) -> float:
        """Return how far an address is that took so long to connect to: this machine is near, however busy it is."""
        return 0.0 if reach(address) is Reach.LOOPBACK else connect_s

    def lengthen(self, sock: socket.socket) -> None:
        """Return a connection over a long line a larger send buffer, where the kernel would not do so by itself."""
        if self._send_buffer is None:
            with socket.socket() as spare:
                self._send_buffer = send_buffer_helps(spare, autotuned_bytes())
        if self._send_buffer:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


def autotuned_bytes(path: str = "/proc/sys/net/ipv4/tcp_wmem") -> int | None:
    """Return how large the kernel lets a send buffer grow by itself; ``None`` where that is not known."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read().split()[2])
    except (OSError, ValueError, IndexError):
        return None


def send_buffer_helps(spare: socket.socket, autotuned: int | None) -> bool:
    """Say whether asking for a buffer gives more than the kernel's own growth, which ends with asking.

    Linux cuts what is asked for to ``net.core.wmem_max``, 208 KiB of old, without a word: reading it back tells.
    """
    if autotuned is None:
        return False
    try:
        spare.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return spare.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > autotuned
    except OSError:
        return False


class Stream:
    """One connection, plain or TLS, for one thread at a time; `tls` is `sock` where it is the latter."""

    def __init__(self, sock: socket.socket | NestedTls, tls: ssl.SSLSocket | NestedTls | None = None) -> None:
        self._sock = sock
        self._tls = tls
        self.address = ""
        """What a new socket was connected to."""

    def connect(self, context: Context, act: Callable[[socket.socket], None], timeout_s: float) -> None:
        """Connect a new socket by `act`."""
        assert isinstance(self._sock, socket.socket)  # noqa: S101  # nothing is nested before it is connected
        sock = self._sock
        self._bounded(context, lambda: act(sock), timeout_s, Kind.CONNECT)

    def read(self, context: Context, most: int, timeout_s: float) -> bytes:
        """Read what is there, waiting for the first byte at most `timeout_s` in which no byte moves."""
        return self._moving(context, lambda: self._sock.recv(most), timeout_s)

    def read_into(self, context: Context, view: memoryview, timeout_s: float) -> int:
        """Read as `read` does, into `view`; return how many bytes came, 0 at the end."""
        return self._moving(context, lambda: self._receive(view), timeout_s)

    def write(self, context: Context, data: bytes | bytearray | memoryview, timeout_s: float) -> None:
        """Send all of `data`; `timeout_s` is how long no byte may move."""
        view = memoryview(data)
        while view:
            view = view[self._moving(context, lambda part=view: self._sock.send(part), timeout_s) :]  # type: ignore[misc]

    def start_tls(self, context: Context, ssl_context: ssl.SSLContext, name: str, timeout_s: float) -> Stream:
        """Shake hands as a client of `name`, inside TLS where this already is (a proxy that speaks it)."""
        inner: ssl.SSLSocket | NestedTls
        if self._tls is not None:
            from oci_push.transport.tls_in_tls import NestedTls

            inner = NestedTls(self._tls, ssl_context, name)
        else:
            assert isinstance(self._sock, socket.socket)  # noqa: S101  # whatever else it is, is TLS
            try:
                inner = ssl_context.wrap_socket(self._sock, server_hostname=name, do_handshake_on_connect=False)
            except (OSError, ValueError) as problem:
                raise trouble_of(problem) from problem
        secure = Stream(inner, inner)
        try:
            secure._bounded(context, inner.do_handshake, timeout_s, Kind.CONNECT)
        except BaseException:
            secure.close()
            raise
        return secure

    def is_readable(self) -> bool:
        """Say whether anything is there to read: bytes, or the end."""
        if self._sock.fileno() < 0:
            return True
        if self._tls is not None and self._tls.pending():
            return True
        import select

        poller = select.poll()
        poller.register(self._sock.fileno(), select.POLLIN)
        return bool(poller.poll(0)) and not self._has_only_records()

    def _has_only_records(self) -> bool:
        """Read what TLS itself has to say, as of session tickets after a handshake; return whether that was all."""
        if self._tls is None or not isinstance(self._sock, socket.socket):
            return False
        import ssl

        try:
            self._sock.settimeout(0)
            self._sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except (OSError, ValueError):
            pass
        return False

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _bounded(self, context: Context, act: Callable[[], None], timeout_s: float, kind: Kind) -> None:
        try:
            self._sock.settimeout(context.remaining(timeout_s))
            with context.blocked(self._wake):
                act()
        except (OSError, ValueError) as problem:
            context.check()
            if isinstance(problem, TimeoutError):
                raise Trouble(kind, "connecting took too long") from problem
            raise trouble_of(problem, kind) from problem

    def _moving(self, context: Context, act: Callable[[], T], timeout_s: float) -> T:
        """Wait until something moves, or nothing has for `timeout_s`.

        The kernel's buffer may hold megabytes, which a slow line needs minutes for while we see no byte move: what it
        gets across counts, too. The time is the sum of the waits in which nothing moved.
        """
        silent_s, queued = 0.0, _unsent(self._sock)
        while True:
            wait_s = context.remaining(max(0.001, min(_LOOK_S, timeout_s / 4, timeout_s - silent_s)))
            try:
                self._sock.settimeout(wait_s)
                with context.blocked(self._wake):
                    return act()
            except TimeoutError as problem:
                context.check()
                left = _unsent(self._sock)
                silent_s = 0.0 if left < queued else silent_s + wait_s
                queued = left
                if silent_s >= timeout_s - 0.001:
                    raise Trouble(Kind.BROKE, f"no byte moved for {timeout_s:g} seconds") from problem
            except (OSError, ValueError) as problem:
                context.check()
                raise trouble_of(problem) from problem

    def _receive(self, view: memoryview) -> int:
        """Receive into `view`: of TLS, which gives one record at a time, all that has come already."""
        count = self._sock.recv_into(view)
        if self._tls is None or not isinstance(self._sock, socket.socket):
            return count
        import ssl

        self._sock.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError):
            while 0 < count < len(view) and (more := self._sock.recv_into(view[count:])):
                count += more
        return count

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            if isinstance(self._sock, socket.socket):
                # The plain socket's method: an SSLSocket's own would drop its state under the reading thread.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            else:
                self._sock.wake()


def _unsent(sock: socket.socket | NestedTls) -> int:
    """Return how many bytes the other side has not yet acknowledged; 0 where the system cannot tell."""
    try:
        import fcntl
        import termios

        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (ImportError, OSError, ValueError):
        return 0
