"""One read-only view over a folder or a tar: names to bytes. Compressed tars and stdin become plain ones first.

A tar's headers are scanned once; members are then read at their offsets, from any thread.
"""

from __future__ import annotations

import os
import stat
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from msgspec import Struct

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.runtime.context import Context
from oci_push.sources.base import BLOCK_BYTES
from oci_push.sources.codecs import HEAD_BYTES, expanded, told
from oci_push.sources.files import FileBody, SpoolSpace, unreadable
from oci_push.sources.settings import Limits, Opening


class View(Protocol):
    """Files by their path in the image's folder or archive."""

    @property
    def name(self) -> str:
        """Return the folder or file as the user wrote it."""
        ...

    def find(self, path: str) -> FileBody | None:
        """Return a file's bytes, links followed inside the view, or ``None``."""
        ...


def read_small(view: View, path: str, limits: Limits) -> bytes | None:
    """Return a small file (JSON) whole; over the limit is an error."""
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
        """Return a regular file below the folder."""
        try:
            full = os.path.realpath(os.path.join(self._root, normalise(path, self.name)))
        except UnicodeEncodeError:
            return None  # JSON can write names that no file can have
        if os.path.commonpath([full, self._root]) != self._root:
            raise SourceError(
                f"{self.name}: {path} is a link that leads out of the folder",
                hint="Bazel writes such layouts: copy it with cp -RL, which puts files in the place of links",
            )
        try:
            found = os.stat(full)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as problem:
            raise unreadable(f"{self.name}: {path}", problem) from problem
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
            member = self._members.get(_inside(base, member.linkname, self.name, at))
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


def view_of(opening: Opening, wants: str = "") -> View:
    """Return what is named: a ``file``, a ``folder`` or ``stdin`` if `wants` says so, else a file or folder.

    Raises `SourceError` where it is another, not there, or no tar.
    """
    spec = opening.spec
    if wants == "stdin":
        stream = opening.stdin or (sys.stdin.buffer if sys.stdin else None)
        if stream is None:
            raise SourceError("source -: stdin is closed", hint="pipe the archive in, or name its file")
        return open_tar("stdin", stream, opening.spool, opening.context, opening.settings.limits)
    path = Path(spec.path)
    if "\0" in spec.path:
        raise SourceError(f"{spec.path!r}: a path cannot hold a zero byte")
    if os.path.isdir(path):
        if wants == "file":
            raise SourceError(f"{spec.path}: is a folder, {spec.kind} wants a file", hint=f"write oci:{spec.path}")
        return FolderView(spec.path, path)
    try:
        file = path.open("rb")
    except FileNotFoundError as problem:
        # Other programs write oci://HOST/REPO for a registry.
        hint = f"a registry is written docker:{spec.path}" if spec.text.startswith("oci://") else None
        raise SourceError(f"{spec.path}: no such file or folder", hint=hint) from problem
    except OSError as problem:
        raise unreadable(spec.path, problem) from problem
    opening.spool.adopt(file)
    if wants == "folder":
        raise SourceError(f"{spec.path}: is a file, {spec.kind} wants a folder", hint=f"write oci-archive:{spec.path}")
    return open_tar(spec.path, file, opening.spool, opening.context, opening.settings.limits)


def normalise(path: str, name: str) -> str:
    """Return a member's path without ``./``; one that is absolute or climbs out is refused."""
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
                # Of several members with one name the last counts, as for tar itself: `tar -r` changes archives so.
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


def _blocks(file: BinaryIO, name: str, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    try:
        while block := file.read(size):
            yield block
    except OSError as problem:
        raise SourceError(f"{name}: cannot be read ({problem.strerror})") from problem
