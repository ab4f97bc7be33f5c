"""Traffic: what was asked of a test's registry and what it answered.

No secret gets in: of an Authorization header the scheme is kept, of a token request's form only scope and grant.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace


class Request(Struct, frozen=True):
    """One request; `number` counts from 1, `path` has the query, header names are in lower case.

    `status` is 0 while it is not answered, and stays 0 where it never was. `received_bytes` is how much of the body
    was read, `reply_bytes` how long the answer's body is, `fault` the name of the fault that it met, `connection`
    counts the connections, so that requests on one kept alive have the same.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    received_bytes: int = 0
    reply_bytes: int = 0
    fault: str = ""
    connection: int = 0
    done: bool = False


class TokenRequest(Struct, frozen=True):
    """What was asked of the token server: `grant` is anonymous, basic, password or refresh_token."""

    grant: str
    account: str
    scopes: tuple[str, ...]
    granted: tuple[str, ...]


class Traffic:
    """Log requests in the order in which they came; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._requests: dict[int, Request] = {}
        self._tokens: list[TokenRequest] = []

    @property
    def requests(self) -> tuple[Request, ...]:
        """Return all requests since the start or the last `clear`, those not yet answered included."""
        with self._changed:
            return tuple(self._requests.values())

    @property
    def tokens(self) -> tuple[TokenRequest, ...]:
        """Return what was asked of the token server and granted."""
        with self._changed:
            return tuple(self._tokens)

    def select(self, *, method: str = "", path_pattern: str = "", status: int = 0) -> tuple[Request, ...]:
        """Return the requests of this method and status whose path and query match a regular expression somewhere."""
        return tuple(
            request
            for request in self.requests
            if method in ("", request.method)
            and status in (0, request.status)
            and re.search(path_pattern, request.path)
        )

    def count(self, *, method: str = "", path_pattern: str = "", status: int = 0) -> int:
        """Count the requests that `select` would give."""
        return len(self.select(method=method, path_pattern=path_pattern, status=status))

    def bodies_sent(self, *, method: str = "", path_pattern: str = "") -> tuple[int, ...]:
        """Return the sizes in bytes of the bodies that arrived, whole or in part, leaving out empty ones."""
        return tuple(
            r.received_bytes for r in self.select(method=method, path_pattern=path_pattern) if r.received_bytes
        )

    def received_bytes(self, *, method: str = "", path_pattern: str = "") -> int:
        """Sum up `bodies_sent`."""
        return sum(self.bodies_sent(method=method, path_pattern=path_pattern))

    def wait_until(self, condition: Callable[[Traffic], bool], timeout_s: float = 120.0) -> bool:
        """Wait until `condition` holds, looking after each change; say whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout_s)

    def clear(self) -> None:
        """Forget everything; numbers go on."""
        with self._changed:
            self._requests.clear()
            self._tokens.clear()

    def begin(self, method: str, path: str, headers: Mapping[str, str], connection: int) -> int:
        """Log a request whose head has been read and give its number."""
        shown = dict(headers)
        if "authorization" in shown:
            shown["authorization"] = shown["authorization"].split(" ", 1)[0]
        with self._changed:
            self._count += 1
            self._requests[self._count] = Request(self._count, method, path, shown, connection=connection)
            self._changed.notify_all()
            return self._count

    def update(
        self,
        number: int,
        *,
        status: int = 0,
        received_bytes: int = 0,
        reply_bytes: int = 0,
        fault: str = "",
        done: bool = False,
    ) -> None:
        """Log what became of a request; this happens before the client can see the end of its answer."""
        with self._changed:
            before = self._requests.get(number)
            if before is None:
                return
            self._requests[number] = replace(
                before,
                status=status,
                received_bytes=received_bytes,
                reply_bytes=reply_bytes,
                fault=fault,
                done=done,
            )
            self._changed.notify_all()

    def add_token(self, request: TokenRequest) -> None:
        """Log a token request that was granted, in full or in part."""
        with self._changed:
            self._tokens.append(request)
            self._changed.notify_all()
