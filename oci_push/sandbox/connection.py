"""One client connection: HTTP/1.1 syntax, keep-alive, answers sent. What an answer says is `routes`'.

Built on `http.server`. Answering before a body has been read ends the connection gently: the client is told that
nothing more comes and what it still sends is read for a moment, since closing at once makes the kernel send a
reset that can overtake the answer.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedReader
from socketserver import BaseServer
from threading import Event
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from oci_push.sandbox.body import BodyBrokenError, RequestBody
from oci_push.sandbox.exchange import Exchange, Response, refuse

_SMALL_REST = 256 * 1024
_LINGER_S = 0.5
_LINGER_BYTES = 16 << 20
_MAX_LINE = 65536
_DIGITS = re.compile(r"[0-9]{1,18}")


class Service(Struct, frozen=True):
    """What every connection of one sandbox shares.

    `answer` gives the answer to one request; what a body's reading raises is passed on. `broken` is told of an error
    inside it.
    """

    answer: Callable[[Exchange], Response]
    stopping: Event
    broken: Callable[[Exception], None]
    scheme: str = "http"


class Connection(BaseHTTPRequestHandler):
    """Serve one connection until either side ends it; making one serves it. `number` counts the connections."""

    body_type = RequestBody
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def __init__(self, connection: socket.socket, server: BaseServer, service: Service, number: int) -> None:
        # The base class serves inside its constructor, so these come first.
        self.service = service
        self.number = number
        super().__init__(connection, connection.getpeername(), server)

    def handle_one_request(self) -> None:
        """Read one request and answer it."""
        try:
            self._one_request()
            self.wfile.flush()
        except (BodyBrokenError, OSError, ValueError):  # ValueError: a file object of a socket stop() has closed
            self.close_connection = True

    def finish(self) -> None:
        """Close both file objects; what could not be sent is lost with the connection."""
        try:
            super().finish()
        except (OSError, ValueError):
            self.rfile.close()

    def handle_expect_100(self) -> bool:
        """Put ``100 Continue`` off until somebody wants the body: a refusal comes without it."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not HTTP, in the form of the specification's errors."""
        self.close_connection = True
        # What cannot be parsed counts as HTTP/0.9, whose answers have no head; nobody speaks that.
        self.request_version = self.protocol_version
        self.send(refuse(code, "UNSUPPORTED", message or HTTPStatus(code).phrase).response)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no log."""

    def version_string(self) -> str:
        """Return the Server header."""
        return "oci-push-sandbox"

    def _one_request(self) -> None:
        self.close_connection = True
        self.command = ""
        self.raw_requestline = self.rfile.readline(_MAX_LINE + 1)
        if not self.raw_requestline:
            return
        if len(self.raw_requestline) > _MAX_LINE:
            self.requestline, self.request_version = "", ""
            self.send_error(414)
            return
        if not self.parse_request():
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.serve(headers, self._body(headers))

    def serve(self, headers: dict[str, str], body: RequestBody | None) -> None:
        """Answer a request whose head has been read; no body means that its length is not valid."""
        if body is None:
            self.send_error(400, "the request's body has no valid length")
            return
        response = self.answer(headers, body)
        self.settle(body)
        self.send(response)
        if not body.finished:
            self.linger()

    def _body(self, headers: dict[str, str]) -> RequestBody | None:
        length: int | None = 0
        if "transfer-encoding" in headers:
            # RFC 9112 §6.3: both headers together are how requests are smuggled past a proxy.
            if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
                return None
            length = None
        elif "content-length" in headers:
            if not _DIGITS.fullmatch(headers["content-length"]):
                return None
            length = int(headers["content-length"])
        # BaseHTTPRequestHandler declares a BinaryIO; for rbufsize > 0 it is this.
        stream = cast(BufferedReader, self.rfile)
        expects = headers.get("expect", "").lower() == "100-continue"
        return self.body_type(stream, length, self._continue if expects else _nothing)

    def _continue(self) -> None:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()

    def answer(self, headers: dict[str, str], body: RequestBody) -> Response:
        """Return the answer to a request, or 500 where the sandbox has a defect."""
        parts = urlsplit(self.path)
        host, port = self.connection.getsockname()[:2]
        exchange = Exchange(
            self.command,
            unquote(parts.path),
            {name: tuple(values) for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
            headers,
            body,
            f"{self.service.scheme}://{headers.get('host') or f'{host}:{port}'}",
        )
        try:
            return self.service.answer(exchange)
        except BodyBrokenError:
            raise
        except Exception as error:  # noqa: BLE001  # thread boundary: the sandbox keeps the error for its owner
            self.service.broken(error)
            return refuse(500, "UNKNOWN", "the sandbox has a defect").response

    def settle(self, body: RequestBody) -> None:
        """Decide what becomes of a body that the answer did not wait for."""
        is_small = (body.remaining or _SMALL_REST + 1) <= _SMALL_REST
        if not body.finished and is_small and not self.headers.get("expect"):
            body.discard()
        if not body.finished:
            self.close_connection = True

    def send(self, response: Response) -> None:
        """Send an answer, head and body."""
        self.send_head(response)
        if self.command != "HEAD" and response.status != 204:
            self.send_body(response, response.length)

    def send_head(self, response: Response) -> None:
        """Send status and headers."""
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        # RFC 9110 §8.6: a 204 has no Content-Length.
        if response.status != 204 and not any(n.lower() == "content-length" for n, _ in response.headers):
            self.send_header("Content-Length", str(response.length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def send_body(self, response: Response, count: int) -> None:
        """Send the first `count` bytes of an answer's body."""
        if response.file is None:
            self.wfile.write(response.body[:count])
        self.wfile.flush()
        if response.file is not None and count:
            with response.file.path.open("rb") as file:
                self.connection.sendfile(file, response.file.start, count)

    def linger(self) -> None:
        """End our side of the connection, and read for a moment what the client still sends."""
        self.wfile.flush()
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_S)
            left = _LINGER_BYTES
            while left > 0 and (data := self.connection.recv(1 << 20)):
                left -= len(data)
        except (OSError, ValueError):
            return


def _nothing() -> None:
    """Do nothing before a body that comes unasked."""
