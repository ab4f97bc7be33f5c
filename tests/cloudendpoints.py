"""Token endpoints on this machine that check what they are sent, as the clouds' own are documented to."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from serving import end, serving


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold one request: `fields` are those of its query or form, one value each."""

    method: str
    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """Hold one answer; a body of text or bytes is sent as it is, anything else as JSON."""

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Asked], Answered]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of those who hang up, as who is answered too much does."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed has it narrower


class Endpoint:
    """Serve `answers` by path on loopback; used as a context manager."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}"
        self._thread = serving(self._server, 0.01)

    def __enter__(self) -> Endpoint:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        end(self._server, self._thread)

    def paths(self) -> list[str]:
        """Give what was asked for, in order."""
        return [asked.path for asked in self.asked]


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_form = "urlencoded" in self.headers.get("Content-Type", "")
            fields = parse_qs(body.decode() if is_form else parts.query)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, headers, {k: v[0] for k, v in fields.items()}, body)
            endpoint.asked.append(asked)
            answer = endpoint.answers.get(parts.path, lambda _: Answered(404, {"error": "not_found"}))(asked)
            text = answer.body if isinstance(answer.body, bytes | str) else json.dumps(answer.body)
            raw = text.encode() if isinstance(text, str) else text
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_HEAD = _serve

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def segment(value: object) -> str:
    """Give one part of a JSON Web Token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unpacked(part: str) -> dict[str, object]:
    """Read one part of a JSON Web Token."""
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


class GoogleTokens:
    """Answer as ``oauth2.googleapis.com/token`` does for one service account, whose key it made."""

    def __init__(self) -> None:
        self.key: RSAPrivateKey = generate_private_key(65537, 2048)
        self.key_id = "0123456789abcdef"
        self.account = "pusher@project.iam.gserviceaccount.com"
        self.access_token = "ya29.access-token"
        self.now: Callable[[], float] = time.time

    def keyfile(self, url: str) -> dict[str, str]:
        """Give the account's key file, with `url` as its token endpoint."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": self.key_id,
            "private_key": pem,
            "client_email": self.account,
            "token_uri": url,
        }

    def answer(self, asked: Asked) -> Answered:
        """Verify an assertion and hand out the token."""
        if asked.fields.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return _refusal("unsupported_grant_type", "Invalid grant_type")
        signed, _, signature = asked.fields["assertion"].rpartition(".")
        head, claims = (unpacked(part) for part in signed.split("."))
        try:
            raw = base64.urlsafe_b64decode(signature + "==")
            self.key.public_key().verify(raw, signed.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return _refusal("invalid_grant", "Invalid JWT Signature.")
        if head != {"alg": "RS256", "typ": "JWT", "kid": self.key_id}:
            return _refusal("invalid_grant", "Invalid JWT header.")
        host = asked.headers["host"]
        wanted = {
            "iss": self.account,
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "aud": f"http://{host}{asked.path}",
        }
        issued, expires = claims.pop("iat"), claims.pop("exp")
        if claims != wanted:
            return _refusal("invalid_grant", "Invalid JWT claims.")
        now = self.now()
        if not (isinstance(issued, int) and isinstance(expires, int) and issued <= now < expires <= issued + 3600):
            return _refusal("invalid_grant", "Token must be a short-lived token and in a reasonable timeframe")
        return Answered(200, {"access_token": self.access_token, "expires_in": 3599, "token_type": "Bearer"})


class AzureRegistry:
    """Answer as one Azure registry does: exchange, OAuth2 tokens and the API's root."""

    def __init__(self, host: str, entra_token: str) -> None:
        self.host = host
        self.entra_token = entra_token
        self.refresh_token = f"{segment({'alg': 'RS256'})}.{segment({'iat': 1000, 'exp': 1000 + 10800})}.sig"
        self.access_token = "acr-access-token"

    def answers(self) -> dict[str, Answer]:
        """Give its paths."""
        return {"/oauth2/exchange": self.exchange, "/oauth2/token": self.token, "/v2/": self.root}

    def exchange(self, asked: Asked) -> Answered:
        """Take Entra's access token."""
        fields = asked.fields
        if asked.method != "POST" or fields.get("grant_type") != "access_token" or fields.get("service") != self.host:
            return Answered(400, {"errors": [{"code": "BAD_REQUEST", "message": "invalid request"}]})
        if fields.get("access_token") != self.entra_token:
            return Answered(401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication failed"}]})
        return Answered(200, {"refresh_token": self.refresh_token})

    def token(self, asked: Asked) -> Answered:
        """Take the refresh token."""
        fields = asked.fields
        if asked.method != "POST" or fields.get("grant_type") != "refresh_token" or fields.get("service") != self.host:
            return Answered(400, {"errors": [{"code": "BAD_REQUEST", "message": "invalid request"}]})
        if fields.get("refresh_token") != self.refresh_token:
            return Answered(401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication failed"}]})
        return Answered(200, {"access_token": self.access_token})

    def root(self, asked: Asked) -> Answered:
        """Want the access token."""
        if asked.headers.get("authorization") == f"Bearer {self.access_token}":
            return Answered(200, {})
        challenge = f'Bearer realm="http://{self.host}/oauth2/token",service="{self.host}"'
        return Answered(401, {"errors": [{"code": "UNAUTHORIZED"}]}, {"WWW-Authenticate": challenge})


def _refusal(error: str, description: str) -> Answered:
    return Answered(400, {"error": error, "error_description": description})
