"""An internet in one process: names and addresses that lead to servers on loopback, or nowhere."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

from oci_push.transport.redirects import literal
from oci_push.transport.sockets import Address, Network


class Internet(Network):
    """Resolve by `names` (a list is given one after the other, its last for ever), and connect by `doors`.

    A door leads from an address, whatever the port, to ``127.0.0.1:port``; where there is none nobody answers.
    `resolved` and `connected` are what was asked for.
    """

    def __init__(self, names: Mapping[str, list[str] | str], doors: Mapping[str, str]) -> None:
        super().__init__()
        self._names = {name: iter([found] if isinstance(found, str) else found) for name, found in names.items()}
        self._last: dict[str, str] = {}
        self._doors = doors
        self.resolved: list[str] = []
        self.connected: list[str] = []

    def resolve(self, host: str, port: int) -> tuple[Address, ...]:
        """Give the addresses of a name; those of one answer are written with a blank between."""
        if not literal(host):
            self.resolved.append(host)
        found = literal(host) or self._next(host)
        return tuple(_address(one, port) for one in found.split())

    def connect(self, sock: socket.socket, address: Address) -> None:
        """Connect to what stands at an address."""
        self.connected.append(address[1][0])
        door = self._doors.get(address[1][0])
        if door is None:
            raise ConnectionRefusedError(111, "Connection refused")
        host, _, port = door.rpartition(":")
        sock.connect((host, int(port)))

    def _next(self, host: str) -> str:
        answers: Iterator[str] = self._names.get(host, iter(()))
        found = next(answers, self._last.get(host, ""))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self._last[host] = found
        return found


def _address(text: str, port: int) -> Address:
    return (socket.AF_INET6, (text, port, 0, 0)) if ":" in text else (socket.AF_INET, (text, port))
