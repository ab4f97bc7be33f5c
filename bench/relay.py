"""A relay that makes a registry distant without root: it holds every byte for half a round trip in each direction.

`python -m bench.relay HOST REGISTRY_PORT RTT_MS LINE_RTT_MS` prints its own port, runs until SIGTERM, and then prints
as JSON how many connections and round trips it saw. SIGUSR2 makes it hold nothing, for preparations; SIGUSR1 ends that,
and what it saw so far is forgotten.

Round trips are counted by what could have been waited for: a request is one later than the latest of all answers that
have arrived, on whatever connection, when it sets out. Opening a connection is one as well. Where there is a line of
LINE_RTT_MS before the relay, which then holds nothing itself, an answer has arrived that much later.

It limits no rate. A new connection's first bytes wait one round trip more, counted from its start, as behind a real
handshake; what it cannot show is TCP at a distance: slow start and the buffers of the sockets.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable

_PIECE = 256 * 1024
_PIECES_IN_FLIGHT = 1024


class Relay:
    """All connections of one relay."""

    def __init__(self, host: str, registry_port: int, rtt_s: float, line_rtt_s: float) -> None:
        self._host = host
        self._registry_port = registry_port
        self._line_rtt_s = line_rtt_s
        self._usual_rtt_s = self._rtt_s = rtt_s
        self._connections = 0
        self._latest = 0
        """The round trip of the latest answer that has arrived at the client."""
        self._last = 0
        """The same of those that are still on their way to it."""
        self._era = 0
        self._running: set[asyncio.Task[None]] = set()

    def summary(self) -> dict[str, int]:
        """Return what was seen since the last `begin`."""
        return {"connections": self._connections, "round_trips": self._last}

    def hurry(self) -> None:
        """Hold nothing from now on."""
        self._rtt_s = 0.0

    def begin(self) -> None:
        """Hold as told at first, and count anew."""
        self._rtt_s = self._usual_rtt_s
        self._connections = self._latest = self._last = 0
        self._era += 1

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection; its task is kept, as the loop itself keeps none."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready_at = asyncio.get_running_loop().time() + self._rtt_s
        self._connections += 1
        opening = current = self._latest + 1
        is_asking = False

        def asks() -> None:
            nonlocal current, is_asking
            if not is_asking:  # else it is more of the same request
                current, is_asking = max(opening, self._latest) + 1, True

        def answers() -> None:
            nonlocal is_asking
            is_asking = False
            self._last = max(self._last, current)
            asyncio.get_running_loop().call_later(self._line_rtt_s, self._arrive, current, self._era)

        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._registry_port)
        except OSError:
            writer.close()  # the registry has just been stopped
            return
        try:
            await asyncio.gather(
                self._carry(reader, far_writer, ready_at, sets_out=asks),
                self._carry(far_reader, writer, 0.0, arrives=answers),
            )
        except OSError:
            pass  # one side is gone, which is what the other is told by the close below
        finally:
            far_writer.close()
            writer.close()

    def _arrive(self, trip: int, era: int) -> None:
        if era == self._era:  # else it was an answer to a preparation
            self._latest = max(self._latest, trip)

    async def _carry(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        ready_at: float,
        *,
        sets_out: Callable[[], None] = lambda: None,
        arrives: Callable[[], None] = lambda: None,
    ) -> None:
        """Carry one direction to its end; nothing sets out before `ready_at`."""
        now = asyncio.get_running_loop().time
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES_IN_FLIGHT)

        async def collect() -> None:
            data = b"-"
            while data:
                try:
                    data = await source.read(_PIECE)
                except OSError:
                    data = b""
                if data:
                    sets_out()
                await under_way.put((max(now(), ready_at) + self._rtt_s / 2, data))

        collecting = asyncio.ensure_future(collect())
        try:
            while True:
                due_at, data = await under_way.get()
                if (wait_s := due_at - now()) > 0:
                    await asyncio.sleep(wait_s)
                if not data:
                    sink.write_eof()
                    return
                arrives()
                sink.write(data)
                await sink.drain()
        finally:
            collecting.cancel()


async def serve(host: str, registry_port: int, rtt_s: float, line_rtt_s: float) -> None:
    """Relay until SIGTERM."""
    relay = Relay(host, registry_port, rtt_s, line_rtt_s)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, relay.begin)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, relay.hurry)
    server = await asyncio.start_server(relay.accept, host, 0, limit=4 * _PIECE, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()
    print(json.dumps(relay.summary()), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000, float(sys.argv[4]) / 1000))
