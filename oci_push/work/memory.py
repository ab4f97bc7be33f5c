"""What a worker knows of where blobs are: what it is told with units and has learnt, before what its machine keeps."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.runtime.cache import Cache, OpenUpload

_KEPT = 4
"""Repositories that are kept of one blob at one registry: no more are ever asked."""


class Places:
    """Repositories that hold a blob, by registry; for all threads of a run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: dict[tuple[str, Digest], list[str]] = {}

    def learn(self, found: Mapping[Digest, tuple[Repository, ...]]) -> None:
        """Note where blobs are."""
        with self._lock:
            for digest, repositories in found.items():
                for one in repositories:
                    paths = self._paths.setdefault((one.host, digest), [])
                    if one.path not in paths and len(paths) < _KEPT:
                        paths.append(one.path)

    def forget(self, host: str, path: str, digest: Digest) -> None:
        """Note that a blob is no longer there."""
        with self._lock:
            paths = self._paths.get((host, digest), [])
            if path in paths:
                paths.remove(path)

    def of(self, host: str, digest: Digest) -> tuple[str, ...]:
        """Return the repositories of a registry that hold a blob."""
        with self._lock:
            return tuple(self._paths.get((host, digest), ()))


class WorkMemory:
    """A `Cache` that knows `places` as well."""

    def __init__(self, inner: Cache, places: Places) -> None:
        self._inner = inner
        self._places = places

    def remember_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that a blob is in a repository."""
        self._inner.remember_blob(registry, repository, digest)

    def forget_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that it is not."""
        self._places.forget(registry, repository, digest)
        self._inner.forget_blob(registry, repository, digest)

    def has_blob(self, registry: str, repository: str, digest: Digest) -> bool:
        """Return whether it was seen there."""
        return repository in self._places.of(registry, digest) or self._inner.has_blob(registry, repository, digest)

    def find_mounts(self, registry: str, digest: Digest, near: str, limit: int = 2) -> tuple[str, ...]:
        """Return other repositories that hold it."""
        told = [path for path in self._places.of(registry, digest) if path != near]
        known = self._inner.find_mounts(registry, digest, near, limit) if len(told) < limit else ()
        return tuple(dict.fromkeys((*told, *known)))[:limit]

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Return what a layer was compressed to."""
        return self._inner.find(diff_id, settings_key)

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Note what a layer was compressed to."""
        self._inner.store(diff_id, settings_key, digest, size)

    def find_capability(self, registry: str, name: str) -> str | None:
        """Return what was learnt of a registry."""
        return self._inner.find_capability(registry, name)

    def remember_capability(self, registry: str, name: str, value: str) -> None:
        """Note what was learnt of a registry."""
        self._inner.remember_capability(registry, name, value)

    def find_upload(self, registry: str, repository: str, digest: Digest) -> OpenUpload | None:
        """Return an upload that was left open."""
        return self._inner.find_upload(registry, repository, digest)

    def note_upload(self, registry: str, repository: str, digest: Digest, upload: OpenUpload) -> None:
        """Note an upload that is open."""
        self._inner.note_upload(registry, repository, digest, upload)

    def forget_upload(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that it is over."""
        self._inner.forget_upload(registry, repository, digest)

    def close(self) -> None:
        """Leave what is kept to whom it belongs."""
