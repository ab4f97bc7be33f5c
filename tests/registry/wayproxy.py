"""A proxy that forwards, tunnels and speaks SOCKS 5, always to one server; it keeps what it was asked for."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self


class WayProxy:
    """Lead everything to `address`. With a `context` it is itself spoken to by TLS; `credential` is ``user:password``.

    `status` is what it answers to CONNECT, or sends for SOCKS (0 is good). `asked` holds, one each, the target of a
    CONNECT, the first line of a forwarded request, or the host of a SOCKS request.
    """

    def __init__(
        self, address: str, *, context: ssl.SSLContext | None = None, credential: str = "", status: int = 0
    ) -> None:
        self._to = address.rpartition(":")
        self._context = context
        self._login = credential
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.asked: list[str] = []
        self.heads: list[bytes] = []

    @property
    def host(self) -> str:
        """Give address and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            secure = self._context.wrap_socket(client, server_side=True) if self._context else client
            self._open.append(secure)
            first = secure.recv(1)
            if first == b"\x05":
                self._socks(secure)
            elif first:
                self._http(secure, first)
            secure.close()

    def _http(self, client: socket.socket, head: bytes) -> None:
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        self.heads.append(head.partition(b"\r\n\r\n")[0])
        method, target, _ = head.split(b" ", 2)
        self.asked.append(target.decode())
        if method == b"CONNECT":
            if self._status:
                client.sendall(f"HTTP/1.1 {self._status} No\r\nContent-Length: 0\r\n\r\n".encode())
                return
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            self._join(client, b"")
        else:
            path = b"/" + target.split(b"/", 3)[3]
            self._join(client, head.replace(target, path, 1).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    def _socks(self, client: socket.socket) -> None:
        methods = client.recv(client.recv(1)[0])
        wanted = 2 if self._login else 0
        client.sendall(bytes((5, wanted if wanted in methods else 255)))
        if self._login:
            client.recv(1)
            user = client.recv(client.recv(1)[0])
            password = client.recv(client.recv(1)[0])
            is_right = user + b":" + password == self._login.encode()
            client.sendall(bytes((1, 0 if is_right else 1)))
            if not is_right:
                return
        kind = client.recv(4)[3]
        if kind == 3:
            self.asked.append(client.recv(client.recv(1)[0]).decode())
        else:
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            self.asked.append(socket.inet_ntop(family, client.recv(4 if kind == 1 else 16)))
        client.recv(2)
        client.sendall(bytes((5, self._status, 0, 1)) + bytes(6))
        if not self._status:
            self._join(client, b"")

    def _join(self, client: socket.socket, first: bytes) -> None:
        server = socket.create_connection((self._to[0], int(self._to[2])))
        self._open.append(server)
        server.sendall(first)
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()
        server.close()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)
