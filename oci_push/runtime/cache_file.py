"""The file behind the memory: one SQLite database that may fail, and never fails the work.

Made for facts that can be learnt again: a damaged file is set aside and begun afresh, one of another version is
emptied (or left alone when a newer program wrote it), and what cannot be read or written is told once and then
left out for the rest of the run. Several processes may use the file at once (write-ahead log, short
transactions). `sqlite3` is imported when the file is first touched. What the rows mean is `cache`'s business.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")
Row: TypeAlias = tuple[object, ...]
Statement: TypeAlias = tuple[str, Row]


class CacheFile:
    """Read and write `path`; `version` and `schema` belong together. For one thread at a time.

    `busy_s` is how long another process may hold the file before this run does without it.
    """

    def __init__(self, path: Path, *, version: int, schema: str, busy_s: float, warn: Callable[[str], None]) -> None:
        self._path = path
        self._version = version
        self._schema = schema
        self._busy_s = busy_s
        self._warn = warn
        self._database: sqlite3.Connection | None = None
        self._inode = 0
        self._is_given_up = False

    def read(self, query: str, parameters: Row) -> list[Row]:
        """Return the rows, or none when the file cannot be used."""
        return self._guarded(lambda database: list(database.execute(query, parameters)), [])

    def write(self, statements: Iterable[Statement]) -> None:
        """Run the statements in one transaction; they are lost when the file cannot be used."""

        def run(database: sqlite3.Connection) -> None:
            with database:
                for text, parameters in statements:
                    database.execute(text, parameters)

        self._guarded(run, None)

    def close(self) -> None:
        """Close the file; idempotent, and a later use opens it again."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _guarded(self, action: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        if self._is_given_up:
            return otherwise
        try:
            import sqlite3
        except ImportError as problem:
            return self._give_up(problem, otherwise)
        try:
            for attempt in (1, 2):
                try:
                    return action(self._open())
                except sqlite3.DatabaseError as problem:
                    # Its subclasses are about use (locked, full, a wrong statement); itself is about the content.
                    if type(problem) is not sqlite3.DatabaseError or attempt == 2:
                        raise
                    self._set_aside()
        except sqlite3.ProgrammingError:
            raise
        except (sqlite3.DatabaseError, OSError) as problem:
            return self._give_up(problem, otherwise)
        return otherwise

    def _give_up(self, problem: Exception, otherwise: T) -> T:
        self._is_given_up = True
        with contextlib.suppress(Exception):
            self.close()
        reason = getattr(problem, "strerror", None) or str(problem)
        # A home that cannot be written to is usual in containers: what makes this silent is said with it.
        is_place = isinstance(problem, OSError) and problem.errno is not None
        other = "; XDG_CACHE_HOME names another folder, --no-memory does without" if is_place else ""
        self._warn(f"{self._path}: remembered facts are not used in this run ({reason}){other}")
        return otherwise

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            import sqlite3

            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                self._inode = os.fstat(descriptor).st_ino
            finally:
                os.close(descriptor)
            self._database = sqlite3.connect(self._path, timeout=self._busy_s, check_same_thread=False)
            self._prepare(self._database)
        return self._database

    def _prepare(self, database: sqlite3.Connection) -> None:
        # The log must be on before the first transaction, and NORMAL is safe with it: a power cut loses facts only.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if self._version_of(database) == self._version:
            return
        with database:
            database.execute("BEGIN IMMEDIATE")
            found = self._version_of(database)
            if found > self._version:
                raise OSError("a newer version of this program wrote the file")
            if found == self._version:
                return  # another process was faster
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in tables:
                database.execute(f'DROP TABLE "{name}"')
            for statement in self._schema.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {self._version}")

    def _version_of(self, database: sqlite3.Connection) -> int:
        return int(database.execute("PRAGMA user_version").fetchone()[0])

    def _set_aside(self) -> None:
        self.close()
        if os.stat(self._path).st_ino != self._inode:
            return  # another process has set it aside and begun afresh
        aside = self._path.with_name(f"{self._path.name}.damaged")
        os.replace(self._path, aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._warn(f"{self._path}: damaged, set aside as {aside.name}; what it remembered is learnt again")
