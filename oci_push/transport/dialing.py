"""Dialling: from an origin to a connection, through proxies and TLS, to no address that a server must not send us to.

The registry and what else a session is for were named by the user. Every other origin was named by a server, in a
Location, a redirect, a link or a realm: its addresses are judged here, and only one that was judged is connected to.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from oci_push.errors import ConfigError, DeadlineError, ProtocolViolationError
from oci_push.model.endpoint import RegistryEndpoint, TlsConfig
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import attend
from oci_push.transport.connection import Connection, Patience
from oci_push.transport.network_errors import Kind, Trouble, trouble_of
from oci_push.transport.proxies import Proxy, find_proxy
from oci_push.transport.redirects import Origin, Reach, base_of, literal, reach
from oci_push.transport.settings import TransportSettings
from oci_push.transport.sockets import Address, Stream

if TYPE_CHECKING:
    import ssl

_LEAST_CONNECT_S = 3.0
_LOOK_UP_S = 2.0
"""How long a name is looked up that a proxy will resolve anyway: many networks with a proxy resolve nothing."""
_FAR_S = 0.01


class Dialer:
    """Connect for one session whose registry is `home`; used by many threads at once.

    `address` of `endpoint` is where the registry is reached instead of under its name, and `pinned` of the settings has
    such places for any origin, also to be reached through a tunnel of a proxy. Whose certificate is wanted stays the
    same, and so does what is judged. `connect_s` is what the quickest connection to the registry took, about a round
    trip; `on_measured` is called once that is known. With `is_public` the home is on the internet, and its addresses
    are judged as well.
    """

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        home: Origin,
        settings: TransportSettings,
        on_measured: Callable[[], None] = lambda: None,
        *,
        is_public: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._home = home
        self._env = settings.env
        self._network = settings.network
        self._pinned = settings.pinned
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = self._make_context(endpoint.tls) if home[0] == "https" else None
        self._reach: Reach | None = None
        self._is_public = is_public
        self._on_measured = on_measured
        self.connect_s: float | None = None

    def proxy(self, where: Origin) -> Proxy | None:
        """Return the proxy on the way to an origin; raises `ConfigError`."""
        return find_proxy(where, self._env)

    def dial(self, context: Context, where: Origin, timeout_s: float) -> Connection:
        """Connect to an origin; raises `Trouble`, and `ProtocolViolationError` for one we must not be sent to."""
        inner = context.child(seconds=timeout_s)
        proxy = self.proxy(where)
        stream: Stream | None = None
        try:
            with _told_as_trouble(context):
                if proxy is None:
                    stream = self._direct(inner, where, timeout_s)
                    return Connection(self._secured(inner, stream, where, timeout_s))
                place = next(iter(self._pinned.get(where[1:], ())), "")
                if proxy.resolves and (where != self._home or self._is_public):
                    self._judge(context, where, self._looked_up(context, place or where[1]))
                stream = self._to_proxy(inner, proxy, timeout_s)
                if where[0] == "http" and not proxy.is_socks:
                    self._check_forwarded(where, place)
                    return Connection(stream, base_of(where), proxy.authorization())
                stream = self._through(inner, proxy, stream, where, timeout_s, place)
                return Connection(self._secured(inner, stream, where, timeout_s))
        except BaseException:
            if stream is not None:
                stream.close()
            raise

    def _direct(self, context: Context, where: Origin, timeout_s: float) -> Stream:
        addresses = self._addresses(context, where)
        if where != self._home:
            self._judge(context, where, addresses)
            return self._connect(context, addresses, timeout_s)
        if self._is_public:
            self._judge(context, where, addresses)
        started = context.clock.monotonic()
        stream = self._connect(context, addresses, timeout_s)
        took = self._network.round_trip_s(stream.address, context.clock.monotonic() - started)
        with self._lock:
            is_first = self.connect_s is None
            self.connect_s = took if self.connect_s is None else min(self.connect_s, took)
            # A registry that was once found far away stays so: where it sends us must suit every one of its addresses.
            self._reach = min(reach(stream.address), Reach.NEVER if self._reach is None else self._reach)
        if is_first:
            self._on_measured()
        return stream

    def _connect(self, context: Context, addresses: tuple[Address, ...], timeout_s: float) -> Stream:
        """Try the addresses in turn, each for its share of the time; a wait for nothing leaves some to the next."""
        failed = Trouble(Kind.NAME, "it has no address")
        for number, address in enumerate(addresses):
            sock = socket.socket(address[0], socket.SOCK_STREAM)
            stream = Stream(sock)
            started = context.clock.monotonic()
            try:
                share_s = max(_LEAST_CONNECT_S, context.remaining(timeout_s) / (len(addresses) - number))
                stream.connect(context, lambda sock, to=address: self._network.connect(sock, to), share_s)  # type: ignore[misc]
                stream.address = str(address[1][0])
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except BaseException as problem:
                sock.close()
                if not isinstance(problem, Trouble):
                    raise
                failed = problem
                continue
            if context.clock.monotonic() - started > _FAR_S:
                self._network.lengthen(sock)
            return stream
        raise failed

    def _addresses(self, context: Context, where: Origin) -> tuple[Address, ...]:
        """Return where an origin is connected to: as it is pinned, as the registry is described, or as it resolves."""
        _, host, port = where
        if found := self._pinned.get((host, port)):
            return tuple(address for one in found for address in self._resolve(context, one, port))
        if where == self._home and self._endpoint.address:
            host, _, number = self._endpoint.address.rpartition(":")
            return self._resolve(context, host.strip("[]"), int(number))
        return self._resolve(context, host, port)

    def _resolve(self, context: Context, host: str, port: int) -> tuple[Address, ...]:
        """Resolve without making a cancel wait: the resolver cannot be woken, so it is left behind."""

        def check() -> None:
            context.expire()
            context.check()

        try:
            if literal(host):
                return self._network.resolve(host, port)
            return attend(lambda: self._network.resolve(host, port), check).get()
        except (OSError, UnicodeError) as problem:
            raise trouble_of(problem, Kind.NAME) from problem

    def _looked_up(self, context: Context, host: str) -> tuple[Address, ...]:
        """Resolve what a proxy will resolve, as far as that can be done here: nothing where it cannot."""
        try:
            return self._resolve(context.child(seconds=_LOOK_UP_S), literal(host) or host.rstrip("."), 0)
        except (Trouble, DeadlineError):
            context.check()
            return ()

    def _judge(self, context: Context, where: Origin, addresses: tuple[Address, ...]) -> None:
        """Refuse an origin that a server named, unless all its addresses are as near as the registry's, or less.

        A home that must be public is refused at any other address.
        """
        limit = Reach.GLOBAL if where == self._home else self._home_reach(context)
        for _, (address, *_rest) in addresses:
            found = reach(str(address))
            if found > limit or found is Reach.NEVER:
                if where == self._home:
                    raise ProtocolViolationError(
                        f"{where[1]}: leads to the {found.word} address {address}; refused",
                        hint="it is on the internet, and what is sent there is secret: who answers for that name here?",
                    )
                name = "" if address == where[1] else f" ({where[1]})"
                raise ProtocolViolationError(
                    f"{self._home[1]}: points at the {found.word} address {address}{name}; refused",
                    hint=f"a registry at a {limit.word} address has no business there; check its external URL setting",
                )

    def _home_reach(self, context: Context) -> Reach:
        if self._reach is None:
            host = self._endpoint.address.rpartition(":")[0].strip("[]") or self._home[1]
            places = self._pinned.get(self._home[1:]) or (host,)
            found = [reach(str(address[1][0])) for place in places for address in self._looked_up(context, place)]
            return min(found, default=Reach.GLOBAL)
        return self._reach

    def _to_proxy(self, context: Context, proxy: Proxy, timeout_s: float) -> Stream:
        stream: Stream | None = None
        try:
            stream = self._connect(context, self._resolve(context, proxy.host, proxy.port), timeout_s)
            if proxy.scheme != "https":
                return stream
            return stream.start_tls(context, self._make_context(TlsConfig()), proxy.host, timeout_s)
        except Trouble as trouble:
            if stream is not None:
                stream.close()
            trouble.at_proxy = True
            raise

    def _check_forwarded(self, where: Origin, place: str) -> None:
        """Refuse a place that a proxy which forwards plain http cannot be told of: it reads the name in the URL."""
        if place:
            raise ConfigError(
                f"{base_of(where)}: --resolve has no effect on http that goes through a proxy",
                hint=f"go past the proxy: NO_PROXY={where[1]}",
            )

    def _through(
        self, context: Context, proxy: Proxy, stream: Stream, where: Origin, timeout_s: float, place: str
    ) -> Stream:
        """Have the proxy connect us with an origin, at the place that was named for it if there is one."""
        _, host, port = where
        host = place or host
        if proxy.is_socks:
            from oci_push.transport.socks import greet

            if not proxy.resolves:
                addresses = self._resolve(context, host, port)
                if where != self._home or self._is_public:
                    self._judge(context, where, addresses)
                host = str(addresses[0][1][0])
            greet(context, stream, proxy, host, port, timeout_s)
            return stream
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        asking = Connection(stream, headers=proxy.authorization())
        answer = asking.send(
            context, b"CONNECT", target, [(b"Host", target.encode())], (), Patience(timeout_s, timeout_s)
        )
        if not 200 <= answer.status_code < 300:
            again = answer.status_code in (408, 429) or answer.status_code >= 500
            raise Trouble(Kind.PROXY, f"it answered {answer.status_code}", at_proxy=True, again=again)
        return asking.become_tunnel()

    def _secured(self, context: Context, stream: Stream, where: Origin, timeout_s: float) -> Stream:
        if where[0] != "https":
            return stream
        with self._lock:
            ssl_context = self._context = self._context or self._make_context(self._endpoint.tls)
        return stream.start_tls(context, ssl_context, where[1].rstrip("."), timeout_s)

    def _make_context(self, tls: TlsConfig) -> ssl.SSLContext:
        from oci_push.transport.tls import make_context

        return make_context(tls, self._env)


@contextlib.contextmanager
def _told_as_trouble(context: Context) -> Iterator[None]:
    """Tell the end of the time for connecting as such; that of the work itself stays what it is."""
    try:
        yield
    except DeadlineError:
        context.check()
        raise Trouble(Kind.CONNECT, "connecting took too long") from None
