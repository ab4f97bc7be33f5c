"""What is under way to a registry: the pushes of one run send a blob there once, and the others mount it.

Steps that push in parallel share base layers. Whoever comes first sends one; the others wait for it without holding
anything, and then ask the registry to link it. Where that is refused, or the first one failed, they send it themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context

_WORTH_BYTES = 256 * 1024
"""A blob up to this size is sent at once: waiting for another's round trips costs more."""
_POLL_S = 0.25


class InFlight:
    """Which repository of a registry has a blob, or will have it soon; shared by all threads of a run.

    A thread that has a blob in hand waits for no other blob, so nobody waits in a circle.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._moving: set[tuple[RegistryEndpoint, Digest]] = set()
        self._there: dict[tuple[RegistryEndpoint, Digest], Repository] = {}
        self._refusing: set[RegistryEndpoint] = set()

    @contextmanager
    def turn(
        self, context: Context, endpoint: RegistryEndpoint, repository: Repository, blob: Descriptor
    ) -> Iterator[Repository | None]:
        """Return the repository that has the blob by now, or ``None`` to whoever is to bring it to `repository`.

        At the block's end it counts as being there, unless an exception ends it.
        """
        key = (endpoint, blob.digest)
        if blob.size <= _WORTH_BYTES or endpoint in self._refusing:
            yield None
            return
        with self._changed:
            while key in self._moving:
                self._changed.wait(_POLL_S)
                context.check()
            found = self._there.get(key)
            if found is None:
                self._moving.add(key)
        if found is not None:
            yield found
            return
        is_there = False
        try:
            yield None
            is_there = True
        finally:
            with self._changed:
                self._moving.discard(key)
                if is_there:
                    self._there[key] = repository
                self._changed.notify_all()

    def refused(self, endpoint: RegistryEndpoint, repository: Repository, digest: Digest) -> None:
        """Note that a registry does not link a blob that it has: nobody waits there any more."""
        with self._changed:
            if self._there.get((endpoint, digest)) == repository:
                self._refusing.add(endpoint)
