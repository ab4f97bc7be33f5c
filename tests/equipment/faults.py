"""Faults: a script of what goes wrong, request by request. Nothing here touches a socket; `connection` acts it out.

A rule counts the requests that match it and is due from its `nth` on, `times` times. Of the rules that are due for
one request the first in the script fires; the others stay due for the next match, so that two equal rules break
two requests one after the other.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct, field


class Answer(Struct, frozen=True):
    """Answer in place of the registry; `code` makes an OCI error body, `body` any other.

    The request's body is read first, or with `before_body` left unread: then the connection is closed after the
    answer, while the client may still be sending.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: str = ""
    before_body: bool = False


class AnswerAfter(Struct, frozen=True):
    """Do what was asked and answer something else, as a proxy does that sent the request on twice."""

    status: int
    code: str = ""


class DropBefore(Struct, frozen=True):
    """Close the connection without reading a body and without an answer; `reset` sends RST in place of FIN."""

    reset: bool = False


class DropAfter(Struct, frozen=True):
    """Close the connection after so many bytes of the request's body, or at its end if it is shorter.

    The bytes before the cut reach the upload as they do when a client vanishes.
    """

    count: int
    reset: bool = False


class DropReply(Struct, frozen=True):
    """Do what was asked and close the connection without an answer."""

    reset: bool = False


class TruncateReply(Struct, frozen=True):
    """Send the head of the answer and only `count` bytes of its body, then close the connection."""

    count: int


class Stall(Struct, frozen=True):
    """Read `after` bytes of the body, do nothing for so many seconds, then go on as if nothing had been.

    It ends earlier when the client goes away, which then has broken its request off, or when the sandbox stops. The
    time is the machine's: a client that waits is waiting really, whatever clock the sandbox was given.
    """

    seconds: float
    after: int = 0


class StallReply(Struct, frozen=True):
    """Do what was asked, send the head of the answer and `count` bytes of its body, and nothing more.

    With `count` below 0 the head breaks off, too. The connection stays open for so many seconds, or until the client
    goes away or the sandbox stops.
    """

    count: int
    seconds: float


class Slow(Struct, frozen=True):
    """Read the request's body `block_bytes` at a time, with a pause of so many seconds before each block."""

    block_bytes: int
    pause_s: float


class Garbage(Struct, frozen=True):
    """Send these bytes where an answer should be, and close the connection."""

    body: bytes = b"\x00\xffthis is not HTTP\r\n\r\n"


class Headers(Struct, frozen=True):
    """Do what was asked and change the answer's headers: those in `remove` go, those in `set` are put."""

    set: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


class Redirect(Struct, frozen=True):
    """Read the request's body and send the client elsewhere; ``{path}`` in `location` is the path and query asked."""

    status: int
    location: str


class Http10Close(Struct, frozen=True):
    """Do what was asked and answer as HTTP/1.0 does: no Content-Length, the end of the connection is the end."""


class FlipByte(Struct, frozen=True):
    """Change one byte of the request's body on its way: the one at `at` (from the end, if negative); `mask` says how.

    A body that has no such byte stays as it is.
    """

    at: int
    mask: int = 1


class OtherDigest(Struct, frozen=True):
    """Change one digit of the last digest in the request's path and query on its way."""


class Repeat(Struct, frozen=True):
    """Do what was asked twice, as behind a proxy that sends a request again; the answer is the second one."""


class Twice(Struct, frozen=True):
    """Do what was asked and send the answer twice, at once, as if the copy answered the next request."""


class HalfClose(Struct, frozen=True):
    """Do what was asked with one direction closed too early.

    ``before``: no answer can be sent any more, all the same the request is read to its end and carried out.
    ``inside``: nothing is read beyond `count` bytes of the body, and the answer is distribution's 499. ``after``: the
    answer is sent as if the connection were to be kept, and then no further one can be.
    """

    when: Literal["before", "inside", "after"]
    count: int = 0


Action: TypeAlias = (
    Answer
    | AnswerAfter
    | DropBefore
    | DropAfter
    | DropReply
    | TruncateReply
    | Stall
    | StallReply
    | Slow
    | Garbage
    | Headers
    | Redirect
    | Http10Close
    | FlipByte
    | OtherDigest
    | Repeat
    | Twice
    | HalfClose
)


class Fault(Struct, frozen=True):
    """Say which request breaks how.

    `method` empty is any; `path` is a regular expression found anywhere in path and query; `request` is the number
    of the request in the traffic, from 1, or 0 for any. `times` 0 is for ever.
    """

    method: str = ""
    path: str = ""
    nth: int = 1
    action: Action = field(default_factory=DropBefore)
    request: int = 0
    times: int = 1

    def matches(self, number: int, method: str, path: str) -> bool:
        """Say whether the rule is about this request."""
        return self.method in ("", method) and self.request in (0, number) and re.search(self.path, path) is not None


class FaultScript:
    """The rules of one script; may be used and added to from any thread."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._seen: list[int] = []
        self._fired: list[int] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Append a rule, which counts from now on."""
        re.compile(fault.path)  # a mistake in a test shows in the test, not in a server thread
        with self._lock:
            self._faults.append(fault)
            self._seen.append(0)
            self._fired.append(0)

    def clear(self) -> None:
        """Drop every rule."""
        with self._lock:
            self._faults.clear()
            self._seen.clear()
            self._fired.clear()

    def take(self, number: int, method: str, path: str) -> Action | None:
        """Count a request and give the action of the rule that fires, if one does."""
        with self._lock:
            chosen: Action | None = None
            for place, fault in enumerate(self._faults):
                if not fault.matches(number, method, path):
                    continue
                self._seen[place] += 1
                left = not fault.times or self._fired[place] < fault.times
                if chosen is None and left and self._seen[place] >= fault.nth:
                    self._fired[place] += 1
                    chosen = fault.action
            return chosen

    def pending(self) -> tuple[Fault, ...]:
        """Return the rules that have not yet fired as often as they should; for ever means at least once."""
        with self._lock:
            rows = zip(self._faults, self._fired, strict=True)
            return tuple(fault for fault, fired in rows if fired < max(fault.times, 1))
