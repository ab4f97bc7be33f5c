"""Connections: HTTP/1.1 over one stream, one exchange after the other, with h11 for the rules.

After an exchange a connection serves another only when it is proven clean: both sides are done, and nothing is left
unread, neither in the parser nor in the socket. What is left over would be taken for the answer to the next request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import h11
from msgspec import Struct

from oci_push.errors import OciPushError
from oci_push.runtime.context import Context
from oci_push.transport.network_errors import Kind, Trouble
from oci_push.transport.sockets import Stream

Headers = list[tuple[bytes, bytes]]
_READ_BYTES = 64 * 1024
_PACKET_BYTES = 16 * 1024
"""What is put together before it is sent; copying this much costs less than a system call."""
_HEAD_BYTES = 512 * 1024
_HEAD_S = 60.0
"""What the head of an answer may take once it has begun: interim answers (1xx) may come without end, and one byte a
minute is never silence."""


class Patience(Struct, frozen=True):
    """Say for how many seconds no byte may move while a request is sent, and while its answer is waited for."""

    send_s: float
    read_s: float


class Connection:
    """Send requests and read answers; `before_target` and `headers` are what a forwarding proxy wants."""

    def __init__(self, stream: Stream, before_target: str = "", headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._stream = stream
        self._before_target = before_target
        self._headers = list(headers)
        self._h11 = _parser()
        self._unsent = bytearray()
        self._is_clean = True
        self._past: int | None = None
        self.idle_since = 0.0

    def send(
        self,
        context: Context,
        method: bytes,
        target: str,
        headers: Headers,
        body: Iterable[bytes | memoryview],
        patience: Patience,
    ) -> h11.Response:
        """Send a request and give the head of its answer, whose body is to be read next."""
        self._is_clean = False
        self._past = None
        try:
            head = h11.Request(method=method, target=self._before_target + target, headers=headers + self._headers)
        except h11.LocalProtocolError:
            # Not chained: its text quotes what was to be sent. What comes from outside is checked in `pool`.
            raise OciPushError("a request: it holds what no request can carry") from None
        try:
            self._write(context, head, patience)
            for block in body:
                self._write(context, h11.Data(data=block), patience)  # type: ignore[arg-type]  # only its length is asked
                self._flush(context, patience)
            self._write(context, h11.EndOfMessage(), patience)
            self._flush(context, patience)
        except _Cut as cut:
            # A registry may answer early (413, 401) and close: its answer is there, and says more than a broken pipe.
            try:
                return self._read_head(context, patience)
            except Trouble:
                raise cut.trouble from None
        return self._read_head(context, patience)

    def body(self, context: Context, patience: Patience) -> Iterator[bytes]:
        """Read the body of the answer, block by block."""
        while True:
            event = self._event()
            if event is h11.NEED_DATA:
                self._receive(context, patience)
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    def body_of(self, length: int, context: Context, patience: Patience, most: int) -> Iterator[bytes | memoryview]:
        """Read a body of known length in blocks of `most` bytes, in a buffer that each step overwrites.

        But for what came with the head it does not pass the parser, which would copy it twice. `most` is more than one
        read brings.
        """
        view, filled, left = memoryview(bytearray(min(length, most))), 0, length
        while isinstance(event := self._event(), h11.Data):
            view[filled : filled + len(event.data)] = event.data
            filled, left = filled + len(event.data), left - len(event.data)
        while left:
            self._past = left
            count = self._stream.read_into(context, view[filled : filled + left], patience.read_s)
            if not count:
                raise Trouble(Kind.BROKE, "it was closed inside an answer")
            filled, left = filled + count, left - count
            self._past = left
            if filled == len(view) and left:
                yield view
                filled = 0
        if filled:
            yield view[:filled]

    def end(self) -> bool:
        """End the exchange; say whether the connection may serve another, else it is closed."""
        if self._past is None:
            self._is_clean = self._starts_anew()
        else:
            # The parser waits for the body still. Its state is another one where it has heard of the connection's end.
            self._is_clean = self._past == 0 and self._h11.our_state is h11.DONE
            self._h11 = _parser()
        if not self.is_clean():
            self.close()
            return False
        return True

    def _starts_anew(self) -> bool:
        try:
            while self._h11.their_state is h11.SEND_BODY and self._event() is not h11.NEED_DATA:
                pass  # the rest of a small body has come already
            if self._h11.trailing_data != (b"", False):
                return False
            self._h11.start_next_cycle()  # refuses unless both sides are done and mean to go on
        except (Trouble, h11.LocalProtocolError):
            return False
        return True

    def is_clean(self) -> bool:
        """Say whether nothing came that belongs to no request; asked when it is put away and when it is taken again."""
        return self._is_clean and not self._stream.is_readable()

    def become_tunnel(self) -> Stream:
        """Return the stream to what a proxy has connected us with; raises `Trouble` when the proxy went on talking."""
        if self._h11.trailing_data != (b"", False) or self._stream.is_readable():
            raise Trouble(Kind.PROXY, "it sent something before we did", at_proxy=True)
        return self._stream

    def close(self) -> None:
        """Close the stream."""
        self._is_clean = False
        self._stream.close()

    def _write(self, context: Context, event: h11.Request | h11.Data | h11.EndOfMessage, patience: Patience) -> None:
        """Send an event, or keep it for `_flush` where it is small: head and body of a small request are one packet."""
        try:
            parts = self._h11.send_with_data_passthrough(event) or []
        except h11.LocalProtocolError:
            # Not chained: its text quotes what was to be sent.
            raise OciPushError("a request: its body has not the size that was announced") from None
        for part in parts:
            if len(self._unsent) + len(part) > _PACKET_BYTES:
                self._flush(context, patience)
            if len(part) > _PACKET_BYTES:
                self._send(context, part, patience)
            else:
                self._unsent += part

    def _flush(self, context: Context, patience: Patience) -> None:
        if self._unsent:
            kept, self._unsent = self._unsent, bytearray()
            self._send(context, kept, patience)

    def _send(self, context: Context, data: bytes | bytearray | memoryview, patience: Patience) -> None:
        try:
            self._stream.write(context, data, patience.send_s)
        except Trouble as trouble:
            raise _Cut(trouble) from trouble

    def _read_head(self, context: Context, patience: Patience) -> h11.Response:
        size, end = 0, 0.0
        while True:
            event = self._event()
            if isinstance(event, h11.Response):
                return event
            if event is not h11.NEED_DATA and not isinstance(event, h11.InformationalResponse):
                raise Trouble(Kind.BROKE, "it was closed before an answer came")
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    raise Trouble(Kind.BROKE, "what came is no answer to HTTP", again=False)
                continue
            data = self._receive(context, patience)
            now = context.clock.monotonic()
            end = end or now + _HEAD_S
            size += len(data)
            if size > _HEAD_BYTES or now > end:
                raise Trouble(Kind.BROKE, "the answer's head does not end")

    def _receive(self, context: Context, patience: Patience) -> bytes:
        data = self._stream.read(context, _READ_BYTES, patience.read_s)
        if not data and self._h11.their_state is h11.SEND_RESPONSE:
            raise Trouble(Kind.BROKE, "it was closed before an answer came")
        self._h11.receive_data(data)
        return data

    def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError:
            # Not chained: its text quotes what came.
            is_cut = self._h11.their_state is h11.ERROR and self._h11.trailing_data[1]
            raise Trouble(Kind.BROKE, "it was closed inside an answer" if is_cut else "what came is not HTTP") from None


def _parser() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)


class _Cut(Exception):  # never leaves this file
    """Carry what broke while a request was being sent."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__()
        self.trouble = trouble
