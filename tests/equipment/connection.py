"""Connections of the sandbox that log their traffic and act faults out."""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
from io import BufferedReader, BytesIO

from equipment import faults
from equipment.body import FaultyBody
from equipment.traffic import Traffic
from oci_push.sandbox.body import BodyBrokenError
from oci_push.sandbox.connection import Connection, Service
from oci_push.sandbox.exchange import Response, json_response, refuse
from oci_push.sandbox.server import Listener

_MAX_READ = 65536
_LAST_DIGEST = re.compile(r"sha(?:256|512)(?::|%3A)[0-9a-f]+(?!.*sha(?:256|512)(?::|%3A))")


class FaultyService(Service, frozen=True, kw_only=True):
    """What every connection of one sandbox shares: a log and a script of faults as well."""

    traffic: Traffic
    script: faults.FaultScript


class _Hangup(Exception):
    """Leave the connection; with `reset` the client gets RST."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset


class FaultyConnection(Connection):
    """Serve one connection, and let the script interfere with each request."""

    body_type = FaultyBody
    service: FaultyService
    _sized = True

    def handle_one_request(self) -> None:
        """Read one request, let the script interfere, answer."""
        try:
            super().handle_one_request()
        except _Hangup as hangup:
            self._hang_up(hangup)

    def serve(self, headers: dict[str, str], body: FaultyBody | None) -> None:
        """Answer a request with what the script has for it."""
        traffic = self.service.traffic
        number = traffic.begin(self.command, self.path, headers, self.number)
        if body is None:
            traffic.update(number, status=400, done=True)
            super().serve(headers, body)
            return
        action = self.service.script.take(number, self.command, self.path)
        fault = type(action).__name__ if action is not None else ""
        status, length = 0, 0
        try:
            response = self._meet(action, headers, body)
            status, length = response.status, response.length
            self.settle(body)
            traffic.update(
                number, status=status, received_bytes=body.received, reply_bytes=length, fault=fault, done=True
            )
            self._deliver(action, response, body)
        except (_Hangup, BodyBrokenError):
            traffic.update(
                number, status=status, received_bytes=body.received, reply_bytes=length, fault=fault, done=True
            )
            raise

    def send_header(self, keyword: str, value: str) -> None:
        """Add a header to the answer, but for a length where the end of the connection is the end."""
        if self._sized or keyword.lower() != "content-length":
            super().send_header(keyword, value)

    def _meet(self, action: faults.Action | None, headers: dict[str, str], body: FaultyBody) -> Response:
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
                self._answer_part(action.count, headers, body)
                raise _Hangup(reset=action.reset)
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
                return self._repeat(headers, body)
            case faults.HalfClose(when="before"):
                self.connection.shutdown(socket.SHUT_WR)
            case faults.HalfClose(when="inside"):
                self._answer_part(action.count, headers, body)
                self.connection.shutdown(socket.SHUT_RD)
                return refuse(499, "UNKNOWN", "client disconnected").response
        response = self.answer(headers, body)
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

    def _answer_part(self, count: int, headers: dict[str, str], body: FaultyBody) -> None:
        body.cut_at = count
        body.finished = False
        try:
            self.answer(headers, body)
            body.discard()  # a handler that refused has read nothing: the bytes flow all the same
        except BodyBrokenError:
            pass

    def _repeat(self, headers: dict[str, str], body: FaultyBody) -> Response:
        data = b"".join(bytes(block) for block in body.blocks())
        first, second = (FaultyBody(BufferedReader(BytesIO(data)), len(data), lambda: None) for _ in range(2))
        self.answer(headers, first)
        return self.answer(headers, second)

    def _stall_inside(self, action: faults.Stall, body: FaultyBody) -> None:
        if body.received >= action.after and self._wait(action.seconds):
            raise BodyBrokenError("the client went away")

    def _wait(self, seconds: float) -> bool:
        """Wait, at most until the client or the sandbox has ended the connection; say whether that is so."""
        poller = select.poll()
        poller.register(self.connection, getattr(select, "POLLRDHUP", 0))  # POLLHUP is always reported
        return bool(poller.poll(seconds * 1000))

    def _deliver(self, action: faults.Action | None, response: Response, body: FaultyBody) -> None:
        match action:
            case faults.TruncateReply():
                self._send_part(response, action.count)
                raise _Hangup
            case faults.StallReply():
                self._send_and_stall(response, action)
            case faults.Twice():
                self._send_twice(response)
                return
            case faults.HalfClose(when="after"):
                self.send(response)
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)
                while self.connection.recv(_MAX_READ):
                    continue
                raise _Hangup
            case faults.Http10Close():
                self.close_connection = True
                self.protocol_version = "HTTP/1.0"
                self._sized = False
                self.send(response)
                return
        self.send(response)
        if not body.finished:
            self.linger()

    def _send_part(self, response: Response, count: int) -> None:
        self.send_head(response)
        if self.command != "HEAD" and response.status != 204:
            self.send_body(response, min(count, response.length))
        self.wfile.flush()

    def _send_and_stall(self, response: Response, action: faults.StallReply) -> None:
        if action.count < 0:
            self.wfile.write(f"HTTP/1.1 {response.status} ".encode())
            self.wfile.flush()
        else:
            # The head promises one byte more than is sent, lest an answer without a body be whole.
            length = max(response.length, action.count + 1)
            self._send_part(response.with_headers(("Content-Length", str(length))), action.count)
        self._wait(action.seconds)
        raise _Hangup

    def _send_twice(self, response: Response) -> None:
        if response.file is not None:
            whole = response.file.path.read_bytes()[response.file.start :][: response.file.length]
            response = Response(response.status, response.headers, whole)
        connection, self.wfile = self.wfile, BytesIO()
        self.send(response)
        connection.write(self.wfile.getvalue() * 2)
        connection.flush()
        self.wfile = connection

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


class FaultyListener(Listener):
    """Accept connections that faults may meet, with TLS where there is a context."""

    connection_type = FaultyConnection

    def __init__(self, port: int, service: FaultyService, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        super().__init__(port, service)

    def accepted(self, connection: socket.socket) -> socket.socket:
        """Return the connection with TLS on it; raises ``OSError`` where the handshake fails."""
        return self._context.wrap_socket(connection, server_side=True) if self._context else connection


def _scripted(action: faults.Answer) -> Response:
    headers = tuple(action.headers.items())
    if action.code:
        value = {"errors": [{"code": action.code, "message": "scripted fault", "detail": None}]}
        return json_response(action.status, value, *headers)
    return Response(action.status, headers, action.body)


def _other_digit(digest: re.Match[str]) -> str:
    return digest[0][:-1] + ("1" if digest[0][-1] == "0" else "0")
