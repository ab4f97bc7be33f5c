"""What is under way to a registry: the pushes of one run send a blob there once, and the others mount it.

Steps that push in parallel share base layers. Whoever comes first sends one; the others wait for it without holding
anything, and then ask the registry to link it. Where that is refused, or the first one failed, they send it themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context

_WORTH_BYTES = 256 * 1024
"""A blob up to this size is sent at once: waiting for another's round trips costs more."""
_POLL_S = 0.25
_Key: TypeAlias = tuple[RegistryEndpoint, str, Digest]


class InFlight:
    """Which repository of a registry has a blob, or will have it soon; shared by all threads of a run.

    A thread that has a blob in hand waits for no other blob, so nobody waits in a circle.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moving: dict[_Key, threading.Event] = {}
        self._there: dict[_Key, Repository] = {}
        self._refusing: set[RegistryEndpoint] = set()

    @contextmanager
    def turn(
        self, context: Context, endpoint: RegistryEndpoint, repository: Repository, blob: Descriptor, group: str = ""
    ) -> Iterator[Repository | None]:
        """Return the repository that has the blob by now, or ``None`` to whoever is to bring it to `repository`.

        At the block's end it counts as being there, unless an exception ends it. Nobody waits for a small one, nor
        for a repository of another `group`.
        """
        key = (endpoint, group, blob.digest)
        if endpoint in self._refusing:
            yield None
            return
        ended = threading.Event()
        while True:
            with self._lock:
                found = self._there.get(key)
                is_waited_for = found is None and blob.size > _WORTH_BYTES
                under_way = self._moving.setdefault(key, ended) if is_waited_for else ended
            if under_way is ended:
                break
            under_way.wait(_POLL_S)
            context.check()
        if found is not None:
            yield found
            return
        is_there = False
        try:
            yield None
            is_there = True
        finally:
            with self._lock:
                if self._moving.get(key) is ended:
                    del self._moving[key]
                if is_there:
                    self._there[key] = repository
            ended.set()

    def refused(self, endpoint: RegistryEndpoint, repository: Repository, digest: Digest) -> None:
        """Note that a registry does not link a blob that it has: nobody waits there any more."""
        with self._lock:
            there = (found for (where, _, blob), found in self._there.items() if (where, blob) == (endpoint, digest))
            if repository in there:
                self._refusing.add(endpoint)
