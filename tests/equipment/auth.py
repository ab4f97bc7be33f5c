"""Who may do what: Basic, or Bearer with a token server of the sandbox's own.

Rules: distribution, token and OAuth2 documents.

A logged-in user gets every action that is asked for, an anonymous one only ``pull``, and neither is told: a token
with less than was asked for is a good answer of the token server, and the registry then says ``insufficient_scope``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from datetime import UTC, datetime
from urllib.parse import parse_qs

from equipment.options import SandboxOptions
from equipment.tokens import Grant, InvalidTokenError, access_claim, grant_of, sign, split_scope, verify
from equipment.traffic import TokenRequest, Traffic
from oci_push.runtime.clock import Clock
from oci_push.sandbox.exchange import Complaint, Exchange, Refusal, Response, json_response, refuse

SERVICE = "oci-push-sandbox"
_ISSUER = "oci-push-sandbox-tokens"
_REFRESH = "oci-push-sandbox-refresh"
_REFRESH_LIFE_S = 90 * 24 * 3600
_TOKEN_USER = "<token>"  # the user name that says: the password is a refresh token
_MAX_FORM = 64 * 1024


class Gate:
    """Check credentials and hand out tokens, signed with `key`; times are those of `clock`."""

    def __init__(self, options: SandboxOptions, clock: Clock, key: bytes, traffic: Traffic) -> None:
        self._options = options
        self._clock = clock
        self._key = key
        self._traffic = traffic

    def check(self, exchange: Exchange, scopes: tuple[str, ...]) -> Grant:
        """Let a request pass that has what `scopes` name, or refuse it with a challenge."""
        scheme, _, given = exchange.headers.get("authorization", "").partition(" ")
        if self._options.auth == "open":
            return Grant(everything=True)
        if self._options.auth == "basic":
            if scheme.lower() == "basic" and self._login(given.strip()) == self._options.username:
                return Grant(everything=True)
            raise _unauthorized('Basic realm="sandbox"', "authentication required")
        if scheme.lower() != "bearer":
            raise self._challenge(exchange, scopes, "")
        try:
            claims = verify(given.strip(), self._key, audience=SERVICE, now=self._clock.now())
        except InvalidTokenError as problem:
            raise self._challenge(exchange, scopes, "invalid_token") from problem
        grant = grant_of(claims)
        if not all(grant.allows(scope) for scope in scopes):
            raise self._challenge(exchange, scopes, "insufficient_scope")
        return grant

    def token(self, exchange: Exchange) -> Response:
        """Answer ``/token``: GET with Basic, or an OAuth2 form by POST."""
        if self._options.auth != "bearer":
            raise refuse(404, "UNSUPPORTED", "this registry hands out no tokens")
        if exchange.method == "GET":
            return self._from_query(exchange)
        if exchange.method == "POST":
            return self._from_form(exchange)
        raise refuse(405, "UNSUPPORTED", "tokens are got by GET or POST")

    def _from_query(self, exchange: Exchange) -> Response:
        scheme, _, given = exchange.headers.get("authorization", "").partition(" ")
        account = ""
        if scheme:
            account = self._login(given.strip()) if scheme.lower() == "basic" else ""
            if not account:
                raise _unauthorized('Basic realm="sandbox tokens"', "incorrect user name or password")
        grant = "basic" if account else "anonymous"
        offline = exchange.first("offline_token") == "true"
        return self._issue(exchange, grant, account, exchange.query.get("scope", ()), offline=offline)

    def _from_form(self, exchange: Exchange) -> Response:
        raw = exchange.body.read(_MAX_FORM)
        if raw is None:
            raise refuse(413, "SIZE_INVALID", "the form is too large")
        form = {name: values[0] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}
        grant = form.get("grant_type", "")
        if grant not in ("password", "refresh_token") or not form.get("client_id"):
            raise refuse(400, "UNSUPPORTED", "grant_type is password or refresh_token, and client_id is needed")
        if grant == "password":
            known = self._is_user(form.get("username", ""), form.get("password", ""))
        else:
            known = self._is_refresh(form.get("refresh_token", ""))
        if not known:
            raise _unauthorized('Basic realm="sandbox tokens"', "incorrect credentials")
        offline = form.get("access_type") == "offline"
        return self._issue(exchange, grant, self._options.username, (form.get("scope", ""),), offline=offline)

    def _issue(self, exchange: Exchange, kind: str, account: str, asked: tuple[str, ...], *, offline: bool) -> Response:
        scopes = tuple(scope for text in asked for scope in text.split())
        for scope in scopes:
            if scope.count(":") < 2:
                raise refuse(400, "UNSUPPORTED", "a scope is type:name:actions", scope)
        heard = scopes[:1] if self._options.one_scope else scopes
        granted = tuple(filter(None, (self._grant(scope, account) for scope in heard)))
        self._traffic.add_token(TokenRequest(kind, account, scopes, granted))
        now, life = self._clock.now(), self._options.token_life_s
        claims = {"iss": _ISSUER, "aud": SERVICE, "sub": account, "iat": int(now), "nbf": int(now)}
        token = sign(
            {**claims, "exp": now + life, "jti": secrets.token_hex(8), "access": access_claim(granted)}, self._key
        )
        answer: dict[str, object] = {
            "token": token,
            "access_token": token,
            "expires_in": life,
            "issued_at": datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
        }
        if offline and account:
            answer["refresh_token"] = sign({**claims, "aud": _REFRESH, "exp": now + _REFRESH_LIFE_S}, self._key)
        return json_response(200, answer, ("Cache-Control", "no-store"))

    def _grant(self, scope: str, account: str) -> str:
        resource, actions = split_scope(scope)
        if account:
            return scope
        return f"{resource}:pull" if actions & {"pull", "*"} and resource.startswith("repository:") else ""

    def _login(self, encoded: str) -> str:
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            return ""
        username, _, password = text.partition(":")
        known = self._is_refresh(password) if username == _TOKEN_USER else self._is_user(username, password)
        return self._options.username if known else ""

    def _is_user(self, username: str, password: str) -> bool:
        right = self._options.password.reveal().encode()
        # Both comparisons are made always: the time must not tell which of them failed.
        same = hmac.compare_digest(username.encode(), self._options.username.encode())
        return hmac.compare_digest(password.encode(), right) and same

    def _is_refresh(self, token: str) -> bool:
        try:
            claims = verify(token, self._key, audience=_REFRESH, now=self._clock.now())
        except InvalidTokenError:
            return False
        return claims.get("sub") == self._options.username

    def _challenge(self, exchange: Exchange, scopes: tuple[str, ...], error: str) -> Refusal:
        parts = [f'realm="{exchange.origin}/token"', f'service="{SERVICE}"']
        if scopes:
            parts.append(f'scope="{" ".join(scopes)}"')
        if error:
            parts.append(f'error="{error}"')
        return _unauthorized(f"Bearer {','.join(parts)}", error or "authentication required", list(scopes))


def _unauthorized(challenge: str, message: str, detail: object = None) -> Refusal:
    return Refusal(401, Complaint("UNAUTHORIZED", message, detail), headers=(("WWW-Authenticate", challenge),))
