"""Folders as layers: packed so that the same files make the same bytes, and unpacked so that nothing leaves the folder.

The tar is as oras writes it: every name begins with the layer's title, owners are 0 and times the epoch. Packed are
files, folders and symbolic links that stay inside; unpacked the same, and hard links to files that came before.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from msgspec import Struct

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.model.digest import Digest
from oci_push.runtime.context import Context
from oci_push.sources.base import BLOCK_BYTES
from oci_push.sources.codecs import expanded
from oci_push.sources.files import SpooledBody, SpoolSpace, unreadable
from oci_push.sources.settings import Limits
from oci_push.sources.tars import members

MOST_DEPTH = 128
"""How deep folders may lie in one that is packed or unpacked."""
_LEVEL = 6
_GZIP = 31
_END_MARK = 2 * tarfile.BLOCKSIZE
_READ, _RUN = 0o644, 0o755


class Packed(Struct, frozen=True):
    """A folder as a compressed tar; `plain` is the digest of the tar itself."""

    plain: Digest
    digest: Digest
    size: int
    body: SpooledBody


def pack(context: Context, folder: Path, title: str, spool: SpoolSpace, limits: Limits) -> Packed:
    """Make the compressed tar of a folder; raises `SourceError` for what cannot be in one."""
    sink = _Sink(spool, str(folder))
    wanted = cast(IO[bytes], sink)  # all that is used of it is there: a tar is only written to
    archive = tarfile.TarFile(fileobj=wanted, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8")
    for count, (path, parts) in enumerate(_walk(folder, ()), 1):
        context.check()
        if count > limits.members:
            raise SourceError(f"{folder}: holds more than {limits.members} files and folders")
        try:
            _add(archive, path, "/".join((title, *parts)), depth=len(parts) - 1)
        except OSError as problem:
            raise unreadable(str(path), problem) from problem
    # Not closed, which would fill up a record: oras reads a tar to its end mark and takes the digest of no more.
    sink.write(bytes(_END_MARK))
    return sink.packed()


class _Sink:
    """Take a tar, and keep it compressed."""

    def __init__(self, spool: SpoolSpace, what: str) -> None:
        self._writer = spool.writer(what)
        self._compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Take the next bytes of the tar."""
        self._plain.update(data)
        self._keep(self._compressor.compress(data))
        return len(data)

    def tell(self) -> int:
        """Return where a tar begins."""
        return 0

    def packed(self) -> Packed:
        """End the stream and return what came of it."""
        self._keep(self._compressor.flush())
        body = self._writer.body()
        plain, packed = (Digest("sha256", one.hexdigest()) for one in (self._plain, self._packed))
        return Packed(plain, packed, body.size, body)

    def _keep(self, data: bytes) -> None:
        self._packed.update(data)
        self._writer.write(data)


def _walk(folder: Path, parts: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Return a folder and all that is in it, each folder before what it holds, by name."""
    waiting = [(folder, parts)]
    while waiting:
        path, names = waiting.pop()
        yield path, names
        try:
            if names and (path.is_symlink() or not path.is_dir()):
                continue
            below = sorted(os.listdir(path), key=os.fsencode, reverse=True)
        except OSError as problem:
            raise unreadable(str(path), problem) from problem
        if below and len(names) >= MOST_DEPTH:
            raise SourceError(f"{path}: lies more than {MOST_DEPTH} folders deep")
        waiting += [(path / name, (*names, name)) for name in below]


def _add(archive: tarfile.TarFile, path: Path, name: str, *, depth: int) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as problem:
        raise SourceError(f"{str(path)!r}: its name is no UTF-8", hint="rename it, or leave it out") from problem
    status = path.stat() if depth < 0 else path.lstat()  # the folder that was named may be a link
    header = tarfile.TarInfo(name)
    header.mode = _RUN if stat.S_ISDIR(status.st_mode) or status.st_mode & 0o100 else _READ
    if stat.S_ISDIR(status.st_mode):
        header.type = tarfile.DIRTYPE
        archive.addfile(header)
    elif stat.S_ISLNK(status.st_mode):
        header.type, header.mode, header.linkname = tarfile.SYMTYPE, 0o777, os.readlink(path)
        if not stays_inside(header.linkname, depth):
            raise SourceError(
                f"{path}: is a link that leads out of the folder ({header.linkname})",
                hint="copy what it points at, or leave it out",
            )
        archive.addfile(header)
    elif stat.S_ISREG(status.st_mode):
        header.size = status.st_size
        with path.open("rb") as file:
            try:
                archive.addfile(header, file)
            except OSError as problem:
                if problem.errno is None:  # tarfile's own: fewer bytes came than the header says
                    raise ContentMismatchError(f"{path}: changed while it was read") from problem
                raise
    else:
        raise SourceError(f"{path}: is neither a file, a folder nor a link", hint="leave it out")


def stays_inside(link: str, depth: int) -> bool:
    """Return whether a symbolic link that lies `depth` folders below the top leads to somewhere below the top.

    ``..`` may only come first: behind a name, which may be another link, nobody can say where it leads.
    """
    parts = [part for part in link.split("/") if part not in ("", ".")]
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    return not link.startswith("/") and "\0" not in link and bool(link) and ups <= depth and ".." not in parts[ups:]


def unpack(
    context: Context,
    blocks: Iterator[bytes],
    name: str,
    title: str,
    folder: Path,
    spool: SpoolSpace,
    limits: Limits,
    plain: Digest | None = None,
) -> None:
    """Unpack a tar, compressed or not, into `folder`, which is made; `title` begins each of its names.

    Nothing is written outside of `folder`. Raises `SourceError` for what would be, for anything but files, folders and
    links, and for a bomb; `ContentMismatchError` where the tar is not the one that `plain` says.
    """
    tar = spool.new()
    running = hashlib.new(plain.algorithm if plain else "sha256")
    for block in expanded(blocks, name, limits, ratio=limits.expansion_ratio, free_bytes=limits.free_bytes):
        context.check()
        running.update(block)
        spool.write(tar, block, name)
    if plain is not None and not plain.matches(running):
        raise ContentMismatchError(f"{name}: its tar has digest {running.name}:{running.hexdigest()}, not {plain}")
    tar.seek(0)
    try:
        _Unpacking(context, name, title, folder, tar).run(limits)
    except OSError as problem:
        where = f" {problem.filename}" if problem.filename else ""
        raise SourceError(f"{name}: cannot be unpacked:{where} {problem.strerror}") from problem


class _Unpacking:
    """One tar on its way into a folder. Symbolic links are made last, so that nothing is ever written through one."""

    def __init__(self, context: Context, name: str, title: str, folder: Path, tar: IO[bytes]) -> None:
        self._context = context
        self._name = name
        self._top = tuple(part for part in title.split("/") if part not in ("", "."))
        self._folder = folder
        self._tar = tar
        self._made: dict[tuple[str, ...], bytes] = {}
        self._links: dict[tuple[str, ...], str] = {}

    def run(self, limits: Limits) -> None:
        """Unpack all of it."""
        self._folder.mkdir()
        self._made[()] = tarfile.DIRTYPE
        for member in members(self._name, self._tar, limits):
            self._context.check()
            parts = self._below_top(member.name)
            if parts:
                self._take(member, parts)
            elif not member.isdir():
                raise self._refused(member.name, "is the folder itself, and no folder")
        for parts, target in self._links.items():
            if parts in self._made:
                raise self._refused("/".join(parts), "is there twice")
            self._parents(parts)
            os.symlink(target, self._at(parts))
            self._made[parts] = tarfile.SYMTYPE

    def _take(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        shown = member.name
        known = self._made.get(parts)
        if member.isdir() and known == tarfile.DIRTYPE:
            return
        if known is not None or parts in self._links:
            raise self._refused(shown, "is there twice")
        if member.issym():
            if not stays_inside(member.linkname, len(parts) - 1):
                raise self._refused(shown, f"is a link that leads out of the folder ({member.linkname!r})")
            self._links[parts] = member.linkname
            return
        self._parents(parts)
        if member.isdir():
            self._at(parts).mkdir()
            self._made[parts] = tarfile.DIRTYPE
        elif member.islnk():
            source = self._below_top(member.linkname)
            if self._made.get(source) != tarfile.REGTYPE:
                raise self._refused(shown, f"is a hard link to {member.linkname!r}, which is no file before it")
            os.link(self._at(source), self._at(parts))
            self._made[parts] = tarfile.REGTYPE
        elif member.isreg():
            self._write(member, self._at(parts))
            self._made[parts] = tarfile.REGTYPE
        else:
            raise self._refused(shown, "is neither a file, a folder nor a link")

    def _write(self, member: tarfile.TarInfo, path: Path) -> None:
        # What may be run stays so; no other bit of a mode that somebody else wrote is taken over.
        mode = 0o777 if member.mode & 0o100 else 0o666
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            position, left = member.offset_data, member.size
            while left:
                block = os.pread(self._tar.fileno(), min(left, BLOCK_BYTES), position)
                if not block:
                    raise ContentMismatchError(f"{self._name}: member {member.name!r} is cut short")
                file.write(block)
                position, left = position + len(block), left - len(block)

    def _parents(self, parts: tuple[str, ...]) -> None:
        for length in range(1, len(parts)):
            above = parts[:length]
            known = self._made.get(above)
            if known is None and above not in self._links:
                self._at(above).mkdir()
                self._made[above] = tarfile.DIRTYPE
            elif known != tarfile.DIRTYPE:
                raise self._refused("/".join(parts), f"lies below {'/'.join(above)!r}, which is no folder")

    def _below_top(self, text: str) -> tuple[str, ...]:
        parts = tuple(part for part in text.split("/") if part not in ("", "."))
        if text.startswith("/") or ".." in parts or "\0" in text or parts[: len(self._top)] != self._top:
            raise self._refused(text, "would be written outside of the folder")
        if len(parts) > len(self._top) + MOST_DEPTH:
            raise self._refused(f"{text[:80]}…", f"lies more than {MOST_DEPTH} folders deep")
        return parts[len(self._top) :]

    def _at(self, parts: tuple[str, ...]) -> Path:
        return self._folder.joinpath(*parts)

    def _refused(self, member: str, why: str) -> SourceError:
        return SourceError(
            f"{self._name}: member {member!r} {why}; nothing was written",
            hint="it was made by a mistake, or to do harm; --no-unpack keeps the archive as a file",
        )
