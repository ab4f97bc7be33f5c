"""One request and one answer, as values; and flows, which are the rules of the protocol without I/O.

A flow is a generator: it yields a `Call`, is sent the `Reply`, and returns its result. An answer whose status
is not in `Call.ok_statuses` is turned into an error by the session and *thrown* into the flow at the `yield`, so
that a flow states its own fallback as an ordinary ``except``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Protocol, TypeAlias, TypeVar

from msgspec import Struct, field

from oci_push.secret import repr_without

T = TypeVar("T")
MAX_BODY_BYTES = 5 * 1024 * 1024
"""Largest answer read into memory: a manifest at its limit of 4 MiB and some room."""

SMALL_BYTES = 64 * 1024
"""A body up to this size travels as fast as a request without one."""


class Body(Protocol):
    """Bytes to send that can be opened again for each attempt; `size` is their exact number."""

    @property
    def size(self) -> int:
        """Return the length in bytes, which becomes Content-Length."""
        ...

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Open afresh and give the bytes from offset `start` on, in blocks of at most 1 MiB.

        A block may be a view of a buffer that the next step overwrites: use it before asking for more.
        """
        ...


class BytesBody(Struct, frozen=True):
    """Send bytes held in memory (manifests, forms)."""

    data: bytes

    def __repr__(self) -> str:
        return "BytesBody()"

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return len(self.data)

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Return the bytes as one block, or none."""
        if self.data[start:]:
            yield self.data[start:]


class Chunk(Struct, frozen=True):
    """Send the part of another body from offset `start` on, `size` bytes long: one chunk of an upload."""

    whole: Body
    start: int
    size: int

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Return the part's bytes, reading no more of the whole than needed."""
        left = self.size - start
        for block in self.whole.blocks(self.start + start):
            if left <= 0:
                return
            yield block[:left] if len(block) > left else block
            left -= len(block)


EMPTY = BytesBody(b"")


class Call(Struct, frozen=True):
    """Ask the session to send one request.

    `url` is absolute, or starts with ``/`` and then belongs to the session's registry. `ok_statuses` are the
    statuses that are answers rather than errors. `scopes` are the token scopes needed (``repository:a:pull``).
    `body` ``None`` sends none; `EMPTY` sends ``Content-Length: 0``. `idempotent` says that sending it twice
    does no harm. `limit` bounds the answer's body in bytes. `what` begins every message about this call
    (``localhost:5000/app: blob sha256:…``). `answer_s` is what the registry may need, beyond the usual, before its
    answer begins. `opens` says that the answer names something that must be closed again: a cancel waits a moment
    for it. `peeks` says that no more than the first bytes of a good answer's body are wanted,
    `urgent` that it does not wait for the time the registry asked for: it is for the end of the work, which is near.
    Without `redirects` an answer that sends us elsewhere is an error: what is sent is for that one place. `is_public`
    says that this place is known to be on the internet: its name may not lead to a private address.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    ok_statuses: frozenset[int] = frozenset({200})
    scopes: tuple[str, ...] = ()
    idempotent: bool = True
    limit: int = MAX_BODY_BYTES
    what: str = ""
    answer_s: float = 0.0
    opens: bool = False
    peeks: bool = False
    urgent: bool = False
    redirects: bool = True
    is_public: bool = False

    def __repr__(self) -> str:
        return repr_without(self, "headers")

    @property
    def is_urgent(self) -> bool:
        """Return whether it does not wait for its turn: what cleans up would never happen."""
        return self.urgent or self.method == "DELETE"

    @property
    def is_small(self) -> bool:
        """Return whether it takes a round trip and little more."""
        return self.body is None or self.body.size <= SMALL_BYTES


class Reply(Struct, frozen=True):
    """An answer: `headers` have lower-case names, repeated ones are in `all_headers` one by one.

    `url` is where the answer came from, after redirects; a relative Location is resolved against it.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    body: bytes = b""
    all_headers: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> tuple[str, ...]:
        """Return every value of a header that may be repeated; `name` in lower case."""
        if not self.all_headers:
            return (self.headers[name],) if name in self.headers else ()
        return tuple(value for key, value in self.all_headers if key == name)


Flow: TypeAlias = Generator[Call, Reply, T]
