"""The sandbox: a registry inside this process, on loopback; for `oci-push sandbox` and rehearsals.

It follows the distribution specification and stores OCI image layouts. What a push can do at best it can do here:
mounts without a source, blobs in one POST, many tags in one request. It is no registry for production: anybody may do
everything, nothing is garbage-collected, and nothing is synced to the disk.

Its threads are those of the standard library's `socketserver` pattern, one that accepts and one per connection.
They are the exception to the rule that only `runtime.tasks` starts threads: they are the *other* side of the
wire, live as long as the sandbox and not as long as a context, and must go on serving while the client under test
is being cancelled. `stop` ends them: it shuts their sockets down and waits for them.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from oci_push.errors import SourceError
from oci_push.sandbox import layout
from oci_push.sandbox.connection import Connection, Service
from oci_push.sandbox.routes import Router
from oci_push.sandbox.store import Store
from oci_push.sandbox.uploads import Uploads

_JOIN_S = 5.0


class RehearsalRegistry:
    """Serve a registry on 127.0.0.1 from `start` to `stop`, or as a context manager.

    `root` is where repositories are kept and found again; ``None`` is a temporary folder that `stop` removes.
    `port` 0 takes a free one. The same sandbox is started once.
    """

    def __init__(self, root: Path | None = None, *, port: int = 0) -> None:
        self._root = root
        self._port = port
        self._store: Store | None = None
        self._listener: Listener | None = None
        self._used = Path()
        self._problems: list[Exception] = []

    @property
    def address(self) -> str:
        """Return ``127.0.0.1:PORT``; only while started."""
        if self._listener is None:
            raise RuntimeError("the sandbox is not started")
        host, port = self._listener.socket.getsockname()[:2]
        return f"{host}:{port}"

    @property
    def store(self) -> Store:
        """Return what is stored; after `stop` only of a sandbox with a root of its own."""
        if self._store is None:
            raise RuntimeError("the sandbox was never started")
        return self._store

    @property
    def problems(self) -> tuple[Exception, ...]:
        """Return the errors that handlers died of, which are defects of the sandbox; clients saw a 500."""
        return tuple(self._problems)

    @staticmethod
    def _temporary() -> Path:
        try:
            return Path(tempfile.mkdtemp(prefix="oci-push-sandbox-"))
        except OSError as problem:  # without a usable folder, its reason lists those that were tried
            raise SourceError(
                f"sandbox: no temporary folder can be made ({problem.strerror})", hint="name another one with TMPDIR"
            ) from problem

    def start(self) -> Self:
        """Begin to serve. Raises ``OSError`` when the port is taken or the folder cannot be used."""
        if self._store is not None:
            raise RuntimeError("a sandbox is started once")
        root = self._root or self._temporary()
        try:
            root.mkdir(parents=True, exist_ok=True)
            uploads = Uploads(root / layout.UPLOADS, lambda: secrets.token_hex(16))
            store = Store(root, uploads)
            self._listener = self.listen(store, uploads, self._port, self._problems.append)
        except OSError:
            self._clean(root)
            raise
        self._store = store
        self._used = root
        self._listener.begin()
        return self

    def listen(self, store: Store, uploads: Uploads, port: int, broken: Callable[[Exception], None]) -> Listener:
        """Return what accepts connections on `port` and answers from `store`."""
        return Listener(port, Service(Router(store, uploads).answer, threading.Event(), broken))

    def stop(self) -> None:
        """End every connection and wait for its thread; does nothing when it is not running."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.end()
        self._clean(self._used)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _clean(self, root: Path) -> None:
        if self._root is None:
            shutil.rmtree(root, ignore_errors=True)


class Listener(socketserver.TCPServer):
    """Accept connections on loopback, and know them, so that `end` can end them; `begin` starts it."""

    connection_type = Connection
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._count = 0
        self._live: dict[threading.Thread, socket.socket] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="sandbox-accept", daemon=True)
        super().__init__(("127.0.0.1", port), socketserver.BaseRequestHandler)

    def begin(self) -> None:
        """Start to accept."""
        self._thread.start()

    def end(self) -> None:
        """Stop accepting, shut every connection down, wait for the threads."""
        self._service.stopping.set()
        self.shutdown()
        self._thread.join(_JOIN_S)
        with self._lock:
            live = list(self._live.items())
        for _, connection in live:
            with suppress(OSError):  # its own thread has closed it meanwhile
                connection.shutdown(socket.SHUT_RDWR)
        for thread, _ in live:
            thread.join(_JOIN_S)
        self.server_close()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve a connection on a thread of its own."""
        if isinstance(request, tuple):
            raise TypeError("this is a TCP server")
        with self._lock:
            self._count += 1
            name = f"sandbox-{self._count}"
            thread = threading.Thread(target=self._serve, args=(request, self._count), name=name, daemon=True)
            self._live[thread] = request
        thread.start()

    def accepted(self, connection: socket.socket) -> socket.socket:
        """Return the connection to serve in place of one that was accepted; here it is the same."""
        return connection

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with suppress(OSError):  # the client went away
                connection = self.accepted(connection)
                with self._lock:
                    self._live[threading.current_thread()] = connection
                if not self._service.stopping.is_set():
                    self.connection_type(connection, self, self._service, number)
        finally:
            with suppress(OSError):
                connection.close()
            with self._lock:
                self._live.pop(threading.current_thread(), None)
