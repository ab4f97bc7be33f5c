"""What registries are known to have, remembered between runs: SQLite in the user's cache folder.

Two facts: a repository held a blob (a place to mount it from), and an uncompressed layer became a compressed
one (so that a second push compresses nothing). Safe with several processes; a damaged file is set aside; no
failure in here ever fails a push. Nothing secret is kept.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from oci_push.model.digest import Digest
from oci_push.runtime.clock import Clock

if TYPE_CHECKING:
    import sqlite3

_KEEP_S = 90 * 24 * 3600.0
_FLUSH_ROWS = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS blobs (
  registry TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL, seen REAL NOT NULL,
  PRIMARY KEY (registry, digest, repository)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layers (
  diff_id TEXT NOT NULL, settings TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, seen REAL NOT NULL,
  PRIMARY KEY (diff_id, settings)) WITHOUT ROWID;
"""


class Memory(Protocol):
    """Remember between runs."""

    def remember_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that a repository holds a blob."""
        ...

    def forget_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that it does not."""
        ...

    def find_mounts(self, registry: str, digest: Digest, near: str, limit: int = 2) -> tuple[str, ...]:
        """Give repositories that held the blob, `near` itself left out, most alike in name first."""
        ...

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Give what a layer became when compressed with these settings."""
        ...

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Note what a layer became."""
        ...

    def close(self) -> None:
        """Write what is pending and close."""
        ...


class NoMemory:
    """Remember nothing: the memory switched off."""

    def remember_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Do nothing."""

    def forget_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Do nothing."""

    def find_mounts(self, registry: str, digest: Digest, near: str, limit: int = 2) -> tuple[str, ...]:
        """Know nothing."""
        return ()

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Know nothing."""
        return None

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class SqliteMemory:
    """Remember in one file; opened on first use, written in batches, shared by threads and processes."""

    def __init__(self, path: Path, clock: Clock, warn: Callable[[str], None]) -> None:
        self._path = path
        self._clock = clock
        self._warn = warn
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._broken = False
        self._pending: list[tuple[str, tuple[object, ...]]] = []

    def remember_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that a repository holds a blob."""
        row = (registry, repository, str(digest), self._clock.now())
        self._write("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)", row)

    def forget_blob(self, registry: str, repository: str, digest: Digest) -> None:
        """Note that it does not."""
        row = (registry, repository, str(digest))
        self._write("DELETE FROM blobs WHERE registry = ? AND repository = ? AND digest = ?", row)

    def find_mounts(self, registry: str, digest: Digest, near: str, limit: int = 2) -> tuple[str, ...]:
        """Order by the length of the common path, then by how lately it was seen."""
        query = "SELECT repository, seen FROM blobs WHERE registry = ? AND digest = ? AND repository != ? LIMIT 100"
        rows = self._read(query, (registry, str(digest), near))
        ranked = sorted(rows, key=lambda row: (-_common(str(row[0]), near), -float(str(row[1]))))
        return tuple(str(row[0]) for row in ranked[:limit])

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Give digest and size of the compressed layer."""
        query = "SELECT digest, size FROM layers WHERE diff_id = ? AND settings = ?"
        for digest, size in self._read(query, (str(diff_id), settings_key)):
            with contextlib.suppress(ValueError):
                return Digest.parse(str(digest)), int(str(size))
        return None

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Note what a layer became."""
        row = (str(diff_id), settings_key, str(digest), size, self._clock.now())
        self._write("INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        """Write what is pending, drop what is old, close."""
        with self._lock:
            if self._pending:
                oldest = self._clock.now() - _KEEP_S
                self._pending.append(("DELETE FROM blobs WHERE seen < ?", (oldest,)))
                self._pending.append(("DELETE FROM layers WHERE seen < ?", (oldest,)))
                self._flush()
            if self._database is not None:
                self._database.close()
                self._database = None

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        with self._lock:
            self._pending.append((statement, row))
            if len(self._pending) >= _FLUSH_ROWS:
                self._flush()

    def _read(self, query: str, row: tuple[object, ...]) -> list[tuple[object, ...]]:
        with self._lock, self._guarded():
            database = self._open()
            return database.execute(query, row).fetchall() if database else []
        return []

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        with self._guarded():
            database = self._open()
            if database is not None:
                with database:
                    for statement, row in pending:
                        database.execute(statement, row)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except (sqlite3.Error, OSError) as problem:
            self._broken = True
            if self._database is not None:
                self._database.close()
                self._database = None
            self._warn(f"{self._path}: remembered facts cannot be used in this run ({problem})")

    def _open(self) -> sqlite3.Connection | None:
        import sqlite3

        if self._broken:
            return None
        if self._database is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._database = self._connect()
            except sqlite3.DatabaseError as problem:
                if isinstance(problem, sqlite3.OperationalError):
                    raise
                aside = self._path.with_suffix(".damaged")
                os.replace(self._path, aside)
                self._warn(f"{self._path}: damaged, set aside as {aside.name}; starting afresh")
                self._database = self._connect()
        return self._database

    def _connect(self) -> sqlite3.Connection:
        import sqlite3

        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self._path, timeout=5.0, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database


def _common(left: str, right: str) -> int:
    shared = 0
    for a, b in zip(left.split("/"), right.split("/"), strict=False):
        if a != b:
            break
        shared += 1
    return shared
