"""Credentials on requests: which Authorization a call gets, and what a 401 teaches.

One authenticator serves one login on one registry, from all threads. Tokens are asked for once per set of
scopes (single flight), live by our own clock, and are renewed before a request that would outlive them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from oci_push.errors import CredentialsError, RegistryError
from oci_push.model.access import Access
from oci_push.protocol import challenge as challenges
from oci_push.protocol import tokens
from oci_push.protocol.call import Call, Flow, Reply
from oci_push.protocol.challenge import Challenge, canonical, covers
from oci_push.protocol.tokens import Token
from oci_push.runtime.clock import Clock
from oci_push.runtime.once import OnceMap
from oci_push.runtime.scope import Scope
from oci_push.transport.origins import check_hop

_RENEW_S = 15.0

RunFlow = Callable[[Scope, Flow[Token]], Token]


class Authenticator:
    """Decide what proves who we are; `run` sends the token requests, without credentials of its own."""

    def __init__(self, access: Access, origin: tuple[str, str, int], clock: Clock, run: RunFlow) -> None:
        self._access = access
        self._origin = origin
        self._clock = clock
        self._run = run
        self._lock = threading.Lock()
        self._wanted: tuple[str, ...] = ()
        self._one_by_one = False
        self._challenge: Challenge | None = None
        self._tokens: OnceMap[tuple[str, ...], Token] = OnceMap()

    def want(self, scopes: tuple[str, ...]) -> None:
        """Name scopes that will be needed, so that one token covers them all; targets first."""
        with self._lock:
            self._wanted = canonical(self._wanted + scopes)

    def header(self, scope: Scope, call: Call, lasts_s: float = 0.0) -> str | None:
        """Give the Authorization value for a call to our own registry, or ``None`` before the first challenge.

        `lasts_s` is how long the call's body will take: a token that would end before it is renewed now.
        """
        login = self._access.login
        if login and login.registry_token:
            return f"Bearer {login.registry_token.reveal()}"
        known = self._challenge
        if known is None:
            return None
        if known.scheme == "basic":
            return tokens.basic(login) if login else None
        return f"Bearer {self._token(scope, known, call.scopes, lasts_s).text.reveal()}"

    def learn(self, scope: Scope, call: Call, reply: Reply, sent: str | None) -> bool:
        """Read a 401 (or a 403 that names a scope); say whether sending the call again makes sense."""
        offered = challenges.parse(reply.values("www-authenticate"))
        chosen = self._choose(offered)
        if chosen is None:
            if reply.status == 401 and sent is None and offered:
                self._no_way_in(call, offered)
            return False
        if chosen.scheme == "basic":
            if sent is not None or self._access.login is None:
                return False
            self._challenge = chosen
            return True
        if reply.status == 403 and chosen.parameters.get("error") != "insufficient_scope":
            return False
        needed = canonical(call.scopes + chosen.scopes)
        self._challenge = Challenge("bearer", {k: v for k, v in chosen.parameters.items() if k in ("realm", "service")})
        if sent is None:
            return True
        return self._renew(call, sent, needed, chosen.parameters.get("error", ""))

    def shortfall(self, call: Call, sent: str | None) -> str:
        """Say what the token that a refused call was sent with lacks, where the token itself tells; else nothing."""
        used = next((t for _, t in self._tokens.items() if f"Bearer {t.text.reveal()}" == sent), None)
        granted = tokens.granted(used) if used else None
        if used is None or granted is None or covers(granted, call.scopes):
            return ""
        return (
            f"asked for {' '.join(canonical(call.scopes))}, the token server granted {' '.join(granted) or 'nothing'}"
        )

    def _renew(self, call: Call, sent: str, needed: tuple[str, ...], error: str) -> bool:
        used = next((t for _, t in self._tokens.items() if f"Bearer {t.text.reveal()}" == sent), None)
        if used is None:
            # Another thread has replaced the token that this call was sent with: try the new one.
            return self._access.login is None or not self._access.login.registry_token
        if error == "insufficient_scope" or not covers(used.scopes, needed):
            if covers(used.scopes, needed):
                # Asked for and not granted: more asking helps only where it was asked for together with others,
                # of which GitLab's token server hears the first and cgr.dev refuses the rest.
                if used.scopes in (needed, canonical(call.scopes)):
                    return False
                self._one_by_one = True
                return True
            with self._lock:
                self._wanted = canonical(self._wanted + needed)
        self._tokens.drop(used.scopes, used)
        return True

    def _choose(self, offered: tuple[Challenge, ...]) -> Challenge | None:
        bearer = next((c for c in offered if c.scheme == "bearer" and c.parameters.get("realm")), None)
        return bearer or next((c for c in offered if c.scheme == "basic"), None)

    def _no_way_in(self, call: Call, offered: tuple[Challenge, ...]) -> None:
        names = ", ".join(c.scheme for c in offered)
        raise CredentialsError(
            f"{self._access.host}: asks for a login by a scheme that is not supported (offered: {names})",
            hint="Basic and Bearer are supported",
        )

    def _token(self, scope: Scope, known: Challenge, needed: tuple[str, ...], lasts_s: float) -> Token:
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
            union = canonical(self._wanted + needed)
        try:
            return self._fetch(scope, known, union)
        except (RegistryError, CredentialsError):
            narrow = canonical(needed)
            if narrow == union:
                raise
            # A server that refuses the whole because of one part (a mount source) is asked for less.
            return self._fetch(scope, known, narrow)

    def _fetch(self, scope: Scope, known: Challenge, scopes: tuple[str, ...]) -> Token:
        check_hop(self._origin, known.parameters["realm"])
        return self._tokens.get(
            scopes,
            lambda: self._run(scope, tokens.request(known, scopes, self._access.login, self._clock.monotonic())),
            lambda token: token.is_fresh(self._clock.monotonic(), _RENEW_S),
        )
