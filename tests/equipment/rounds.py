"""Round trips, counted and not timed: a line to a registry on which answers wait until nobody can do anything else.

`Line` stands between a client and a `Sandbox`, both in this process. What the client sends is passed on at once. What
comes back is held, as is the client's first byte on a new connection, until every thread of this process sleeps: then
all of it is let through together, and that was one round trip. So however slow the machine is, two requests that could
have been under way together count as one, and two of which the second needed the first one's answer count as two.
Connecting counts as one, a TLS 1.3 handshake as another. Bytes that fill a line are not modelled.

The line is a process of its own (this file run as a program): a thread of ours would keep the others from running.
It needs Linux, whose /proc says who sleeps.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

_READ_BYTES = 1 << 20
_IDLE_S, _PACE_S = 0.05, 0.001


class Line:
    """The line to what listens on `address`; `count` says how many round trips there were so far."""

    def __init__(self, address: str) -> None:
        command = [sys.executable, "-I", __file__, address.rpartition(":")[2], str(os.getpid())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = f"127.0.0.1:{self._ask('port')}"

    @property
    def count(self) -> int:
        """Return the number of round trips since the start."""
        return self._ask("count")

    @property
    def connections(self) -> int:
        """Return the number of connections that were made."""
        return self._ask("connections")

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, what: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


class _Link:
    """One connection: `is_open` once its handshake is over, `held` is what waits for the client."""

    def __init__(self, client: socket.socket, port: int) -> None:
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", port))
        for one in (self.client, self.server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_open = False
        self.held = bytearray()
        self.has_ended = False

    def take(self, sock: socket.socket) -> bool:
        """Move what has come from one side; say whether the link lives on."""
        try:
            data = sock.recv(_READ_BYTES)
            if sock is self.server:
                self.held += data
                self.has_ended = not data
                return True
            self.server.sendall(data)
        except OSError:
            return False
        return bool(data)

    def release(self) -> bool:
        """Let a round trip end; say whether the link lives on."""
        self.is_open = True
        try:
            self.client.sendall(self.held)
        except OSError:
            return False
        self.held.clear()
        return not self.has_ended

    def close(self) -> None:
        self.client.close()
        self.server.close()


def _sleeping(process: int, before: dict[str, str]) -> tuple[bool, dict[str, str]]:
    """Say whether every thread of a process sleeps and none has run since the look `before`; return this look, too."""
    looked: dict[str, str] = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            looked[task.name] = f"{state} {(task / 'schedstat').read_text()}"
        except OSError:
            return False, {}  # it has just ended
    return looked == before and all(state.startswith("S") for state in looked.values()), looked


def _serve(port: int, process: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    answers = {"port": listener.getsockname()[1], "count": 0, "connections": 0}
    links: list[_Link] = []
    looked: dict[str, str] = {}
    while True:
        readable = {link.server: link for link in links if not link.has_ended}
        readable |= {link.client: link for link in links if link.is_open}
        is_waiting = any(link.held or link.has_ended or not link.is_open for link in links)
        found, _, _ = select.select([0, listener, *readable], [], [], _PACE_S if is_waiting else _IDLE_S)
        for one in found:
            if one == 0:
                asked = sys.stdin.readline().strip()
                if not asked:
                    return
                print(answers[asked], flush=True)
            elif one is listener:
                links.append(_Link(listener.accept()[0], port))
                answers["connections"] += 1
            elif readable[one] in links and not readable[one].take(one):
                links.remove(readable[one])
                readable[one].close()
        if found or not is_waiting:
            looked = {}
            continue
        is_quiet, looked = _sleeping(process, looked)
        if is_quiet:
            answers["count"] += 1
            for link in [link for link in links if not link.release()]:
                links.remove(link)
                link.close()
            looked = {}


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
