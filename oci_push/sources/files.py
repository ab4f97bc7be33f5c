"""Bytes in files: bodies that read a range of one, and temporary files that are gone when closed."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.sources.base import BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class FileBody:
    """Send `size` bytes of a file from `offset` on; `file` is a path, or a descriptor that stays open."""

    file: str | int
    offset: int
    size: int
    what: str

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Read with one buffer that each step overwrites; a file that shrank raises `ContentMismatchError`."""
        opened = -1
        try:
            if isinstance(self.file, str):
                opened = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC)
            descriptor = opened if isinstance(self.file, str) else self.file
            position, end = self.offset + start, self.offset + self.size
            view = memoryview(bytearray(min(BLOCK_BYTES, max(1, end - position))))
            while position < end:
                count = os.preadv(descriptor, [view[: min(len(view), end - position)]], position)
                if count == 0:
                    raise ContentMismatchError(
                        f"{self.what}: ends after {position - self.offset} of {self.size} bytes",
                        hint="the file was cut short or changed while it was read",
                    )
                position += count
                yield view[:count]
        except OSError as problem:
            raise SourceError(f"{self.what}: cannot be read ({problem.strerror})") from problem
        finally:
            if opened >= 0:
                os.close(opened)

    def read(self) -> bytes:
        """Read all of it; only for what is known to be small."""
        return b"".join(bytes(block) for block in self.blocks())


class SpoolSpace:
    """Hand out temporary files that have no name, so that nothing is left behind however we end."""

    def __init__(self, folder: Path | None, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._used = 0
        self._lock = threading.Lock()
        self._files: list[IO[bytes]] = []

    def new(self) -> IO[bytes]:
        """Open an empty file, mode 0600; raises `SourceError` when the folder does not allow it."""
        try:
            file = tempfile.TemporaryFile(dir=self._folder, prefix="oci-push-", buffering=0)  # noqa: SIM115
        except OSError as problem:
            raise SourceError(
                f"{self._folder or tempfile.gettempdir()}: no temporary file can be made there ({problem.strerror})",
                hint="name another folder with --tmpdir or TMPDIR",
            ) from problem
        self.adopt(file)
        return file

    def adopt(self, file: IO[bytes]) -> None:
        """Close this file, too, when all is closed."""
        with self._lock:
            self._files.append(file)

    def write(self, file: IO[bytes], data: bytes | memoryview, what: str) -> None:
        """Append to a file within the limit of all; a full disk is a clear error."""
        with self._lock:
            self._used += len(data)
            if self._used > self._limit:
                raise SourceError(
                    f"{what}: needs more than {self._limit} bytes of temporary space",
                    hint="raise the limit, or give a file that need not be unpacked",
                )
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        except OSError as problem:
            full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
            raise SourceError(
                f"{what}: {'the disk is full' if full else problem.strerror} while writing a temporary file",
                hint="name another folder with --tmpdir or TMPDIR",
            ) from problem

    def close(self) -> None:
        """Close, and so remove, every file."""
        with self._lock:
            files, self._files = self._files, []
        for file in files:
            file.close()
