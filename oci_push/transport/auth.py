"""Credentials on requests: which Authorization a call gets, and what a 401 teaches.

One authenticator serves one login on one registry, from all threads. Tokens are asked for once per set of
scopes (single flight), live by our own clock, and are renewed before a request that would outlive them. The login
itself comes from a `CredentialProvider` and may change on the way: it is given back when the registry calls it expired.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec import Struct

from oci_push.errors import CredentialsError, RegistryError
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.protocol import challenge as challenges
from oci_push.protocol import tokens
from oci_push.protocol.call import Call, Flow, Reply
from oci_push.protocol.challenge import Challenge, canonical, covers
from oci_push.protocol.error_responses import parse_body
from oci_push.protocol.tokens import BearerToken
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.transport.credentials import CredentialProvider
from oci_push.transport.redirects import check_hop

_RENEW_S = 15.0


class TokenView(Struct, frozen=True):
    """Tell of one token: scopes `asked` for and `granted` (``None``: it does not say), and the seconds left to it."""

    asked: tuple[str, ...]
    granted: tuple[str, ...] | None
    left_s: float


class AuthView(Struct, frozen=True):
    """Tell how the registry lets us in: `scheme` is ``basic``, ``bearer``, or empty while it has asked nobody."""

    scheme: str = ""
    realm: str = ""
    service: str = ""
    tokens: tuple[TokenView, ...] = ()


RunFlow = Callable[[Context, Flow[BearerToken]], BearerToken]


class Authenticator:
    """Decide what proves who we are; `run` sends the token requests, without credentials of its own."""

    def __init__(
        self,
        endpoint: RegistryEndpoint,
        credentials: CredentialProvider,
        origin: tuple[str, str, int],
        clock: Clock,
        run: RunFlow,
    ) -> None:
        self._endpoint = endpoint
        self._logins = credentials
        self._origin = origin
        self._clock = clock
        self._run = run
        self._lock = threading.Lock()
        self._wanted: dict[str, None] = {}  # scopes, in the order in which they were named
        self._demanded: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._one_by_one = False
        self._challenge: Challenge | None = None
        self._tokens: SingleFlight[tuple[str, ...], BearerToken] = SingleFlight()
        self._shown: tuple[str, Credential] | None = None
        self._worked: Credential | None = None

    def want(self, scopes: tuple[str, ...]) -> None:
        """Name scopes that will be needed, so that one token covers them all; targets first."""
        with self._lock:
            self._wanted.update(dict.fromkeys(scopes))

    def view(self) -> AuthView:
        """Tell how the registry lets us in, without anything secret."""
        known = self._challenge
        if known is None:
            return AuthView()
        now = self._clock.monotonic()
        views = tuple(TokenView(t.scopes, tokens.granted(t.text), t.expires_at - now) for _, t in self._tokens.items())
        return AuthView(known.scheme, known.parameters.get("realm", ""), known.parameters.get("service", ""), views)

    def presented(self) -> str:
        """Say who we said we are, and where that was found; empty for a visitor."""
        credential = self._endpoint.credential or (self._shown[1] if self._shown else None)
        if credential is None:
            return ""
        who = f"user {credential.shown_user!r}" if credential.username else "the holder of a token"
        return f"{who} of {credential.source}" if credential.source else who

    def credential(self, scope: Context) -> Credential | None:
        """Return who we are here; asks the cloud where it hands out logins."""
        return self._logins.credential(scope)

    def shortfall(self, scopes: tuple[str, ...]) -> str:
        """Say what of `scopes` was asked for and not granted (the Hub does so without a word); empty if nothing."""
        for view in self.view().tokens:
            if view.granted is not None and covers(view.asked, scopes) and not covers(view.granted, scopes):
                return f"asked for {' '.join(scopes)}, granted was {' '.join(view.granted) or 'nothing'}"
        return ""

    def header(self, scope: Context, call: Call, lasts_s: float = 0.0) -> str | None:
        """Return the Authorization value for a call to our own registry, or ``None`` before the first challenge.

        `lasts_s` is how long the call's body will take: a token that would end before it is renewed now.
        """
        fixed = self._endpoint.credential
        if fixed and fixed.registry_token:
            return f"Bearer {fixed.registry_token.reveal()}"
        known = self._challenge
        if known is None:
            return None
        if known.scheme == "basic":
            credential = self._logins.credential(scope)
            if credential is None:
                return None
            self._shown = (tokens.basic(credential), credential)
            return self._shown[0]
        return f"Bearer {self._token(scope, known, call, lasts_s).text.reveal()}"

    def accepted(self, sent: str | None) -> None:
        """Note that the registry answered a call with this Authorization: its login is good, at least so far."""
        if self._shown is not None and self._shown[0] == sent:
            self._worked = self._shown[1]

    def learn(self, scope: Context, call: Call, reply: Reply, sent: str | None) -> bool:
        """Read a 401 (or a 403 that names a scope); say whether sending the call again makes sense."""
        if sent is not None and sent.startswith("Basic "):
            return self._has_another(call, reply, sent)
        offered = challenges.parse(reply.values("www-authenticate"))
        chosen = self._choose(offered)
        if chosen is None:
            if reply.status == 401 and sent is None and offered:
                self._no_way_in(call, offered)
            return False
        if chosen.scheme == "basic":
            if sent is not None or self._logins.credential(scope) is None:
                return False
            self._challenge = chosen
            return True
        if reply.status == 403 and chosen.parameters.get("error") != "insufficient_scope":
            return False
        needed = canonical(call.scopes + chosen.scopes)
        self._challenge = Challenge("bearer", {k: v for k, v in chosen.parameters.items() if k in ("realm", "service")})
        if sent is None:
            return True
        if not covers(call.scopes, needed):
            # What another thread asks for meanwhile may lack it: it is remembered for this call, and all like it.
            self._demanded[call.method, call.scopes] = needed
        return self._renew(call, sent, needed, chosen.parameters.get("error", ""))

    def _has_another(self, call: Call, reply: Reply, sent: str) -> bool:
        """Return back a login that was good before, or that the registry calls expired.

        ECR does so with a 403, whose reason an answer to HEAD cannot tell.
        """
        shown = self._shown
        if shown is None or shown[0] != sent:
            return True  # another thread has a newer one already
        credential = shown[1]
        is_over = credential is self._worked and (reply.status == 401 or call.method == "HEAD")
        if not is_over and "expired" not in parse_body(reply.body)[1].lower():
            return False
        return self._logins.refused(credential)

    def _renew(self, call: Call, sent: str, needed: tuple[str, ...], error: str) -> bool:
        used = next((t for _, t in self._tokens.items() if f"Bearer {t.text.reveal()}" == sent), None)
        if used is None:
            # Another thread has replaced the token that this call was sent with: try the new one.
            return self._endpoint.credential is None or not self._endpoint.credential.registry_token
        if error == "insufficient_scope" or not covers(used.scopes, needed):
            if covers(used.scopes, needed):
                # Asked for and not granted: more asking helps only where it was asked for together with others,
                # of which GitLab's token server hears the first and cgr.dev refuses the rest.
                if used.scopes in (needed, canonical(call.scopes)):
                    return False
                self._one_by_one = True
                return True
            with self._lock:
                self._wanted.update(dict.fromkeys(needed))
        self._tokens.drop(used.scopes, used)
        return True

    def _choose(self, offered: tuple[Challenge, ...]) -> Challenge | None:
        bearer = next((c for c in offered if c.scheme == "bearer" and c.parameters.get("realm")), None)
        return bearer or next((c for c in offered if c.scheme == "basic"), None)

    def _no_way_in(self, call: Call, offered: tuple[Challenge, ...]) -> None:
        if any(c.scheme == "bearer" for c in offered):
            raise CredentialsError(
                f"{self._endpoint.host}: asks for a token, and names no token server (its challenge has no realm)",
                hint="the registry's own settings for logins are not right",
            )
        names = ", ".join(c.scheme for c in offered)
        raise CredentialsError(
            f"{self._endpoint.host}: asks for a login by a scheme that is not supported (offered: {names})",
            hint="Basic and Bearer are supported",
        )

    def _token(self, scope: Context, known: Challenge, call: Call, lasts_s: float) -> BearerToken:
        needed = self._demanded.get((call.method, call.scopes), call.scopes)
        if self._one_by_one:
            return self._fetch(scope, known, canonical(needed))
        for _, token in self._tokens.items():
            # No token lives longer than a new one: one in the first half of its life is as good as it gets.
            need_s = max(_RENEW_S, min(_RENEW_S + lasts_s, token.life_s / 2))
            if covers(token.scopes, needed) and token.is_fresh(self._clock.monotonic(), _RENEW_S):
                if token.is_fresh(self._clock.monotonic(), need_s):
                    return token
                self._tokens.drop(token.scopes, token)
        with self._lock:
            union = canonical((*self._wanted, *needed))
        try:
            return self._fetch(scope, known, union)
        except (RegistryError, CredentialsError):
            narrow = canonical(call.scopes)
            if narrow == union:
                raise
            # A server that refuses the whole because of one part (a mount source) is asked for less.
            return self._fetch(scope, known, narrow)

    def _fetch(self, scope: Context, known: Challenge, scopes: tuple[str, ...]) -> BearerToken:
        check_hop(self._origin, known.parameters["realm"], f"{self._endpoint.host}: its token server")
        return self._tokens.get(
            scopes,
            lambda: self._ask(scope, known, scopes),
            lambda token: token.is_fresh(self._clock.monotonic(), _RENEW_S),
        )

    def _ask(self, scope: Context, known: Challenge, scopes: tuple[str, ...]) -> BearerToken:
        credential = self._logins.credential(scope)
        try:
            token = self._run(scope, tokens.request(known, scopes, credential, self._clock.monotonic()))
        except CredentialsError:
            if credential is None or credential is not self._worked or not self._logins.refused(credential):
                raise
            credential = self._logins.credential(scope)
            token = self._run(scope, tokens.request(known, scopes, credential, self._clock.monotonic()))
        self._worked = credential
        return token
