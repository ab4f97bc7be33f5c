"""Connection pools: httpcore's, with our sockets under it and, where the environment says so, a proxy."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import httpcore
import httpx

from oci_push.model.access import Access, is_loopback
from oci_push.transport.origins import is_instance_metadata
from oci_push.transport.sockets import Backend
from oci_push.transport.tls import make_context

_CONNECTIONS = 64
_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.ProxyError, httpx.ProxyError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
)


class PoolTransport(httpx.BaseTransport):
    """Send httpx requests through an httpcore pool with a chosen network backend, which httpx has no door for."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; `extensions["target"]` is its exact request target."""
        with _translated():
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.extensions["target"],
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": request.extensions["timeout"]},
                )
            )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Answer(response), extensions=response.extensions
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Answer(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        stream = self._response.stream
        assert isinstance(stream, Iterable)  # noqa: S101  # a sync pool gives sync streams
        with _translated():
            yield from stream

    def close(self) -> None:
        with _translated(), contextlib.suppress(httpcore.ReadError):
            self._response.close()


def make_transport(access: Access, backend: Backend, env: Mapping[str, str], proxy: str) -> PoolTransport:
    """Build the transport of one session; the TLS context is made on the first https connection's behalf."""
    context: ssl.SSLContext | None = make_context(access.trust, env) if access.scheme == "https" else None
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # empty: nothing is loaded for plain http
    options = {
        "ssl_context": context,
        "max_connections": _CONNECTIONS,
        "max_keepalive_connections": _CONNECTIONS,
        "keepalive_expiry": 60.0,
        "http1": True,
        "http2": False,
        "network_backend": backend,
    }
    if proxy:
        url = httpx.URL(proxy)
        login = (url.username.encode(), url.password.encode()) if url.username else None
        bare = f"{url.scheme}://{url.host}:{url.port or 80}"
        return PoolTransport(httpcore.HTTPProxy(bare, proxy_auth=login, **options))  # type: ignore[arg-type]
    return PoolTransport(httpcore.ConnectionPool(**options))  # type: ignore[arg-type]


def find_proxy(target: tuple[str, str, int], env: Mapping[str, str]) -> str:
    """Read HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY as curl does, lower case first."""

    def read(name: str) -> str:
        return env.get(name.lower(), "") or env.get(name.upper(), "")

    for entry in read("no_proxy").replace(" ", "").split(","):
        name = entry.lstrip(".").lower()
        if name == "*" or (name and (target[1] == name or f"{target[1]}:{target[2]}" == name)):
            return ""
        if name and target[1].endswith(f".{name}"):
            return ""
    if is_loopback(target[1]) or is_instance_metadata(target[1]):
        return ""
    return read(f"{target[0]}_proxy") or read("all_proxy")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as problem:
        kind = next((to for from_, to in _ERRORS if isinstance(problem, from_)), httpx.TransportError)
        raise kind(str(problem)) from problem
