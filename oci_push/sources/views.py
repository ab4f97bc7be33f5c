"""One read-only view over a folder or a tar: names to bytes. Compressed tars and stdin become plain ones first.

A tar's headers are scanned once; members are then read at their offsets, from any thread.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.runtime.scope import Scope
from oci_push.sources.base import BLOCK_BYTES
from oci_push.sources.files import FileBody, SpoolSpace
from oci_push.sources.settings import Limits

_ZSTD_WINDOW = 128 * 1024 * 1024
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class View(Protocol):
    """Find files by their path in the image's folder or archive."""

    @property
    def name(self) -> str:
        """Give the folder or file as the user wrote it."""
        ...

    def find(self, path: str) -> FileBody | None:
        """Give a file's bytes, links followed inside the view, or ``None``."""
        ...


def read_small(view: View, path: str, limits: Limits) -> bytes | None:
    """Read a small file (JSON) whole; over the limit is an error."""
    body = view.find(path)
    if body is None:
        return None
    if body.size > limits.json_bytes:
        raise SourceError(f"{view.name}: {path} has {body.size} bytes, more than {limits.json_bytes}")
    return body.read()


class FolderView:
    """A folder on disk; links may not lead out of it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._root = os.path.realpath(folder)

    def find(self, path: str) -> FileBody | None:
        """Give a regular file below the folder."""
        try:
            full = os.path.realpath(os.path.join(self._root, normalise(path, self.name)))
        except UnicodeEncodeError:
            return None  # JSON can write names that no file can have
        if os.path.commonpath([full, self._root]) != self._root:
            raise SourceError(f"{self.name}: {path} is a link that leads out of the folder")
        try:
            found = os.stat(full)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as problem:
            raise SourceError(f"{self.name}: {path} cannot be read ({problem.strerror})") from problem
        if not stat.S_ISREG(found.st_mode):
            return None
        return FileBody(full, 0, found.st_size, f"{self.name}: {path}")


class TarView:
    """A plain tar, by its index of names."""

    def __init__(self, name: str, file: BinaryIO, limits: Limits) -> None:
        self.name = name
        self._file = file
        self._limits = limits
        self._members = _scan(name, file, limits)

    def find(self, path: str) -> FileBody | None:
        """Give a member's bytes; hard and symbolic links are followed inside the archive."""
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
            member = self._members.get(_inside(base, member.linkname, self.name, at))
        raise SourceError(f"{self.name}: member {at} is a link in a loop")


def open_tar(name: str, file: BinaryIO, spool: SpoolSpace, scope: Scope, limits: Limits) -> TarView:
    """View a tar that may be gzip or zstd outside, or not seekable: then it is spooled once."""
    head = b""
    if file.seekable():
        head = file.read(4)
        file.seek(0)
        if not head.startswith((_GZIP, _ZSTD)):
            return TarView(name, file, limits)
    spooled = spool.new()
    for block in _expanded(_blocks(file, name), name, limits):
        scope.check()
        spool.write(spooled, block, name)
    spooled.seek(0)
    return TarView(name, spooled, limits)  # type: ignore[arg-type]  # IO[bytes] opened unbuffered is a BinaryIO


def normalise(path: str, name: str) -> str:
    """Give a member's path without ``./``; one that is absolute or climbs out is refused."""
    if "\0" in path:
        raise SourceError(f"{name}: member {path!r} has a zero byte in its name")
    if path.startswith("/"):
        raise SourceError(f"{name}: member {path!r} has an absolute path")
    return _inside("", path, name, path)


def _inside(base: str, path: str, name: str, shown: str) -> str:
    parts: list[str] = [part for part in base.split("/") if part not in ("", ".")]
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise SourceError(f"{name}: member {shown!r} leads out of the archive")
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


@dataclass(frozen=True, slots=True)
class _Member:
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


def _scan(name: str, file: BinaryIO, limits: Limits) -> dict[str, _Member]:
    found: dict[str, _Member] = {}
    last = ""
    size = os.fstat(file.fileno()).st_size
    try:
        headers = _Headers(file, limits.header_bytes)
        with tarfile.open(fileobj=headers, mode="r:") as archive:  # type: ignore[call-overload]  # read, seek and tell do
            for member in archive:
                last = member.name
                path = normalise(member.name, name)
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
                known = found.get(path)
                if known is not None and not (known.is_folder and member.isdir()):
                    raise SourceError(f"{name}: member {member.name} is in the archive twice")
                found[path] = _Member(member.name, member.type, member.size, member.offset_data, member.linkname)
                archive.members.clear()  # which tarfile would keep, all of them
                if len(found) > limits.members:
                    raise SourceError(f"{name}: has more than {limits.members} members")
            # tarfile takes a header it cannot read for the end; the real end is a block of zeros, or of the file.
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise SourceError(
                    f"{name}: the header after member {last} is damaged", hint="the archive is damaged or cut short"
                )
    except (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError) as problem:
        where = f" after member {last}" if last else ""
        raise SourceError(
            f"{name}: is not a readable tar{where} ({problem})", hint="the archive is damaged or cut short"
        ) from problem
    except OSError as problem:
        raise SourceError(f"{name}: cannot be read ({problem.strerror})") from problem
    return found


class _Headers:
    """Let `tarfile` read headers alone: an extension header says itself how much of it to hold in memory."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Read a header, or refuse one over the limit."""
        if not 0 <= size <= self._limit:
            raise tarfile.ReadError(f"a header of {size} bytes, the limit is {self._limit}")
        return self._file.read(size)


def _blocks(file: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        while block := file.read(BLOCK_BYTES):
            yield block
    except OSError as problem:
        raise SourceError(f"{name}: cannot be read ({problem.strerror})") from problem


def _expanded(blocks: Iterable[bytes], name: str, limits: Limits) -> Iterator[bytes]:
    """Undo gzip or zstd round a stream, in bounded pieces, and refuse a bomb."""
    iterator = iter(blocks)
    first = next(iterator, b"")
    while 0 < len(first) < 4:
        more = next(iterator, b"")
        if not more:
            break
        first += more
    if not first.startswith((_GZIP, _ZSTD)):
        yield first
        yield from iterator
        return
    taken = given = 0
    for block, out in _decoded(first, iterator, name):
        taken, given = taken + block, given + len(out)
        if given > 64 * 1024 * 1024 and given > taken * limits.expansion_ratio:
            raise SourceError(
                f"{name}: grows more than {limits.expansion_ratio} times when decompressed; refused as a bomb"
            )
        yield out


class _Counted:
    """Present blocks as a file to read from, and count what has been taken."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""
        self.taken = 0

    def read(self, size: int) -> bytes:
        """Give at most `size` bytes."""
        if not self._rest:
            self._rest = next(self._blocks, b"")
        given, self._rest = self._rest[:size], self._rest[size:]
        self.taken += len(given)
        return given


def _decoded(first: bytes, rest: Iterator[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    from itertools import chain

    stream = chain([first], rest)
    if first.startswith(_ZSTD):
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        source = _Counted(stream)
        seen = 0
        try:
            with decompressor.stream_reader(
                source,  # type: ignore[arg-type]  # it needs read() alone
                read_size=BLOCK_BYTES,
                read_across_frames=True,
            ) as reader:
                # A read is bounded in what comes out, so a bomb is noticed before it is in memory.
                while out := reader.read(BLOCK_BYTES * 8):
                    yield source.taken - seen, out
                    seen = source.taken
        except zstandard.ZstdError as problem:
            raise SourceError(f"{name}: is damaged zstd ({problem})") from problem
        return
    import zlib

    inflate, is_whole = zlib.decompressobj(31), False
    try:
        for block in stream:
            pending, counted = block, len(block)
            while pending:
                yield counted, inflate.decompress(pending, BLOCK_BYTES * 8)
                counted = 0
                pending = inflate.unconsumed_tail
                is_whole = inflate.eof
                if is_whole:
                    pending, inflate = inflate.unused_data, zlib.decompressobj(31)
                    if not pending.strip(b"\0"):
                        break
    except zlib.error as problem:
        raise SourceError(f"{name}: is damaged gzip ({problem})") from problem
    if not is_whole:
        raise SourceError(f"{name}: is cut short (the gzip stream does not end)")
