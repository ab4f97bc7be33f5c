"""A token server as registries with Bearer authentication send clients to: GET and POST, ES256 tokens with `x5c`.

It follows distribution's token specification. What it was asked is in `requests`; what it answers can be changed
between requests: the lifetime of tokens, what clients are told of it, and actions that are withheld.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from certificates import Certificate
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from serving import end, serving

ISSUER = "oci-push-test-issuer"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Record one request: `account` is who proved to be whom (empty when nobody), `scopes` are sorted."""

    method: str
    grant: str
    account: str
    service: str
    scopes: tuple[str, ...]
    status: int


@dataclass(frozen=True, slots=True)
class _Asked:
    grant: str
    user: str
    service: str
    scopes: tuple[str, ...]
    wants_refresh: bool


class TokenServer:
    """Serve tokens at `url` from construction until `close`; used as a context manager it closes itself.

    A known user gets what is asked for, less what is `withheld` (pairs of repository and action). Without
    credentials the answer is 401, or with `anonymous_pull` a token that can only pull.
    """

    def __init__(
        self,
        signer: Certificate,
        users: Mapping[str, str],
        *,
        service: str = "oci-push-test-registry",
        anonymous_pull: bool = False,
        tls: Certificate | None = None,
    ) -> None:
        self.service = service
        self.anonymous_pull = anonymous_pull
        self.lifetime_s = 300
        """How long a token holds. Registries allow 60 s more, so -120 makes tokens that have expired."""
        self.advertised_s: int | None = None
        """What clients are told of it as `expires_in`; None tells the truth."""
        self.withheld: set[tuple[str, str]] = set()
        self._signer = signer
        self._users = dict(users)
        self._refresh: dict[str, str] = {}
        self._requests: list[TokenRequest] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if tls is not None:
            # The handshake belongs to the connection's own thread: one silent client must not stop the others.
            self._server.socket = tls.server_context().wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'' if tls is None else 's'}://127.0.0.1:{self._server.server_port}/token"
        self._thread = serving(self._server, 0.05)
        self._thread.start()

    def __enter__(self) -> TokenServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and free the port."""
        end(self._server, self._thread)

    @property
    def requests(self) -> tuple[TokenRequest, ...]:
        """Give what was asked so far, in the order of the answers."""
        with self._lock:
            return tuple(self._requests)

    def forget(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._requests.clear()

    def answer(self, method: str, asked: _Asked | None) -> tuple[int, dict[str, object]]:
        """Decide on one request; `None` is one whose credentials are wrong."""
        if asked is None or not (asked.user or self.anonymous_pull):
            status, body = 401, _refusal("authentication required")
        elif asked.service != self.service:
            status, body = 400, _refusal(f"service {asked.service!r} is not known here")
        else:
            status, body = 200, self._grant(asked)
        with self._lock:
            self._requests.append(
                TokenRequest(
                    method,
                    asked.grant if asked else "",
                    asked.user if asked else "",
                    asked.service if asked else "",
                    asked.scopes if asked else (),
                    status,
                )
            )
        return status, body

    def knows(self, user: str, password: str) -> bool:
        """Tell whether the password is that user's."""
        expected = self._users.get(user)
        return expected is not None and hmac.compare_digest(expected.encode(), password.encode())

    def user_of(self, refresh_token: str) -> str | None:
        """Find whose refresh token this is."""
        return self._refresh.get(refresh_token)

    def _grant(self, asked: _Asked) -> dict[str, object]:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": asked.user,
            "aud": self.service,
            "iat": now,
            "nbf": now - 600,
            "exp": now + self.lifetime_s,
            "jti": secrets.token_hex(8),
            "access": [grant for scope in asked.scopes if (grant := self._access(scope, asked.user))],
        }
        token = _sign(self._signer, claims)
        told = self.lifetime_s if self.advertised_s is None else self.advertised_s
        issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        body: dict[str, object] = {"token": token, "access_token": token, "expires_in": told, "issued_at": issued}
        if asked.wants_refresh:
            refresh = secrets.token_urlsafe(16)
            self._refresh[refresh] = asked.user
            body["refresh_token"] = refresh
        return body

    def _access(self, scope: str, user: str) -> dict[str, object] | None:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        granted = [
            action
            for action in actions.split(",")
            if (name, action) not in self.withheld and (user or action == "pull")
        ]
        return {"type": kind, "name": name, "actions": granted} if granted else None


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            fields = parse_qs(urlsplit(self.path).query)
            user = self._basic_user()
            wants_refresh = fields.get("offline_token") == ["true"]
            self._reply("GET", None if user is None else _asked("basic", user, fields, wants_refresh))

        def do_POST(self) -> None:
            fields = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())
            grant = fields.get("grant_type", [""])[0]
            user = None
            if grant == "password":
                name = fields.get("username", [""])[0]
                user = name if server.knows(name, fields.get("password", [""])[0]) else None
            elif grant == "refresh_token":
                user = server.user_of(fields.get("refresh_token", [""])[0])
            wants_refresh = fields.get("access_type") == ["offline"]
            self._reply("POST", None if user is None else _asked(grant, user, fields, wants_refresh))

        def _basic_user(self) -> str | None:
            """Give the user, an empty text without credentials, or None for wrong ones."""
            kind, _, value = self.headers.get("Authorization", "").partition(" ")
            if not kind:
                return ""
            try:
                user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
            except ValueError:
                return None
            return user if kind.lower() == "basic" and server.knows(user, password) else None

        def _reply(self, method: str, asked: _Asked | None) -> None:
            status, body = server.answer(method, asked)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: `TokenServer.requests` is the log."""

    return Handler


def _asked(grant: str, user: str, fields: Mapping[str, list[str]], wants_refresh: bool) -> _Asked:
    scopes = tuple(sorted(scope for value in fields.get("scope", []) for scope in value.split()))
    return _Asked(grant, user, fields.get("service", [""])[0], scopes, wants_refresh)


def _refusal(message: str) -> dict[str, object]:
    return {"errors": [{"code": "UNAUTHORIZED", "message": message}]}


def _sign(signer: Certificate, claims: Mapping[str, object]) -> str:
    chain = [base64.b64encode(signer.leaf.public_bytes(serialization.Encoding.DER)).decode()]
    head = _segment({"typ": "JWT", "alg": "ES256", "x5c": chain})
    signed = f"{head}.{_segment(claims)}"
    r, s = decode_dss_signature(signer.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _segment(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
