"""Sessions: drive flows over HTTP against one registry, with its login, redirects, limits and retries.

Redirects are followed here, as only here is known who may see credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from oci_push.errors import (
    DeniedError,
    NetworkError,
    OciPushError,
    ProtocolViolationError,
    RateLimitedError,
    RegistryError,
)
from oci_push.events import Emit, LogMessage, RetryScheduled, ignore
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.protocol.call import Call, Flow, Reply
from oci_push.protocol.endpoints import bare, learn_query
from oci_push.protocol.error_responses import error_for
from oci_push.protocol.notices import rate_limits, warnings
from oci_push.runtime.context import Context
from oci_push.runtime.log import Log
from oci_push.runtime.retry import Retried, RetryPolicy, RetryState, attempts
from oci_push.transport.auth import Authenticator
from oci_push.transport.connection import Patience
from oci_push.transport.credentials import CredentialProvider, FixedCredential
from oci_push.transport.dialing import Dialer
from oci_push.transport.limits import Bandwidth, ConcurrencyLimiter, Rate
from oci_push.transport.network_errors import Kind, Trouble, network_error, trouble_of
from oci_push.transport.pool import Pool, Request, Response, check_headers, leave_secrets_behind
from oci_push.transport.redirects import Origin, check_hop, join, origin
from oci_push.transport.settings import TransportSettings

if TYPE_CHECKING:
    from oci_push.transport.probe import Probe

T = TypeVar("T")
_log = Log(__name__)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_HOPS = 10
_MAX_ERROR_BYTES = 64 * 1024
_MAX_WARNINGS = 20
_ANSWER_S = 300.0
"""How long the body of an answer may take, all of it: one that comes byte by byte never stalls."""
_LINGER_S = 3.0
_ONCE = RetryPolicy(attempts=1)
_FAR_OFF = "it asks to be left alone for longer than is waited here (Retry-After); try again later"
_ASSUMED_BYTES_PER_S = 1_000_000.0
_FAR_S = 0.002
"""From this round trip on, waiting for one costs more than the work on a request."""


class Session:
    """Talk to one registry as one login; used by many threads at once. Close it when done.

    `limiter` and `rate` are those of the host, `bandwidth` is the run's. `is_public`: at public addresses only.
    """

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        api_host: str,
        context: Context,
        settings: TransportSettings,
        random: Callable[[], float],
        emit: Emit = ignore,
        credentials: CredentialProvider | None = None,
        hints: Mapping[int, str] | None = None,
        *,
        limiter: ConcurrencyLimiter | None = None,
        bandwidth: Bandwidth | None = None,
        rate: Rate | None = None,
        is_public: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self._hints = hints or {}
        self._base = f"{endpoint.scheme}://{api_host}"
        self._origin = origin(self._base)
        self._settings = settings
        self._random = random
        self._emit = emit
        self._context = context
        self._expected = 0
        self._connecting = 0
        self._dialer = Dialer(endpoint, self._origin, settings, self._measured, is_public=is_public)
        self._is_proxied = self._dialer.proxy(self._origin) is not None
        self.limits = ""
        """What the registry last told of its rate limits, for people."""
        self._pool = Pool(self._dialer)
        self.limiter = limiter or ConcurrencyLimiter(settings.near_requests, settings.spare_requests)
        self._bandwidth = bandwidth or Bandwidth(settings.limit_bytes_per_s)
        self._rate = rate
        self._own_headers = {name: value.reveal() for name, value in endpoint.traffic.headers}
        self._user_agent = endpoint.traffic.user_agent or settings.user_agent
        self._bytes_per_s = _ASSUMED_BYTES_PER_S
        self._warnings: set[str] = set()
        self.has_answered = False
        self._is_away = False
        credentials = credentials or FixedCredential(endpoint.credential)
        self.auth = Authenticator(endpoint, credentials, self._origin, context.clock, self._run_plain)

    def probe(self, context: Context) -> Probe:
        """Look at the way to the registry without a request; raises `NetworkError`."""
        from oci_push.transport.probe import Probe, look

        try:
            if self._is_proxied:
                return Probe()
            seconds, pinned = context.remaining(self._settings.connect_s), self._settings.pinned
            return look(self.endpoint, self._origin, self._settings.env, seconds, pinned.get(self._origin[1:], ()))
        except (OSError, UnicodeError) as problem:
            trouble = trouble_of(problem, Kind.CONNECT)
            trouble.url = self._base
            raise network_error(self.endpoint.host, trouble, home=self._base) from problem

    @property
    def base(self) -> str:
        """Return the registry's origin as a URL."""
        return self._base

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @property
    def distance_s(self) -> float | None:
        """Return what connecting took, about a round trip; ``None`` before the first connection."""
        return self._dialer.connect_s

    @property
    def is_far(self) -> bool:
        """Return whether a round trip to the registry takes long; not before the first connection, nor by a proxy."""
        return self._dialer.connect_s is not None and self._dialer.connect_s >= _FAR_S

    def expect(self, requests: int) -> None:
        """Tell that so many requests will want to go at once soon: far away, connections for them are opened now."""
        self._expected = requests
        self._open_ahead()

    def connect(self, context: Context) -> None:
        """Open the first connection, if there is none yet, and so learn how far the registry is; tell no failure."""
        if self._dialer.connect_s is None and not self._is_proxied:
            self._connecting += 1
            with suppress(Trouble, OciPushError):
                self._pool.open(context, self._origin, self._settings.connect_s)
            self._connecting -= 1

    def run(self, context: Context, flow: Flow[T]) -> T:
        """Drive a flow to its result; calls that may be repeated are, by the call policy."""
        return self._drive(context, flow, authenticated=True)

    def run_without_retry(self, context: Context, flow: Flow[T]) -> T:
        """Drive a flow and repeat nothing: for whoever has a budget of their own, so that levels never multiply."""
        return self._drive(context, flow, authenticated=True, policy=_ONCE)

    def bounded(self, policy: RetryPolicy) -> RetryPolicy:
        """Return the policy for a thing that begins now: a registry that was given up has one try until it answers.

        So whoever tries again what was given up, as a pipeline's step does, does not multiply the tries below.
        """
        return _ONCE if self._is_away else policy

    def gave_up(self, error: OciPushError) -> None:
        """Remember that all tries were for nothing: nothing answers, or failures do that are more than a pace."""
        if error.transient and error.attempts > 1 and not isinstance(error, RateLimitedError):
            self._is_away = True

    def note_speed(self, bytes_per_s: float) -> None:
        """Tell how fast bodies leave lately: a token that would end before a body does is renewed before it."""
        self._bytes_per_s = max(1.0, bytes_per_s)

    def fetch(self, context: Context, call: Call) -> Reply:
        """Send one call without credentials, as a provider does that asks its cloud for some."""
        return self._send(context, call, self._settings.call_retry, authenticated=False)

    @contextmanager
    def download(self, context: Context, call: Call) -> Iterator[tuple[int, Iterator[bytes | memoryview]]]:
        """Send a GET and give the answer's status, which is checked first, and its body block by block."""
        with self.limiter.inside(context), self._translated(call):
            response = self._exchange(context, call, authenticated=True)
            try:
                if response.status not in call.ok_statuses:
                    raise self._error(context, call, self._reply(context, response, call.limit))
                yield response.status, response.large_blocks()
            finally:
                response.close()

    def _run_plain(self, context: Context, flow: Flow[T]) -> T:
        return self._drive(context, flow, authenticated=False)

    def _drive(self, context: Context, flow: Flow[T], *, authenticated: bool, policy: RetryPolicy | None = None) -> T:
        policy = policy or self._settings.call_retry
        try:
            call = next(flow)
            while True:
                try:
                    reply = self._send(context, call, policy, authenticated=authenticated)
                except OciPushError as error:
                    call = flow.throw(error)
                else:
                    call = flow.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, context: Context, call: Call, policy: RetryPolicy, *, authenticated: bool) -> Reply:
        def once(_: int) -> Reply:
            if authenticated:
                # Cleaning up does not wait for the time the registry asked for: it would never happen.
                with self.limiter.inside(context, urgent=call.is_urgent, small=call.is_small):
                    context.check()
                    # A session whose Location is never read can be closed by nobody: its answer is waited for.
                    inner = context.lingering(_LINGER_S) if call.opens else context
                    return self._once(inner, call, authenticated=True)
            return self._once(context, call, authenticated=False)

        def told(retried: Retried) -> None:
            self._emit(RetryScheduled(call.what or bare(call.url), str(retried.error), retried.attempt, retried.wait_s))

        policy = self.bounded(policy) if call.idempotent else _ONCE
        retry_state = RetryState(policy, context.clock, self._random, has_answered=self.has_answered)
        try:
            return attempts(context, retry_state, once, on_retry=told)
        except NetworkError as error:
            self.gave_up(error)
            raise

    def _once(self, context: Context, call: Call, *, authenticated: bool) -> Reply:
        with self._translated(call):
            response = self._exchange(context, call, authenticated=authenticated)
            try:
                good = response.status in call.ok_statuses
                limit = 1 if call.peeks else call.limit
                reply = self._reply(context, response, limit if good else _MAX_ERROR_BYTES, peeks=call.peeks)
            finally:
                response.close()
        if not self._is_elsewhere(reply):
            self._pass_on(reply)
        if not good:
            raise self._error(context, call, reply)
        self._is_away = False
        self.limiter.speed_up(context.clock.monotonic())
        return reply

    def _exchange(self, context: Context, call: Call, *, authenticated: bool) -> Response:
        """Send, follow redirects, and answer the registry's own challenges (twice at most: renew, then widen)."""
        tries = 0
        while True:
            lasts_s = call.body.size / self._bytes_per_s if call.body else 0.0
            header = self.auth.header(context, call, lasts_s) if authenticated else None
            response = self._follow(context, call, header)
            if response.status not in (401, 403):
                if not self._is_elsewhere(response):
                    self.auth.accepted(header)
                return response
            # The challenge of another place would name a token server of its own, for our login.
            if not authenticated or tries == 2 or self._is_elsewhere(response):
                return response
            try:
                reply = self._reply(context, response, _MAX_ERROR_BYTES)
            finally:
                response.close()
            tries += 1
            if not self.auth.learn(context, call, reply, header):
                return response

    def _follow(self, context: Context, call: Call, authorization: str | None) -> Response:
        is_ours = "://" not in call.url.partition("?")[0]
        url = self._base + call.url if is_ours else call.url
        method, what = call.method, call.what or bare(call.url)
        target = first = self._origin if is_ours else check_hop(self._origin, url, what)
        for _ in range(_MAX_HOPS):
            headers = dict(call.headers)
            if target != first:
                leave_secrets_behind(call, headers, bare(url))
            if authorization and target == self._origin:
                headers["Authorization"] = authorization
            response = self._request(context, call, method, url, target, headers)
            location = response.header("location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            url = join(url, location)
            target = check_hop(self._origin, url, what, is_allowed=call.redirects)
            if response.status == 303:
                method = "GET"
        raise ProtocolViolationError(f"{what}: more than {_MAX_HOPS} redirects", method=method)

    def _request(
        self, context: Context, call: Call, method: str, url: str, where: Origin, headers: dict[str, str]
    ) -> Response:
        body = call.body if method == call.method else None
        if body is not None:
            headers["Content-Length"] = str(body.size)
        if where == self._origin:
            headers.update(self._own_headers)
            if self._rate is not None:
                self._rate.wait(context, urgent=call.is_urgent)
        learn_query(url)
        check_headers(call.what or bare(call.url), headers, self.auth.presented())
        request = Request(
            method,
            url,
            where,
            {"User-Agent": self._user_agent, "Accept-Encoding": "identity", "Accept": "*/*", **headers},
            None if body is None else self._bandwidth.paced(body, context),
            Patience(self._settings.stall_s, self._settings.stall_s + call.answer_s),
            self._settings.connect_s,
        )
        context.costs.request()
        response = self._pool.send(context, request)
        self.has_answered = self.has_answered or not self._is_elsewhere(response)
        if _log.is_heard:
            _log.debug("%s %s -> %s", method, bare(url), response.status)
        return response

    @contextmanager
    def _translated(self, call: Call) -> Iterator[None]:
        try:
            yield
        except Trouble as trouble:
            raise network_error(call.what or bare(call.url), trouble, home=self._base) from trouble

    def _reply(self, context: Context, response: Response, limit: int, *, peeks: bool = False) -> Reply:
        if response.reply is not None:
            return response.reply
        kept: list[bytes] = []
        size = 0
        end = context.clock.monotonic() + _ANSWER_S
        for block in response.blocks():
            size += len(block)
            if context.clock.monotonic() > end:
                raise NetworkError(f"{bare(response.url)}: an answer of {size} bytes took over {_ANSWER_S:g} seconds")
            if size > limit:
                if response.status >= 400 or peeks:
                    break
                raise ProtocolViolationError(f"{bare(response.url)}: answer is longer than {limit} bytes")
            kept.append(block)
        pairs = response.headers
        reply = Reply(response.status, dict(reversed(pairs)), response.url, b"".join(kept), pairs)
        response.reply = reply
        if not self._is_elsewhere(reply) and (limits := rate_limits(reply)):
            self.limits = limits
            _log.debug("%s: %s", bare(response.url), limits)
        return reply

    def _is_elsewhere(self, answer: Response | Reply) -> bool:
        """Say whether an answer came from another origin than the registry's, whither the registry has sent us."""
        return not answer.url.startswith(f"{self._base}/") and origin(answer.url) != self._origin

    def _error(self, context: Context, call: Call, reply: Reply) -> RegistryError:
        if self._is_elsewhere(reply) and (at := f" at {bare(reply.url)}") and not call.what.endswith(bare(reply.url)):
            call = replace(call, what=f"{call.what or bare(call.url)}{at}")
        error = error_for(call, reply, context.clock.now)
        if self._is_elsewhere(reply):
            hint = f"{self.endpoint.host} sent us there; that place gets no login, and its own is not used"
            return error.with_hint(hint) if reply.status in (401, 403) else error
        error = error.with_hint(self._hints.get(reply.status, error.hint))
        if isinstance(error, DeniedError) and (shortfall := self.auth.shortfall(call.scopes)):
            error = error.with_more(f"; {shortfall}")
        if reply.status == 401 and (who := self.auth.presented()):
            error = error.with_more(f"; logged in as {who}")
        if reply.status == 400 and self._origin[0] == "http" and not error.codes:
            # What a TLS port says to plain http; to a HEAD it says so without a word.
            hint = "if this registry speaks TLS, give --ca-file or --skip-tls-verify, or plain_http: false"
            error = error.with_hint(hint)
        asked = error.retry_after_s
        if asked is None and isinstance(error, RateLimitedError):  # the pace is one for all: all wait a little
            asked = self._settings.call_retry.base_s
        if asked is None:
            return error
        self.limiter.slow_down(now := context.clock.monotonic())
        if asked > self._settings.call_retry.server_cap_s:  # nobody waits, not even who only looks
            return error.with_hint(error.hint or _FAR_OFF)
        self.limiter.hold_until(now + asked)
        return error

    def _pass_on(self, reply: Reply) -> None:
        for text in warnings(reply):
            if text not in self._warnings and len(self._warnings) < _MAX_WARNINGS:
                self._warnings.add(text)
                self._emit(LogMessage(f"{self.endpoint.host} warns: {text}", "warning"))

    def _measured(self) -> None:
        """Choose how many requests go at once: round trips cost nothing nearby and everything far away."""
        self.limiter.set_limit(self._settings.far_requests if self.is_far else self._settings.near_requests)
        self._open_ahead()

    def _open_ahead(self) -> None:
        if self.is_far and self._expected:
            count = min(self._expected, self.limiter.limit) - self.limiter.busy - self._connecting
            self._pool.open_ahead(self._context, self._origin, count, self._settings.connect_s)
            self._expected = 0
