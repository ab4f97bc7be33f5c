"""A registry, token server, proxy and cloud in one, that repeats all it was ever sent, wherever text can stand."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

from serving import end, serving

BEARER = "mark3d-bearer/of+the_token~server="
REFRESH = "mark3d-refresh!of the".replace(" ", "*")
SIGNED = "mark3d-signed/upload+state"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Parrot:
    """Serve on loopback; used as a context manager. `place` is where an answer repeats what was heard."""

    def __init__(self, place: str, scheme: str = "bearer") -> None:
        self.place = place
        self.scheme = scheme
        self._heard: dict[str, None] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = serving(self._server, 0.02)

    def __enter__(self) -> Parrot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        end(self._server, self._thread)

    @property
    def heard(self) -> str:
        """Give everything secret or not that it was sent, on one line, the last first."""
        return " ".join(reversed(self._heard)) or "nothing"

    def hear(self, headers: Mapping[str, str], query: str, body: bytes) -> None:
        """Take in a request: its logins, packed and unpacked, its fields and its body."""
        for name in ("authorization", "proxy-authorization", "x-amz-security-token"):
            value = headers.get(name, "")
            self._heard[value] = None
            with contextlib.suppress(ValueError):
                self._heard[base64.b64decode(value.partition(" ")[2], validate=True).decode()] = None
        text = body.decode("utf-8", "replace") if len(body) < 5000 else ""
        for _, value in [*parse_qsl(query), *parse_qsl(text)]:
            self._heard[value] = None
        self._heard[" ".join(text.split())] = None
        self._heard.pop("", None)

    def answer(self, method: str, path: str, authorization: str) -> _Answer:
        """Decide an answer."""
        said = self.heard
        line = said.encode("ascii", "replace").decode()[:3000]
        if path.endswith("/token"):
            if self.place == "token":
                return _Answer(401, {"error": said, "error_description": said, "details": said})
            return _Answer(200, {"token": BEARER, "refresh_token": REFRESH, "expires_in": 300})
        if not authorization:
            realm = f'realm="http://{self.address}/token",service="x",scope="repository:{quote(line)}:pull"'
            way = f"Bearer {realm}" if self.scheme == "bearer" else 'Basic realm="x"'
            return _Answer(401, {}, {"WWW-Authenticate": way})
        return getattr(self, f"_{self.place}")(method, path, said, line)  # type: ignore[no-any-return]

    def _token(self, method: str, path: str, said: str, line: str) -> _Answer:
        return _Answer(500, said)

    def _errors(self, method: str, path: str, said: str, line: str) -> _Answer:
        entry = {"code": said, "message": said, "detail": said}
        return _Answer(403, {"errors": [entry], "__type": "X", "message": said, "Message": said})

    def _text(self, method: str, path: str, said: str, line: str) -> _Answer:
        return _Answer(400, said)

    def _warning(self, method: str, path: str, said: str, line: str) -> _Answer:
        return _Answer(403, "", {"Warning": '299 - "' + line.replace("\\", "").replace('"', "'") + '"'})

    def _scope(self, method: str, path: str, said: str, line: str) -> _Answer:
        context = line.replace('"', "").replace("\\", "")
        way = f'Bearer realm="http://{self.address}/token",scope="{context}",error="{context}",error_description="{context}"'
        return _Answer(403, "", {"WWW-Authenticate": way})

    def _location(self, method: str, path: str, said: str, line: str) -> _Answer:
        return _Answer(202 if method == "POST" else 404, "", {"Location": f"http://[{line}?x={line}"})

    def _redirect(self, method: str, path: str, said: str, line: str) -> _Answer:
        return _Answer(307, "", {"Location": f"http://{quote(line[:200], safe='')}.example:x/{line}?sig={line}"})

    def _path(self, method: str, path: str, said: str, line: str) -> _Answer:
        if path.startswith("/said/"):
            return _Answer(404, "")
        return _Answer(307, "", {"Location": f"/said/{quote(line)}?{quote(line)}"})

    def _limits(self, method: str, path: str, said: str, line: str) -> _Answer:
        told = {"RateLimit-Limit": "1;w=60", "Docker-RateLimit-Source": line, "Retry-After": "0"}
        return _Answer(429, {"errors": [{"code": "TOOMANYREQUESTS", "message": said}]}, told)

    def _signed(self, method: str, path: str, said: str, line: str) -> _Answer:
        if method == "POST":
            return _Answer(202, "", {"Location": f"{path}1?_state={quote(SIGNED)}&other={quote(SIGNED)}2"})
        return _Answer(404, "") if method == "HEAD" else _Answer(400, said)

    def _digest(self, method: str, path: str, said: str, line: str) -> _Answer:
        return _Answer(200, said, {"Docker-Content-Digest": line, "Content-Type": line, "Etag": line})


PLACES = ("token", "errors", "text", "warning", "scope", "location", "redirect", "path", "limits", "signed", "digest")


def _handler(parrot: Parrot) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            parrot.hear(headers, parts.query, body)
            answer = parrot.answer(self.command, parts.path, headers.get("authorization", ""))
            raw = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):  # who has read enough hangs up
                    self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_HEAD = do_PATCH = do_DELETE = _serve

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
