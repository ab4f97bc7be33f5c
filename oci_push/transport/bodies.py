"""Request bodies as httpx wants them: an object that opens the bytes afresh each time it is iterated."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from oci_push.protocol.call import Body
from oci_push.runtime.scope import Scope


class BodyStream(httpx.SyncByteStream):
    """Stream a `Body`, stopping between blocks when `scope` has ended."""

    def __init__(self, body: Body, scope: Scope) -> None:
        self._body = body
        self._scope = scope

    def __iter__(self) -> Iterator[bytes]:
        for block in self._body.blocks():
            self._scope.check()
            # A view goes to the socket as it is; h11 only asks for its length.
            yield block  # type: ignore[misc]
