"""Open uploads: their data in a file and their hash so far.

An upload outlives the process where the folder does: beside its data stands a note of what it is. Which answer a
request gets is the business of `blob_uploads`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from oci_push.model.digest import Digest
from oci_push.sandbox.body import BLOCK_BYTES

if TYPE_CHECKING:
    from hashlib import _Hash


_NOTE = ".json"


class UploadInfo(Struct, frozen=True):
    """An open upload: the repository that it is for, and how many bytes it holds."""

    id: str
    repository: str
    size: int


class Upload:
    """One blob on its way: `size` bytes of it are in the file at `path`, and `running` is their hash.

    Write only inside `alone`.
    """

    def __init__(self, id: str, repository: str, path: Path, algorithm: str, secret: str) -> None:
        self.id = id
        self.repository = repository
        self.path = path
        self.secret = secret
        self.size = 0
        self.running: _Hash = hashlib.new(algorithm)
        self._algorithm = algorithm
        self._lock = threading.Lock()
        path.touch()

    def read_again(self) -> None:
        """Take up the data that an earlier process left in the file."""
        with self.path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                self.running.update(block)
                self.size += len(block)

    @contextmanager
    def alone(self, wait_s: float) -> Iterator[bool]:
        """Keep other requests off; yield whether that came about within `wait_s` seconds.

        A client that lost its connection comes back on another one, often before the first request's thread has
        worked off what had arrived; waiting for it makes the reported size true.
        """
        held = self._lock.acquire(timeout=wait_s)
        try:
            yield held
        finally:
            if held:
                self._lock.release()

    def append(self, blocks: Iterable[memoryview]) -> None:
        """Write a body behind what is there. What came before a break stays and counts."""
        with self.path.open("ab", buffering=0) as file:
            for block in blocks:
                self.running.update(block)
                file.write(block)
                self.size += len(block)

    def announce(self, digest: Digest) -> None:
        """Switch to the digest's algorithm before the first byte, so that it need not be read again."""
        if not self.size and digest.algorithm != self._algorithm:
            self._algorithm, self.running = digest.algorithm, digest.new_hash()

    def matches(self, digest: Digest) -> bool:
        """Return whether the bytes have this digest; reads them again when they were hashed another way."""
        if digest.algorithm == self._algorithm:
            return digest.matches(self.running)
        running = digest.new_hash()
        with self.path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                running.update(block)
        return digest.matches(running)


class Uploads:
    """The open uploads, in the folder given; `new_id` makes names nobody can guess."""

    def __init__(self, folder: Path, new_id: Callable[[], str]) -> None:
        self._folder = folder
        self._new_id = new_id
        self._lock = threading.Lock()
        self._open: dict[str, Upload] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in sorted(folder.iterdir()):
            if left_over.suffix != _NOTE and not left_over.with_suffix(_NOTE).exists():
                left_over.unlink()
        for note in folder.glob(f"*{_NOTE}"):
            self._reopen(note)

    def start(self, repository: str, algorithm: str = "sha256") -> Upload:
        """Open an upload."""
        identifier, secret = self._new_id(), self._new_id()[:12]
        upload = Upload(identifier, repository, self._folder / identifier, algorithm, secret)
        upload.path.with_suffix(_NOTE).write_text(json.dumps([repository, algorithm, secret]))
        with self._lock:
            self._open[identifier] = upload
        return upload

    def find(self, repository: str, identifier: str) -> Upload | None:
        """Find an open upload of a repository."""
        with self._lock:
            upload = self._open.get(identifier)
        return upload if upload is not None and upload.repository == repository else None

    def close(self, upload: Upload) -> None:
        """Forget an upload and delete what is left of its data."""
        with self._lock:
            self._open.pop(upload.id, None)
        upload.path.with_suffix(_NOTE).unlink(missing_ok=True)
        upload.path.unlink(missing_ok=True)

    def all(self) -> tuple[UploadInfo, ...]:
        """List the open uploads."""
        with self._lock:
            return tuple(UploadInfo(u.id, u.repository, u.size) for u in self._open.values())

    def _reopen(self, note: Path) -> None:
        repository, algorithm, secret = json.loads(note.read_text())
        upload = Upload(note.stem, repository, note.with_suffix(""), algorithm, secret)
        upload.read_again()
        self._open[upload.id] = upload
