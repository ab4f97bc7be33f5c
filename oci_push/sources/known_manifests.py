"""Manifests that a run has read from registries, so that none is read twice: newest first, within a bound of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TypeAlias

from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Repository

MOST_BYTES = 4 * 1024 * 1024
"""Of their raw bytes together: some thousand images, whose indexes list what others list, too."""
_Key: TypeAlias = tuple[RegistryEndpoint, Repository, Digest]


class KnownManifests:
    """Keep manifests by where they are and their digest; for all threads of a run.

    The login is a part of where: what one may read says nothing of another.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._known: OrderedDict[_Key, Manifest] = OrderedDict()
        self._bytes = 0

    def find(self, key: _Key) -> Manifest | None:
        """Return a manifest that is known."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found

    def add(self, endpoint: RegistryEndpoint, repository: Repository, manifest: Manifest) -> None:
        """Keep one, and forget those that were used longest ago where it is too much."""
        key = (endpoint, repository, manifest.digest)
        with self._lock:
            if key in self._known:
                return
            self._known[key] = manifest
            self._bytes += manifest.size
            while self._bytes > self._most_bytes:
                _, old = self._known.popitem(last=False)
                self._bytes -= old.size
