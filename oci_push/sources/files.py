"""Bytes in files: bodies that read a range of one, and temporary files that are gone when closed."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

from msgspec import Struct

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.sources.base import BLOCK_BYTES

_RUN_BYTES = 4 * 1024 * 1024
"""What a writer takes of the shared file at a time; what it does not fill stays a hole."""


class FileBody(Struct, frozen=True):
    """Send `size` bytes of a file from `offset` on; `file` is a path, or a descriptor that stays open."""

    file: str | int
    offset: int
    size: int
    what: str

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Read with one buffer that each step overwrites; a file that shrank raises `ContentMismatchError`."""
        with closing(FileReader(self, start)) as reader:
            view = memoryview(bytearray(min(BLOCK_BYTES, max(1, self.size - start))))
            while count := reader.fill(view):
                yield view[:count]

    def head(self, size: int) -> bytes:
        """Return at most the first `size` bytes."""
        return FileBody(self.file, self.offset, min(size, self.size), self.what).read()

    def reader(self) -> FileReader:
        """Return what reads it into buffers."""
        return FileReader(self)

    def read(self) -> bytes:
        """Return all of it; only for what is known to be small."""
        return b"".join(bytes(block) for block in self.blocks())


class FileReader:
    """Read a body's bytes from `start` on into buffers, one after the other; for one thread at a time."""

    def __init__(self, body: FileBody, start: int = 0) -> None:
        self._body = body
        self._position = body.offset + start
        self._opened = -1

    def fill(self, view: memoryview) -> int:
        """Fill `view` and return its length, or less at the end; a file that shrank raises `ContentMismatchError`."""
        body, filled = self._body, 0
        wanted = min(len(view), body.offset + body.size - self._position)
        try:
            if isinstance(body.file, str) and self._opened < 0:
                self._opened = os.open(body.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            descriptor = self._opened if isinstance(body.file, str) else body.file
            while filled < wanted:
                count = os.preadv(descriptor, [view[filled:wanted]], self._position)
                if count == 0:
                    raise ContentMismatchError(
                        f"{body.what}: ends after {self._position - body.offset} of {body.size} bytes",
                        hint="the file was cut short or changed while it was read",
                    )
                filled, self._position = filled + count, self._position + count
        except OSError as problem:
            raise unreadable(body.what, problem) from problem
        return filled

    def close(self) -> None:
        """Close what was opened; idempotent."""
        opened, self._opened = self._opened, -1
        if opened >= 0:
            os.close(opened)


class SpooledBody(Struct, frozen=True):
    """Send what a `SpoolWriter` has kept: `runs` are offsets and lengths in the file that all writers share."""

    file: int
    runs: tuple[tuple[int, int], ...]
    size: int
    what: str

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Read one run after the other, as `FileBody` does."""
        for offset, length in self.runs:
            if start < length:
                yield from FileBody(self.file, offset, length, self.what).blocks(start)
            start = max(0, start - length)


class SpoolSpace:
    """Hand out temporary files that have no name, so that nothing is left behind however we end."""

    def __init__(self, folder: Path | None, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._used = 0
        self._end = 0
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._files: list[IO[bytes]] = []
        self._shared: IO[bytes] | None = None

    def new(self) -> IO[bytes]:
        """Open an empty file, mode 0600; raises `SourceError` when no folder allows it."""
        import tempfile  # and with it shutil and its compressors: most images need no file

        try:
            file = tempfile.TemporaryFile(dir=self._folder, prefix="oci-push-", buffering=0)  # noqa: SIM115
        except OSError as problem:
            # Without a folder of ours, Python's reason lists the folders that it has tried.
            where = f"{self._folder}: " if self._folder else ""
            raise SourceError(
                f"{where}no temporary file can be made ({problem.strerror})", hint=_elsewhere(problem)
            ) from problem
        self.adopt(file)
        return file

    def writer(self, what: str) -> SpoolWriter:
        """Begin to keep bytes; all writers share one file, as an image may have more layers than we may open files."""
        with self._making:
            shared = self._shared = self._shared or self.new()
        return SpoolWriter(self, shared.fileno(), what)

    def adopt(self, file: IO[bytes]) -> None:
        """Close this file, too, when all is closed."""
        with self._lock:
            self._files.append(file)

    def write(self, file: IO[bytes], data: bytes | memoryview, what: str) -> None:
        """Append to a file within the limit of all; a full disk is a clear error."""
        self.count(len(data), what)
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        except OSError as problem:
            raise _not_written(what, problem) from problem

    def count(self, size: int, what: str) -> None:
        """Count bytes that are about to be written; raises `SourceError` beyond the limit of all files."""
        with self._lock:
            self._used += size
            if self._used > self._limit:
                raise SourceError(
                    f"{what}: needs more than {self._limit} bytes of temporary space",
                    hint="raise the limit, or give a file that need not be unpacked",
                )

    def reserve(self, size: int) -> int:
        """Return the offset of a part of the shared file that nobody else writes to."""
        with self._lock:
            offset, self._end = self._end, self._end + size
        return offset

    def close(self) -> None:
        """Close, and so remove, every file."""
        with self._lock:
            files, self._files, self._shared = self._files, [], None
        for file in files:
            file.close()


class SpoolWriter:
    """Keep the bytes of one body in a file shared with others; for one thread."""

    def __init__(self, space: SpoolSpace, file: int, what: str) -> None:
        self._space = space
        self._file = file
        self._what = what
        self._runs: list[tuple[int, int]] = []
        self._next = self._left = self._size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append within the limit of all; a full disk is a clear error."""
        self._space.count(len(data), self._what)
        view = memoryview(data)
        while view:
            if not self._left:
                self._next, self._left = self._space.reserve(_RUN_BYTES), _RUN_BYTES
            try:
                written = os.pwrite(self._file, view[: self._left], self._next)
            except OSError as problem:
                raise _not_written(self._what, problem) from problem
            self._grow(written)
            view = view[written:]

    def _grow(self, size: int) -> None:
        offset, length = self._runs[-1] if self._runs else (self._next, 0)
        if self._runs and offset + length == self._next:
            self._runs[-1] = (offset, length + size)
        else:
            self._runs.append((self._next, size))
        self._next, self._left, self._size = self._next + size, self._left - size, self._size + size

    def body(self) -> SpooledBody:
        """Return what was written."""
        return SpooledBody(self._file, tuple(self._runs), self._size, self._what)


def unreadable(what: str, problem: OSError) -> SourceError:
    """Return the error of a file that the system does not let us read."""
    # Builders that run as root often write what nobody else may read; what pushes it runs as somebody else.
    other = "this user may not: run as the one who wrote it, or let all read it there with chmod -R a+rX"
    hint = other if problem.errno == errno.EACCES else None
    return SourceError(f"{what}: cannot be read ({problem.strerror})", hint=hint)


def _not_written(what: str, problem: OSError) -> SourceError:
    full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
    return SourceError(
        f"{what}: {'the disk is full' if full else problem.strerror} while writing a temporary file",
        hint="name another folder with --tmpdir or TMPDIR",
    )


def _elsewhere(problem: OSError) -> str:
    if problem.errno in (errno.EMFILE, errno.ENFILE):
        return "raise the limit of open files (ulimit -n)"
    return "name another folder with --tmpdir or TMPDIR; in a container without one, mount a volume there"
