"""Requests over connections that are kept: one goes out over a clean connection to its origin, and is answered."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from msgspec import Struct

from oci_push.errors import CredentialsError, OciPushError, ProtocolViolationError
from oci_push.protocol.call import Call, Reply
from oci_push.protocol.endpoints import bare
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import start
from oci_push.transport.connection import Connection, Patience
from oci_push.transport.dialing import Dialer
from oci_push.transport.network_errors import Kind, Trouble
from oci_push.transport.redirects import Origin, base_of, host_header, origin, target_of

Fields = list[tuple[bytes, bytes]]
_SECRET_HEADERS = ("Authorization", "X-IDENTITY-HEADER")
_LARGE_BYTES = 512 * 1024
_IDLE_S = 60.0
"""How long a connection is kept unused: firewalls forget one after some minutes, without a word to either side."""
_POLL_S = 0.25


class Request(Struct, frozen=True):
    """One request: `url` as it was given, byte for byte, and `where` it goes; `body` is read once.

    `connect_s` bounds a new connection.
    """

    method: str
    url: str
    where: Origin
    headers: Mapping[str, str]
    body: Iterable[bytes | memoryview] | None
    patience: Patience
    connect_s: float

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as they are sent; a request that usually has a body says that it has none."""
        lengths = {"Content-Length": "0"} if self.body is None and self.method in ("POST", "PUT", "PATCH") else {}
        together = {"Host": host_header(self.where), **lengths, **self.headers}
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in together.items()]


class Response:
    """The head of an answer, and its body, which is read once; closing it gives the connection back.

    `headers` have lower-case names. `reply` is the whole answer once somebody has read it.
    """

    def __init__(
        self, pool: Pool, connection: Connection, context: Context, request: Request, status: int, fields: Fields
    ) -> None:
        self.url = request.url
        self._where = request.where
        self.status = status
        self.headers = _decoded(fields)
        self.reply: Reply | None = None
        self._pool = pool
        self._connection = connection
        self._context = context
        self._patience = request.patience
        self._is_closed = False

    def header(self, name: str) -> str | None:
        """Return the first header of a name, which is given in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    def blocks(self) -> Iterator[bytes]:
        """Read the body; raises `Trouble`."""
        with self._pool.placed(self.url):
            yield from self._connection.body(self._context, self._patience)

    def large_blocks(self) -> Iterator[bytes | memoryview]:
        """Read the body of an answer to a GET in blocks worth being sent on; each may overwrite the one before."""
        length = self.header("content-length")
        if length is not None and self.header("transfer-encoding") is None:
            with self._pool.placed(self.url):
                yield from self._connection.body_of(int(length), self._context, self._patience, _LARGE_BYTES)
            return
        kept = bytearray()
        for block in self.blocks():
            kept += block
            while len(kept) >= _LARGE_BYTES:
                yield bytes(kept[:_LARGE_BYTES])
                del kept[:_LARGE_BYTES]
        if kept:
            yield bytes(kept)

    def close(self) -> None:
        """Give the connection back, for the next request if nothing of this answer is left in it."""
        if not self._is_closed:
            self._is_closed = True
            self._pool.put(self._context, self._where, self._connection)


class Pool:
    """Send requests, each over a clean connection to its origin; used by many threads at once."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._changed = threading.Condition()
        self._idle: dict[Origin, list[Connection]] = {}
        self._opening: Counter[Origin] = Counter()
        self._waiting: Counter[Origin] = Counter()
        self._is_closed = False

    def open(self, context: Context, where: Origin, connect_s: float) -> None:
        """Open a connection for a request to come; raises `Trouble`."""
        with self.placed(f"{base_of(where)}/"):
            self._keep(where, self._dialer.dial(context, where, connect_s), context.clock.monotonic())

    def open_ahead(self, context: Context, where: Origin, count: int, connect_s: float) -> None:
        """Begin to open connections, until `count` are idle or under way, and come back at once.

        Whoever needs one meanwhile waits for these rather than open another. One that cannot be opened is not told:
        who needed it tries again, and meets the same.
        """

        def job() -> None:
            try:
                with suppress(Trouble, OciPushError):
                    self.open(context, where, connect_s)
            finally:
                with self._changed:
                    self._opening[where] -= 1
                    self._changed.notify_all()

        with self._changed:
            count = max(0, count - len(self._idle.get(where, ())) - self._opening[where])
            self._opening[where] += count
        for _ in range(count):
            start("connect", job)

    def send(self, context: Context, request: Request) -> Response:
        """Send one request and return its answer, whose body is still to be read; raises `Trouble`."""
        where = request.where
        fields = request.fields()
        with self.placed(request.url):
            connection = self._take(context, where) or self._dialer.dial(context, where, request.connect_s)
            try:
                head = connection.send(
                    context,
                    request.method.encode("ascii"),
                    target_of(request.url),
                    fields,
                    request.body or (),
                    request.patience,
                )
                if head.status_code == 407 and where[0] == "http" and self._dialer.proxy(where):
                    raise Trouble(Kind.PROXY, "it answered 407", at_proxy=True, again=False)  # no word of the registry
            except BaseException:
                connection.close()
                raise
            finally:
                if isinstance(request.body, Generator):
                    # What it is read from, another registry's answer say, is let go now and not by the collector.
                    request.body.close()
        return Response(self, connection, context, request, head.status_code, list(head.headers))

    def close(self) -> None:
        """Close all connections that are not in use, and each of the others when it is given back."""
        with self._changed:
            self._is_closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def put(self, context: Context, where: Origin, connection: Connection) -> None:
        """Take back a connection whose exchange is over."""
        if connection.end():
            self._keep(where, connection, context.clock.monotonic())

    def _keep(self, where: Origin, connection: Connection, now: float) -> None:
        connection.idle_since = now
        with self._changed:
            if not self._is_closed:
                self._idle.setdefault(where, []).append(connection)
                if self._waiting[where]:
                    self._changed.notify_all()
                return
        connection.close()

    def _take(self, context: Context, where: Origin) -> Connection | None:
        """Return the connection that was used last, if it is still clean: a server may have closed it, or said more."""
        while True:
            connection = self._first_idle(context, where)
            if connection is None:
                return None
            if connection.is_clean() and context.clock.monotonic() - connection.idle_since < _IDLE_S:
                return connection
            connection.close()

    def _first_idle(self, context: Context, where: Origin) -> Connection | None:
        """Return an idle connection, waiting for one where one is being opened that nobody else waits for."""
        with self._changed:
            self._waiting[where] += 1
            try:
                while not (kept := self._idle.get(where)):
                    if self._opening[where] < self._waiting[where]:
                        return None
                    self._changed.wait(_POLL_S)
                    context.check()
                return kept.pop()
            finally:
                self._waiting[where] -= 1

    @contextmanager
    def placed(self, url: str) -> Iterator[None]:
        """Note in what breaks where it broke."""
        try:
            yield
        except Trouble as trouble:
            trouble.url = url
            trouble.via = str(self._dialer.proxy(origin(url)) or "")
            raise


def leave_secrets_behind(call: Call, headers: dict[str, str], url: str) -> None:
    """Make a call of ours fit to be sent to another origin than it was meant for, or refuse."""
    if "urlencoded" in headers.get("Content-Type", ""):
        raise ProtocolViolationError(
            f"{call.what or bare(call.url)}: points at {url}, where its form with secrets is not sent; refused"
        )
    for name in _SECRET_HEADERS:
        headers.pop(name, None)


def check_headers(subject: str, headers: Mapping[str, str], who: str) -> None:
    """Refuse what no header can carry (RFC 9110 5.5), without showing it; `who` is whose Authorization it is.

    What is read from files, helpers and answers is checked there; this is the last door, and no fault of the network.
    """
    for name, value in headers.items():
        if value.isascii() and value.isprintable() and value == value.strip():
            continue
        if name in _SECRET_HEADERS:
            raise CredentialsError(
                f"{subject}: the login{f' ({who})' if who else ''} holds a character that no request can carry",
                hint="is there a line end or a blank before or after the password or token?",
            )
        raise OciPushError(f"{subject}: the request's {name} holds a character that no request can carry")


def _decoded(fields: Fields) -> tuple[tuple[str, str], ...]:
    """Return headers as text: UTF-8 where all of them are, else Latin-1, as which HTTP once knew them."""
    try:
        return tuple((name.decode(), value.decode()) for name, value in fields)
    except UnicodeDecodeError:
        return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)
