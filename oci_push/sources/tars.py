"""Tars, read at any place: a tar's headers are scanned once, and members are read at their offsets, from any thread.

One that is compressed, or cannot be read twice, becomes a plain file first.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, BinaryIO

from msgspec import Struct

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.runtime.context import Context
from oci_push.sources.base import BLOCK_BYTES
from oci_push.sources.codecs import HEAD_BYTES, expanded, told
from oci_push.sources.files import FileBody, SpoolSpace
from oci_push.sources.readers import inside, normalise
from oci_push.sources.settings import Limits


class TarView:
    """A plain tar, by its index of names."""

    def __init__(self, name: str, file: BinaryIO, limits: Limits) -> None:
        self.name = name
        self._file = file
        self._limits = limits
        self._members = _scan(name, file, limits)

    def find(self, path: str) -> FileBody | None:
        """Return a member's bytes; hard and symbolic links are followed inside the archive."""
        member, at = self._members.get(normalise(path, self.name)), path
        for _ in range(self._limits.links):
            if member is None:
                return None
            if member.is_file:
                what = f"{self.name}: {member.name}"
                return FileBody(self._file.fileno(), member.offset, member.size, what)
            if not member.is_link:
                kind = "a folder" if member.is_folder else "neither a file nor a link"
                raise SourceError(f"{self.name}: member {at} is {kind}")
            base = str(PurePosixPath(normalise(member.name, self.name)).parent) if member.is_symlink else ""
            at = f"{member.name} -> {member.linkname}"
            if member.linkname.startswith("/"):
                raise SourceError(f"{self.name}: member {at} is an absolute link")
            member = self._members.get(inside(base, member.linkname, self.name, at))
        raise SourceError(f"{self.name}: member {at} is a link in a loop")


def open_tar(name: str, file: BinaryIO, spool: SpoolSpace, context: Context, limits: Limits) -> TarView:
    """Return the view of a tar that may be compressed, or not seekable: then it is spooled once."""
    if file.seekable():
        head = next(_blocks(file, name, HEAD_BYTES), b"")
        file.seek(0)
        if not told(head):
            return TarView(name, file, limits)
    spooled = spool.new()
    plain = expanded(_blocks(file, name), name, limits, ratio=limits.expansion_ratio, free_bytes=limits.free_bytes)
    for block in plain:
        context.check()
        spool.write(spooled, block, name)
    spooled.seek(0)
    return TarView(name, spooled, limits)  # type: ignore[arg-type]  # IO[bytes] opened unbuffered is a BinaryIO


class _Member(Struct, frozen=True):
    """Keep of a header what is needed: `tarfile`'s own object takes four times the memory."""

    name: str
    kind: bytes
    size: int
    offset: int
    linkname: str

    @property
    def is_file(self) -> bool:
        return self.kind in tarfile.REGULAR_TYPES

    @property
    def is_symlink(self) -> bool:
        return self.kind == tarfile.SYMTYPE

    @property
    def is_link(self) -> bool:
        return self.kind in (tarfile.SYMTYPE, tarfile.LNKTYPE)

    @property
    def is_folder(self) -> bool:
        return self.kind == tarfile.DIRTYPE


def members(name: str, file: BinaryIO | IO[bytes], limits: Limits) -> Iterator[tarfile.TarInfo]:
    """Read the headers of a plain tar one by one; raises `SourceError` for one that is damaged, or for too many."""
    last = ""
    count = 0
    size = os.fstat(file.fileno()).st_size
    try:
        headers = _Headers(file, limits.header_bytes)
        with tarfile.open(fileobj=headers, mode="r:") as archive:  # type: ignore[call-overload]  # read, seek and tell do
            for member in archive:
                last = member.name
                count += 1
                if member.issparse():
                    raise SourceError(f"{name}: member {member.name} is stored sparse, which is not supported")
                if member.size < 0:
                    raise SourceError(f"{name}: member {member.name} has a negative size")
                if member.isreg() and member.offset_data + member.size > size:
                    missing = member.offset_data + member.size - size
                    raise ContentMismatchError(
                        f"{name}: member {member.name} is cut short ({missing} bytes are missing)",
                        hint="the archive was not written or copied to its end",
                    )
                if count > limits.members:
                    raise SourceError(f"{name}: has more than {limits.members} members")
                yield member
                archive.members.clear()  # which tarfile would keep, all of them
            # tarfile takes a header it cannot read for the end; the real end is a block of zeros, or of the file.
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise SourceError(
                    f"{name}: the header after member {last} is damaged", hint="the archive is damaged or cut short"
                )
    except (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError) as problem:
        where = f" after member {last}" if last else ""
        raise SourceError(
            f"{name}: is not a readable tar{where} ({problem})",
            hint="the archive is damaged or cut short" if last else "it is no archive, or it is damaged or cut short",
        ) from problem
    except OSError as problem:
        raise SourceError(f"{name}: cannot be read ({problem.strerror})") from problem


def _scan(name: str, file: BinaryIO, limits: Limits) -> dict[str, _Member]:
    found: dict[str, _Member] = {}
    for member in members(name, file, limits):
        # Of several members with one name the last counts, as for tar itself: `tar -r` changes archives so.
        path = normalise(member.name, name)
        found[path] = _Member(member.name, member.type, member.size, member.offset_data, member.linkname)
    return found


class _Headers:
    """Let `tarfile` read headers alone: an extension header says itself how much of it to hold in memory."""

    def __init__(self, file: BinaryIO | IO[bytes], limit: int) -> None:
        self._file = file
        self._limit = limit
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Read a header, or refuse one over the limit."""
        if not 0 <= size <= self._limit:
            raise tarfile.ReadError(f"a header of {size} bytes, the limit is {self._limit}")
        return self._file.read(size)


def _blocks(file: BinaryIO, name: str, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    try:
        while block := file.read(size):
            yield block
    except OSError as problem:
        raise SourceError(f"{name}: cannot be read ({problem.strerror})") from problem
