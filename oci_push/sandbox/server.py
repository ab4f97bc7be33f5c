"""The sandbox: a registry inside this process, on loopback; for `oci-push sandbox`, rehearsals and tests.

It follows the distribution specification, stores OCI image layouts, and misbehaves on request (`options`,
`faults`). It is no registry for production: nothing is garbage-collected, and nothing is synced to the disk.

Its threads are those of the standard library's `socketserver` pattern, one that accepts and one per connection.
They are the exception to the rule that only `runtime.tasks` starts threads: they are the *other* side of the
wire, live as long as the sandbox and not as long as a scope, and must go on serving while the client under test
is being cancelled. `stop` ends them: it shuts their sockets down and waits for them.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import socketserver
import ssl
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from oci_push.errors import SourceError
from oci_push.runtime.clock import Clock, SystemClock
from oci_push.sandbox import layout
from oci_push.sandbox.auth import Gate
from oci_push.sandbox.connection import Connection, Service
from oci_push.sandbox.faults import FaultScript
from oci_push.sandbox.options import SandboxOptions
from oci_push.sandbox.routes import Router
from oci_push.sandbox.store import Store
from oci_push.sandbox.traffic import Traffic
from oci_push.sandbox.uploads import Uploads

__all__ = ["Sandbox", "SandboxOptions"]

_JOIN_S = 5.0


class Sandbox:
    """Serve a registry on 127.0.0.1 from `start` to `stop`, or as a context manager.

    `root` is where repositories are kept and found again; ``None`` is a temporary folder that `stop` removes.
    `port` 0 takes a free one. `clock` decides when tokens expire. The same sandbox is started once.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        port: int = 0,
        options: SandboxOptions | None = None,
        clock: Clock | None = None,
        faults: FaultScript | None = None,
    ) -> None:
        self.options = options or SandboxOptions()
        self.faults = faults or FaultScript()
        self.traffic = Traffic()
        self._clock = clock or SystemClock()
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
    def url(self) -> str:
        """Return the address with its scheme, without a slash at the end."""
        return f"{'https' if self.options.ssl_context else 'http'}://{self.address}"

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
            gate = Gate(self.options, self._clock, secrets.token_bytes(32), self.traffic)
            router = Router(store, uploads, self.options, gate)
            service = Service(
                router,
                self.traffic,
                self.faults,
                threading.Event(),
                self._problems.append,
                self.options.ssl_context is not None,
            )
            self._listener = Listener(self._port, service, self.options.ssl_context)
        except OSError:
            self._clean(root)
            raise
        self._store = store
        self._used = root
        self._listener.begin()
        return self

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

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, service: Service, context: ssl.SSLContext | None) -> None:
        self._service = service
        self._context = context
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
            _shut(connection)
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

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._live[threading.current_thread()] = connection
                if self._service.stopping.is_set():
                    return
            Connection(connection, self, self._service, number)
        except OSError:
            pass  # the client went away, during the TLS handshake or after
        finally:
            _close(connection)
            with self._lock:
                self._live.pop(threading.current_thread(), None)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # its own thread has closed it meanwhile


def _close(connection: socket.socket) -> None:
    try:
        connection.close()
    except OSError:
        return
