"""What a store says of its images and layers: ``images.json`` and ``layers.json``, read under the library's locks.

The library locks with POSIX record locks over a whole file (storage/pkg/lockfile). They are taken here as locks of an
open file, which meet those and do not end when another part of this process closes the same file.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from oci_push.errors import SourceError
from oci_push.events import Emit, LogMessage
from oci_push.runtime.context import Context
from oci_push.sources.files import FileBody, unreadable
from oci_push.sources.storage.location import Place

_MOST_BYTES = 32 * 1024 * 1024
_MOST_MARKS = 1_000_000
"""Braces, commas and colons in one list, which bound the memory that it takes; a layer has some 25."""
_WAIT_S, _TELL_AFTER = 0.05, 20
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_PLAIN_KEY = re.compile(r"[a-z0-9.]+")


class ImageRecord(Struct, frozen=True, rename="kebab"):
    """An image: `layer` is its uppermost, empty where it has none."""

    id: str
    digest: str | None = None
    names: tuple[str, ...] | None = None
    layer: str | None = None
    big_data_digests: Mapping[str, str] | None = None


class LayerRecord(Struct, frozen=True, rename="kebab"):
    """A layer; what it was compressed to where it came from, if it came from somewhere."""

    id: str
    parent: str | None = None
    diff_digest: str | None = None
    diff_size: int | None = None
    compressed_diff_digest: str | None = None
    compressed_size: int | None = None


Record = TypeVar("Record", ImageRecord, LayerRecord)


class Store(Struct, frozen=True):
    """What one place holds."""

    place: Place
    images: tuple[ImageRecord, ...] = ()
    layers: Mapping[str, LayerRecord] = field(default_factory=dict)

    def data(self, image: ImageRecord, key: str, most: int) -> bytes | None:
        """Return what is kept with an image under a key, such as its ``manifest``; ``None`` where nothing is."""
        file = key if _PLAIN_KEY.fullmatch(key) and key != "." else f"={base64.b64encode(key.encode()).decode()}"
        if "/" in file or file == "..":
            return None  # as base64 may have it: the library has no such file either
        return read_whole(self.place.images / image.id / file, most)


def read_store(place: Place, context: Context, emit: Emit) -> Store:
    """Read what a place holds; raises `SourceError`."""
    with ExitStack() as locks:
        locks.enter_context(_locked(place.layers / "layers.lock", context, emit))
        locks.enter_context(_locked(place.images / "images.lock", context, emit))
        images = _records(place.images / "images.json", ImageRecord)
        layers = [
            one
            for name in ("layers.json", "volatile-layers.json")
            for one in _records(place.layers / name, LayerRecord)
        ]
    return Store(place, tuple(images), {one.id: one for one in layers})


def read_whole(path: Path, most: int) -> bytes | None:
    """Return a file of at most `most` bytes; ``None`` where there is none. Raises `SourceError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as problem:
        hint = "images of root and of each user are apart: run this as the one who built or pulled it"
        raise SourceError(f"{path}: cannot be read ({problem.strerror})", hint=hint) from problem
    except OSError as problem:
        raise unreadable(str(path), problem) from problem
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"{path}: is no regular file")
        if found.st_size > most:
            raise SourceError(f"{path}: has {found.st_size} bytes, more than {most}")
        return FileBody(descriptor, 0, found.st_size, str(path)).read()
    finally:
        os.close(descriptor)


def _records(path: Path, kind: type[Record]) -> list[Record]:
    raw = read_whole(path, _MOST_BYTES) or b""
    if sum(map(raw.count, (b"{", b"[", b",", b":"))) > _MOST_MARKS:
        raise SourceError(f"{path}: holds too many values")
    try:
        found = msgspec.json.decode(raw, type=list[kind] | None) if raw.strip() else None  # type: ignore[valid-type]
    except (msgspec.DecodeError, ValueError, RecursionError) as problem:
        raise SourceError(f"{path}: is damaged ({problem})", hint="podman system check may repair it") from problem
    for one in found or ():
        if not _SAFE.fullmatch(one.id):
            raise SourceError(f"{path}: holds the ID {one.id[:80]!r}, which no image and no layer can have")
    return found or []


@contextmanager
def _locked(path: Path, context: Context, emit: Emit) -> Iterator[None]:
    """Hold a lock for reading; a store that is only read may have no such file, or one that this user may not open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        yield
        return
    try:
        tries = 0
        while not _lock(descriptor):
            tries += 1
            if tries == _TELL_AFTER:
                emit(LogMessage(f"waiting for {path}: another program writes to the store"))
            context.sleep(_WAIT_S)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock if nobody writes; where the kernel or the file system has no locks there is none to take."""
    command = getattr(fcntl, "F_OFD_SETLK", None)
    try:
        if command is None:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        else:
            # struct flock of Linux: type, whence, start, length, process.
            fcntl.fcntl(descriptor, command, struct.pack("@hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as problem:
        return problem.errno not in (errno.EAGAIN, errno.EACCES)
    return True
