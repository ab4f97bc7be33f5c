"""What is remembered between runs, in the user's cache folder: hints that save work, and never decide it.

Four kinds of facts: a repository held a blob (a place to mount it from); an uncompressed layer became a
compressed one (so that a second push compresses nothing); a registry could or could not do something; an upload was
open and this far. All may be outdated: whoever uses one must cope with its being wrong. Nothing secret is kept in the
clear. The file itself, and what happens when it cannot be used, is `cache_file`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from oci_push.model.digest import Digest
from oci_push.runtime.cache_file import CacheFile, Row, Statement
from oci_push.runtime.clock import Clock
from oci_push.secret import repr_without

DAY_S = 24 * 3600.0
KEEP_S = 90 * DAY_S
"""How long a fact is kept after it was last seen."""
CAPABILITY_S = 7 * DAY_S
"""How long a capability of a registry is believed: registries are updated."""
REFUSAL_S = DAY_S
"""How long that it cannot do something: what refused once may have been passing, and trying costs a request."""
UPLOAD_S = DAY_S
"""How long an open upload is worth going on with: registries drop them after some days, some sooner."""
KEEP_BLOBS = 200_000
BUSY_S = 2.0

_FLUSH_ROWS = 500
_MOST_CANDIDATES = 50
"""Of how many repositories the names are compared: a base layer may be in thousands, and any of them will do."""
_VERSION = 2
_SCHEMA = """
CREATE TABLE blobs (
  registry TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, seen REAL NOT NULL,
  PRIMARY KEY (registry, digest, repository)) WITHOUT ROWID;
CREATE TABLE layers (
  diff_id TEXT NOT NULL, settings TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, seen REAL NOT NULL,
  PRIMARY KEY (diff_id, settings)) WITHOUT ROWID;
CREATE TABLE abilities (
  registry TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, seen REAL NOT NULL,
  PRIMARY KEY (registry, name)) WITHOUT ROWID;
CREATE TABLE uploads (
  registry TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL,
  confirmed INTEGER NOT NULL, sealed BLOB NOT NULL, seen REAL NOT NULL,
  PRIMARY KEY (registry, repository, digest)) WITHOUT ROWID;
CREATE TABLE cleanings (seen REAL NOT NULL)
"""


class OpenUpload(Struct, frozen=True):
    """How far an upload was: `confirmed` bytes; `sealed` says where it goes on, which only its owner can read."""

    confirmed: int
    sealed: bytes

    def __repr__(self) -> str:
        return repr_without(self, "sealed")


class Cache(Protocol):
    """Remember between runs. Methods may be called from any thread, and raise nothing on failing storage."""

    def remember_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that a repository holds a blob."""
        ...

    def forget_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that it does not."""
        ...

    def has_blob(self, registry: str, repository: str, digest: Digest) -> bool:
        """Return whether a repository held the blob."""
        ...

    def find_mounts(self, registry: str, digest: Digest, near: str, limit: int = 2) -> tuple[str, ...]:
        """Return repositories that held the blob, `near` itself left out, most alike in name first."""
        ...

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Return what a layer became when compressed with these settings."""
        ...

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Note what a layer became."""
        ...

    def find_capability(self, registry: str, name: str) -> str | None:
        """Return what was last learnt about a registry, if that is not too long ago."""
        ...

    def remember_capability(self, registry: str, name: str, value: str) -> None:
        """Note what a registry has shown."""
        ...

    def find_upload(self, registry: str, repository: str, digest: Digest) -> OpenUpload | None:
        """Return the upload of a blob that was left open, if that is not too long ago."""
        ...

    def note_upload(self, registry: str, repository: str, digest: Digest, upload: OpenUpload) -> None:
        """Note how far an upload is."""
        ...

    def forget_upload(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that there is none."""
        ...

    def close(self) -> None:
        """Write what is pending and close."""
        ...


class NoCache:
    """Remember nothing: the memory switched off."""

    def remember_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Do nothing."""

    def forget_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Do nothing."""

    def has_blob(self, registry: str, repository: str, digest: Digest) -> bool:
        """Know nothing."""
        return False

    def find_mounts(self, registry: str, digest: Digest, near: str, limit: int = 2) -> tuple[str, ...]:
        """Know nothing."""
        return ()

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Know nothing."""
        return None

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Do nothing."""

    def find_capability(self, registry: str, name: str) -> str | None:
        """Know nothing."""
        return None

    def remember_capability(self, registry: str, name: str, value: str) -> None:
        """Do nothing."""

    def find_upload(self, registry: str, repository: str, digest: Digest) -> OpenUpload | None:
        """Know nothing."""
        return None

    def note_upload(self, registry: str, repository: str, digest: Digest, upload: OpenUpload) -> None:
        """Do nothing."""

    def forget_upload(self, registry: str, repository: str, digest: Digest) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class SqliteCache:
    """Remember in one file, opened on first use; what is noted is written in batches.

    `warn` is told, once, when the file cannot be used. The clock's time of day dates the facts.
    """

    def __init__(self, path: Path, clock: Clock, warn: Callable[[str], None], *, busy_s: float = BUSY_S) -> None:
        self._clock = clock
        self._warn = warn
        self._lock = threading.Lock()
        self._warnings: list[str] = []
        self._file = CacheFile(path, version=_VERSION, schema=_SCHEMA, busy_s=busy_s, warn=self._warnings.append)
        self._pending: list[Statement] = []
        self._has_written = False

    def remember_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that a repository holds a blob."""
        row = (registry, str(digest), repository, self._clock.now())
        self._write("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)", row)

    def forget_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that it does not."""
        row = (registry, str(digest), repository)
        self._write("DELETE FROM blobs WHERE registry = ? AND digest = ? AND repository = ?", row)

    def has_blob(self, registry: str, repository: str, digest: Digest) -> bool:
        """Return whether that was noted within `KEEP_S`."""
        query = "SELECT 1 FROM blobs WHERE registry = ? AND digest = ? AND repository = ? AND seen >= ?"
        return bool(self._read(query, (registry, str(digest), repository, self._clock.now() - KEEP_S)))

    def find_mounts(self, registry: str, digest: Digest, near: str, limit: int = 2) -> tuple[str, ...]:
        """Order by the number of path components in common, then by how lately the blob was seen there."""
        query = (
            "SELECT repository FROM blobs WHERE registry = ? AND digest = ? AND repository != ? AND seen >= ?"
            " ORDER BY substr(repository, 1, ?) = ? DESC, seen DESC, repository LIMIT ?"
        )
        first = near.partition("/")[0] + "/"
        oldest = self._clock.now() - KEEP_S
        rows = self._read(query, (registry, str(digest), near, oldest, len(first), first, _MOST_CANDIDATES))
        found = sorted((str(row[0]) for row in rows), key=lambda path: -_in_common(path, near))
        return tuple(found[:limit])

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Return digest and size of the compressed layer."""
        query = "SELECT digest, size FROM layers WHERE diff_id = ? AND settings = ?"
        for digest, size in self._read(query, (str(diff_id), settings_key)):
            if isinstance(size, int) and size >= 0:
                try:
                    return Digest.parse(str(digest)), size
                except ValueError:
                    return None
        return None

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Note what a layer became; written at once, for it cost more than the writing."""
        row = (str(diff_id), settings_key, str(digest), size, self._clock.now())
        self._write("INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?)", row, is_urgent=True)

    def find_capability(self, registry: str, name: str) -> str | None:
        """Return the value if it was noted within `CAPABILITY_S`; a refusal or a limit within `REFUSAL_S`."""
        query = "SELECT value, seen FROM abilities WHERE registry = ? AND name = ? AND seen >= ?"
        now = self._clock.now()
        for value, seen in self._read(query, (registry, name, now - CAPABILITY_S)):
            is_refusal = value == "no" or name.endswith("_limit")
            if not is_refusal or (isinstance(seen, float) and seen >= now - REFUSAL_S):
                return str(value)
        return None

    def remember_capability(self, registry: str, name: str, value: str) -> None:
        """Note what a registry has shown."""
        self._write("INSERT OR REPLACE INTO abilities VALUES (?, ?, ?, ?)", (registry, name, value, self._clock.now()))

    def find_upload(self, registry: str, repository: str, digest: Digest) -> OpenUpload | None:
        """Return the upload if it was noted within `UPLOAD_S`."""
        query = (
            "SELECT confirmed, sealed FROM uploads WHERE registry = ? AND repository = ? AND digest = ? AND seen >= ?"
        )
        for confirmed, sealed in self._read(query, (registry, repository, str(digest), self._clock.now() - UPLOAD_S)):
            if isinstance(confirmed, int) and isinstance(sealed, bytes):
                return OpenUpload(confirmed, sealed)
        return None

    def note_upload(self, registry: str, repository: str, digest: Digest, upload: OpenUpload) -> None:
        """Note how far an upload is; written at once, for who is killed writes nothing later."""
        row = (registry, repository, str(digest), upload.confirmed, upload.sealed, self._clock.now())
        self._write("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?)", row, is_urgent=True)

    def forget_upload(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that there is none."""
        row = (registry, repository, str(digest))
        self._write("DELETE FROM uploads WHERE registry = ? AND repository = ? AND digest = ?", row, is_urgent=True)

    def close(self) -> None:
        """Write what is pending, once a day drop what is old or too much, and close; idempotent."""
        with self._lock:
            self._flush()
            if self._has_written:
                self._clean()
            self._file.close()
        self._tell()

    def _write(self, text: str, row: Row, *, is_urgent: bool = False) -> None:
        with self._lock:
            self._pending.append((text, row))
            if is_urgent or len(self._pending) >= _FLUSH_ROWS:
                self._flush()
        self._tell()

    def _read(self, query: str, row: Row) -> list[Row]:
        with self._lock:
            self._flush()
            rows = self._file.read(query, row)
        self._tell()
        return rows

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            self._file.write(pending)
            self._has_written = True

    def _clean(self) -> None:
        now = self._clock.now()
        if self._file.read("SELECT 1 FROM cleanings WHERE seen BETWEEN ? AND ?", (now - DAY_S, now)):
            return
        most = "DELETE FROM blobs WHERE seen < (SELECT seen FROM blobs ORDER BY seen DESC LIMIT 1 OFFSET ?)"
        self._file.write(
            [
                ("DELETE FROM blobs WHERE seen < ?", (now - KEEP_S,)),
                ("DELETE FROM layers WHERE seen < ?", (now - KEEP_S,)),
                ("DELETE FROM abilities WHERE seen < ?", (now - CAPABILITY_S,)),
                ("DELETE FROM uploads WHERE seen < ?", (now - UPLOAD_S,)),
                (most, (KEEP_BLOBS - 1,)),
                ("DELETE FROM cleanings", ()),
                ("INSERT INTO cleanings VALUES (?)", (now,)),
            ]
        )

    def _tell(self) -> None:
        # Outside the lock: a listener may come back to us, or take its time.
        while self._warnings:
            self._warn(self._warnings.pop(0))


def _in_common(left: str, right: str) -> int:
    shared = 0
    for a, b in zip(left.split("/"), right.split("/"), strict=False):
        if a != b:
            break
        shared += 1
    return shared
