"""The store of open uploads: what lets a second run go on where a killed one stopped.

An entry is one blob on its way into one repository: how to go on, and how many bytes the registry had confirmed. The
blob's digest is its whole identity: the same digest is the same bytes, whatever file they come from, and the registry
checks them when the upload is closed. Only one process at a time works on an entry.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from oci_push.model.descriptor import Descriptor
from oci_push.model.reference import Repository
from oci_push.protocol.uploads import UploadSession
from oci_push.registry.cipher import Cipher
from oci_push.runtime.cache import Cache, OpenUpload
from oci_push.runtime.files import Lock, try_lock


class StoredUpload:
    """One blob's entry, which is ours alone until `release`. For one thread."""

    def __init__(self, upload_store: UploadStore, key: tuple[str, Repository, Descriptor], lock: Lock) -> None:
        self._store = upload_store
        self._key = key
        self._lock = lock
        self._is_usable = True

    def find(self) -> tuple[UploadSession, int] | None:
        """Return the upload that an earlier run left open, and how many bytes it had confirmed."""
        host, repository, blob = self._key
        noted = self._store.cache.find_upload(host, repository.path, blob.digest)
        upload = self._store.unseal(self._key, noted.sealed) if noted else None
        if noted is None or upload is None or not 0 <= noted.confirmed <= blob.size:
            return None
        return upload, noted.confirmed

    def note(self, upload: UploadSession, confirmed: int) -> None:
        """Write down how far the upload is; where that fails, it cannot be resumed later, and that is all."""
        host, repository, blob = self._key
        if self._is_usable:
            try:
                sealed = self._store.seal(self._key, upload)
            except OSError:
                self._is_usable = False
            else:
                self._store.cache.note_upload(host, repository.path, blob.digest, OpenUpload(confirmed, sealed))

    def forget(self) -> None:
        """Drop what was noted: the upload is closed."""
        host, repository, blob = self._key
        self._store.cache.forget_upload(host, repository.path, blob.digest)

    def release(self) -> None:
        """Let another run have the entry, if there still is one; idempotent."""
        self._lock.release()


class UploadStore:
    """Keep the entries in `cache`; the key and the locks are files in `folder`."""

    def __init__(self, cache: Cache, folder: Path) -> None:
        self.cache = cache
        self._folder = folder
        self._cipher = Cipher(folder / "uploads.key")

    def claim(self, host: str, repository: Repository, blob: Descriptor) -> StoredUpload | None:
        """Take the entry of a blob; ``None`` when another process is sending it, or locks cannot be made here."""
        name = hashlib.sha256(f"{host}\n{repository.path}\n{blob.digest}".encode()).hexdigest()[:32]
        lock = try_lock(self._folder / f"upload-{name}.lock")
        return StoredUpload(self, (host, repository, blob), lock) if lock else None

    def seal(self, key: tuple[str, Repository, Descriptor], upload: UploadSession) -> bytes:
        """Encrypt where an upload goes on, together with what it is about."""
        host, repository, blob = key
        about = [host, repository.path, str(blob.digest)]
        return self._cipher.seal(json.dumps([about, upload.location, upload.chunk_min, upload.chunk_max]))

    def unseal(self, key: tuple[str, Repository, Descriptor], sealed: bytes) -> UploadSession | None:
        """Decrypt it; an entry that is about something else is none."""
        host, repository, blob = key
        text = self._cipher.open(sealed)
        if text is None:
            return None
        about, location, chunk_min, chunk_max = json.loads(text)
        if about != [host, repository.path, str(blob.digest)]:
            return None
        return UploadSession(location, chunk_min, chunk_max)
