"""Request bodies as httpx wants them: an object that opens the bytes afresh each time it is iterated."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from oci_push.protocol.call import Body
from oci_push.runtime.scope import Scope
from oci_push.transport.pace import Bandwidth


class BodyStream(httpx.SyncByteStream):
    """Stream a `Body` within `bandwidth`, stopping between blocks when `scope` has ended."""

    def __init__(self, body: Body, scope: Scope, bandwidth: Bandwidth) -> None:
        self._body = body
        self._scope = scope
        self._bandwidth = bandwidth

    def __iter__(self) -> Iterator[bytes]:
        # A view goes to the socket as it is; h11 only asks for its length.
        yield from self._bandwidth.paced(self._body, self._scope)  # type: ignore[misc]
