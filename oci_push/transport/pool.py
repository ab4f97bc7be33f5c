"""Pools: what httpx sends its requests through, with our own connections under it, kept for the next request."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpx

from oci_push.runtime.context import Context
from oci_push.transport.connection import Connection, Patience
from oci_push.transport.dialing import Dialer
from oci_push.transport.network_errors import Kind, Trouble
from oci_push.transport.redirects import Origin, origin, target_of

_IDLE_S = 60.0
"""How long a connection is kept unused: firewalls forget one after some minutes, without a word to either side."""


class Pool(httpx.BaseTransport):
    """Send requests, each over a clean connection to its origin; used by many threads at once.

    Of a request's extensions, ``url`` is the URL itself, ``context`` what its waits belong to, and ``patience`` and
    ``connect_s`` are how long these may be.
    """

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[Connection]] = {}
        self._is_closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and give its answer, whose body is still to be read; raises `Trouble`."""
        extensions = request.extensions
        context: Context = extensions["scope"]
        patience: Patience = extensions["patience"]
        where = origin(extensions["url"])
        with self._placed(where, extensions["url"]):
            connection = self._take(context, where) or self._dialer.dial(context, where, extensions["connect_s"])
            try:
                body = request.stream
                head = connection.send(
                    context,
                    request.method.encode("ascii"),
                    target_of(extensions["url"]),
                    request.headers.raw,
                    body if isinstance(body, Iterable) else (),
                    patience,
                )
                if head.status_code == 407 and where[0] == "http" and self._dialer.proxy(where):
                    raise Trouble(Kind.PROXY, "it answered 407", at_proxy=True, again=False)  # no word of the registry
            except BaseException:
                connection.close()
                raise
        answer = _Answer(self, where, extensions["url"], connection, context, patience)
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=answer)

    def close(self) -> None:
        """Close all connections that are not in use, and each of the others when it is given back."""
        with self._lock:
            self._is_closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def put(self, context: Context, where: Origin, connection: Connection) -> None:
        """Take back a connection whose exchange is over."""
        if not connection.end():
            return
        connection.idle_since = context.clock.monotonic()
        with self._lock:
            if not self._is_closed:
                self._idle.setdefault(where, []).append(connection)
                return
        connection.close()

    def _take(self, context: Context, where: Origin) -> Connection | None:
        """Return the connection that was used last, if it is still clean: a server may have closed it, or said more."""
        while True:
            with self._lock:
                kept = self._idle.get(where)
                connection = kept.pop() if kept else None
            if connection is None:
                return None
            if connection.is_clean() and context.clock.monotonic() - connection.idle_since < _IDLE_S:
                return connection
            connection.close()

    @contextmanager
    def _placed(self, where: Origin, url: str) -> Iterator[None]:
        """Note in what breaks where it broke."""
        try:
            yield
        except Trouble as trouble:
            trouble.url = url
            trouble.via = str(self._dialer.proxy(where) or "")
            raise


class _Answer(httpx.SyncByteStream):
    """The body of one answer; closing it gives the connection back."""

    def __init__(
        self, pool: Pool, where: Origin, url: str, connection: Connection, context: Context, patience: Patience
    ) -> None:
        self._pool = pool
        self._where = where
        self._url = url
        self._connection = connection
        self._scope = context
        self._patience = patience
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        with self._pool._placed(self._where, self._url):
            yield from self._connection.body(self._scope, self._patience)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._pool.put(self._scope, self._where, self._connection)
