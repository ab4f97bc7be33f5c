"""What one run has seen in one repository: who brings the same blob or manifest there again asks and sends nothing.

It is trusted: a blob that has vanished meanwhile is named, or found missing, when a manifest that needs it is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from oci_push.model.digest import Digest
from oci_push.runtime.context import Context

_POLL_S = 0.25


class SeenHere:
    """What is in one repository, as far as this run knows; shared by all threads that push there.

    Thousands of images may go there, so of a digest only its bytes are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._there: set[bytes] = set()
        self._moving: dict[bytes, threading.Event] = {}

    def has(self, digest: Digest) -> bool:
        """Return whether it was seen there."""
        with self._lock:
            return _key(digest) in self._there

    def add(self, digest: Digest) -> None:
        """Note that it is there."""
        with self._lock:
            self._there.add(_key(digest))

    def forget(self, digests: Iterable[Digest]) -> None:
        """Note that nobody knows any more whether these are there."""
        with self._lock:
            self._there.difference_update(map(_key, digests))

    @contextmanager
    def turn(self, context: Context, digest: Digest) -> Iterator[bool]:
        """Wait while another push brings the same here; return whether it is there by now, or is ours to bring.

        At the block's end it counts as being there, unless an exception ends it.
        """
        key, ended = _key(digest), threading.Event()
        while True:
            with self._lock:
                is_there = key in self._there
                under_way = ended if is_there else self._moving.setdefault(key, ended)
            if under_way is ended:
                break
            under_way.wait(_POLL_S)
            context.check()
        if is_there:
            yield True
            return
        has_come = False
        try:
            yield False
            has_come = True
        finally:
            with self._lock:
                del self._moving[key]
                if has_come:
                    self._there.add(key)
            ended.set()


def _key(digest: Digest) -> bytes:
    return bytes.fromhex(digest.encoded)
