"""One client connection: HTTP/1.1 syntax, keep-alive, faults acted out, answers sent. What an answer says is `routes`'.

Built on `http.server`. Answering before a body has been read ends the connection gently: the client is told that
nothing more comes and what it still sends is read for a moment, since closing at once makes the kernel send a
reset that can overtake the answer.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedReader, BytesIO
from socketserver import BaseServer
from threading import Event
from typing import Any, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from oci_push.sandbox import faults
from oci_push.sandbox.body import BodyBrokenError, RequestBody
from oci_push.sandbox.exchange import Exchange, Response, json_response, refuse
from oci_push.sandbox.traffic import Traffic

_SMALL_REST = 256 * 1024
_LINGER_S = 0.5
_LINGER_BYTES = 16 << 20
_MAX_LINE = 65536
_DIGITS = re.compile(r"[0-9]{1,18}")
_LAST_DIGEST = re.compile(r"sha(?:256|512)(?::|%3A)[0-9a-f]+(?!.*sha(?:256|512)(?::|%3A))")


class Answering(Protocol):
    """Answer requests: the sandbox's `Router`, or what passes them on to another registry."""

    def answer(self, exchange: Exchange) -> Response:
        """Return the answer to one request; what a body's reading raises is passed on."""
        ...


class Service(Struct, frozen=True):
    """What every connection of one sandbox shares; `broken` is told of an error in a handler."""

    router: Answering
    traffic: Traffic
    script: faults.FaultScript
    stopping: Event
    broken: Callable[[Exception], None]
    secure: bool


class _Hangup(Exception):
    """Leave the connection; with `reset` the client gets RST."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset


class Connection(BaseHTTPRequestHandler):
    """Serve one connection until either side ends it; making one serves it. `number` counts the connections."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def __init__(self, connection: socket.socket, server: BaseServer, service: Service, number: int) -> None:
        # The base class serves inside its constructor, so these come first.
        self.service = service
        self.number = number
        super().__init__(connection, connection.getpeername(), server)

    def handle_one_request(self) -> None:
        """Read one request, let the script interfere, answer."""
        try:
            self._one_request()
            self.wfile.flush()
        except _Hangup as hangup:
            self._hang_up(hangup)
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
        self._send(refuse(code, "UNSUPPORTED", message or HTTPStatus(code).phrase).response)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `traffic` is the log."""

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
        number = self.service.traffic.begin(self.command, self.path, headers, self.number)
        body = self._body(headers)
        if body is None:
            self.service.traffic.update(number, status=400, done=True)
            self.send_error(400, "the request's body has no valid length")
            return
        action = self.service.script.take(number, self.command, self.path)
        fault = type(action).__name__ if action is not None else ""
        status, length = 0, 0
        try:
            response = self._meet(action, number, headers, body)
            status, length = response.status, response.length
            self._settle(response, body)
            self.service.traffic.update(
                number, status=status, received_bytes=body.received, reply_bytes=length, fault=fault, done=True
            )
            self._deliver(action, response, body)
        except (_Hangup, BodyBrokenError):
            self.service.traffic.update(
                number, status=status, received_bytes=body.received, reply_bytes=length, fault=fault, done=True
            )
            raise

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
        return RequestBody(stream, length, self._continue if expects else _nothing)

    def _continue(self) -> None:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()

    def _meet(self, action: faults.Action | None, number: int, headers: dict[str, str], body: RequestBody) -> Response:
        match action:
            case faults.Answer():
                if not action.before_body:
                    body.discard()
                return _scripted(action)
            case faults.Redirect():
                body.discard()
                return Response(action.status, (("Location", action.location.replace("{path}", self.path)),))
            case faults.Garbage():
                body.discard()
                self.wfile.write(action.body)
                self.wfile.flush()
                raise _Hangup
            case faults.DropBefore():
                raise _Hangup(reset=action.reset)
            case faults.DropAfter():
                return self._cut(action, number, headers, body)
            case faults.Stall(after=0):
                if self._wait(action.seconds):
                    raise _Hangup
            case faults.Stall():
                body.slow_down(action.after, lambda: self._stall_inside(action, body))
            case faults.Slow():
                body.slow_down(action.block_bytes, lambda: self.service.stopping.wait(action.pause_s))
            case faults.FlipByte():
                body.flip = (action.at, action.mask)
            case faults.OtherDigest():
                self.path = _LAST_DIGEST.sub(_other_digit, self.path)
            case faults.Repeat():
                return self._repeat(number, headers, body)
            case faults.HalfClose(when="before"):
                self.connection.shutdown(socket.SHUT_WR)
            case faults.HalfClose(when="inside"):
                return self._stop_reading(action, number, headers, body)
        response = self._answer(number, headers, body)
        if isinstance(action, faults.AnswerAfter):
            return _scripted(faults.Answer(action.status, code=action.code))
        if isinstance(action, faults.DropReply):
            raise _Hangup(reset=action.reset)
        if isinstance(action, faults.HalfClose) and action.when == "before":
            body.discard()
            raise _Hangup
        if isinstance(action, faults.Headers):
            gone = {name.lower() for name in (*action.remove, *action.set)}
            kept = tuple(pair for pair in response.headers if pair[0].lower() not in gone)
            return Response(response.status, kept + tuple(action.set.items()), response.body, response.file)
        return response

    def _cut(self, action: faults.DropAfter, number: int, headers: dict[str, str], body: RequestBody) -> Response:
        self._answer_part(action.count, number, headers, body)
        raise _Hangup(reset=action.reset)

    def _stop_reading(
        self, action: faults.HalfClose, number: int, headers: dict[str, str], body: RequestBody
    ) -> Response:
        self._answer_part(action.count, number, headers, body)
        self.connection.shutdown(socket.SHUT_RD)
        return refuse(499, "UNKNOWN", "client disconnected").response

    def _answer_part(self, count: int, number: int, headers: dict[str, str], body: RequestBody) -> None:
        body.cut_at = count
        body.finished = False
        try:
            self._answer(number, headers, body)
            body.discard()  # a handler that refused has read nothing: the bytes flow all the same
        except BodyBrokenError:
            pass

    def _repeat(self, number: int, headers: dict[str, str], body: RequestBody) -> Response:
        data = b"".join(bytes(block) for block in body.blocks())
        first, second = (RequestBody(BufferedReader(BytesIO(data)), len(data), _nothing) for _ in range(2))
        self._answer(number, headers, first)
        return self._answer(number, headers, second)

    def _stall_inside(self, action: faults.Stall, body: RequestBody) -> None:
        if body.received >= action.after and self._wait(action.seconds):
            raise BodyBrokenError("the client went away")

    def _wait(self, seconds: float) -> bool:
        """Wait, at most until the client or the sandbox has ended the connection; say whether that is so."""
        poller = select.poll()
        poller.register(self.connection, getattr(select, "POLLRDHUP", 0))  # POLLHUP is always reported
        return bool(poller.poll(seconds * 1000))

    def _answer(self, number: int, headers: dict[str, str], body: RequestBody) -> Response:
        parts = urlsplit(self.path)
        host, port = self.connection.getsockname()[:2]
        exchange = Exchange(
            number,
            self.command,
            unquote(parts.path),
            {name: tuple(values) for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
            headers,
            body,
            f"{'https' if self.service.secure else 'http'}://{headers.get('host') or f'{host}:{port}'}",
        )
        try:
            return self.service.router.answer(exchange)
        except BodyBrokenError:
            raise
        except Exception as error:  # noqa: BLE001  # thread boundary: the sandbox keeps the error for its owner
            self.service.broken(error)
            return refuse(500, "UNKNOWN", "the sandbox has a defect").response

    def _settle(self, response: Response, body: RequestBody) -> None:
        """Decide what becomes of a body that the answer did not wait for."""
        is_small = (body.remaining or _SMALL_REST + 1) <= _SMALL_REST and body.cut_at is None
        if not body.finished and is_small and not self._expects():
            body.discard()
        if not body.finished:
            self.close_connection = True

    def _expects(self) -> bool:
        return bool(self.headers.get("expect"))

    def _deliver(self, action: faults.Action | None, response: Response, body: RequestBody) -> None:
        if isinstance(action, faults.TruncateReply):
            self._send(response, limit=action.count)
            raise _Hangup
        if isinstance(action, faults.StallReply):
            self._send_and_stall(response, action)
        if isinstance(action, faults.Twice):
            self._send_twice(response)
            return
        if isinstance(action, faults.HalfClose) and action.when == "after":
            self._send(response)
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(_MAX_LINE):
                continue
            raise _Hangup
        if isinstance(action, faults.Http10Close):
            self.close_connection = True
            self.protocol_version = "HTTP/1.0"
            self._send(response, sized=False)
            return
        self._send(response)
        if not body.finished:
            self._linger()

    def _send(self, response: Response, *, limit: int | None = None, sized: bool = True) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        # RFC 9110 §8.6: a 204 has no Content-Length.
        if sized and response.status != 204 and not any(n.lower() == "content-length" for n, _ in response.headers):
            self.send_header("Content-Length", str(response.length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD" or response.status == 204:
            self.wfile.flush()
            return
        count = response.length if limit is None else min(limit, response.length)
        if response.file is None:
            self.wfile.write(response.body[:count])
            self.wfile.flush()
            return
        self.wfile.flush()
        if count:
            with response.file.path.open("rb") as file:
                self.connection.sendfile(file, response.file.start, count)

    def _send_and_stall(self, response: Response, action: faults.StallReply) -> None:
        if action.count < 0:
            self.wfile.write(f"HTTP/1.1 {response.status} ".encode())
            self.wfile.flush()
        else:
            # The head promises one byte more than is sent, lest an answer without a body be whole.
            length = max(response.length, action.count + 1)
            self._send(response.with_headers(("Content-Length", str(length))), limit=action.count)
        self._wait(action.seconds)
        raise _Hangup

    def _send_twice(self, response: Response) -> None:
        if response.file is not None:
            whole = response.file.path.read_bytes()[response.file.start :][: response.file.length]
            response = Response(response.status, response.headers, whole)
        connection, self.wfile = self.wfile, BytesIO()
        self._send(response)
        connection.write(self.wfile.getvalue() * 2)
        connection.flush()
        self.wfile = connection

    def _linger(self) -> None:
        self.wfile.flush()
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_S)
            left = _LINGER_BYTES
            while left > 0 and (data := self.connection.recv(1 << 20)):
                left -= len(data)
        except (OSError, ValueError):
            return

    def _hang_up(self, hangup: _Hangup) -> None:
        self.close_connection = True
        try:
            self.wfile.flush()
            if hangup.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif isinstance(self.connection, ssl.SSLSocket):
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self.connection.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            return


def _scripted(action: faults.Answer) -> Response:
    headers = tuple(action.headers.items())
    if action.code:
        value = {"errors": [{"code": action.code, "message": "scripted fault", "detail": None}]}
        return json_response(action.status, value, *headers)
    return Response(action.status, headers, action.body)


def _other_digit(digest: re.Match[str]) -> str:
    return digest[0][:-1] + ("1" if digest[0][-1] == "0" else "0")


def _nothing() -> None:
    """Do nothing before a body that comes unasked."""
