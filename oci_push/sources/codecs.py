"""Compressed streams, of whole archives and of layers: told by their first bytes, undone in bounded pieces.

What is not supported is named. A window (zstd's, or xz's dictionary) is memory that the stream demands, so it has a
limit; so has how far a stream may grow.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from oci_push.errors import SourceError
from oci_push.sources.base import BLOCK_BYTES

if TYPE_CHECKING:
    from oci_push.sources.settings import Limits

LARGE_WINDOW_BYTES = 8 * 1024 * 1024
"""Windows beyond this are uncommon; who reads several streams at once reads one of those at a time."""
HEAD_BYTES = tarfile.BLOCKSIZE
"""How many of the first bytes are looked at."""

_MIB = 1024 * 1024
_PIECE = _MIB

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes([0x50 + n, 0x2A, 0x4D, 0x18]), "zstd") for n in range(16)),  # a skippable frame before the first
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x5d\0\0", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"LZIP", "lzip"),
    (b"\x89LZO", "lzop"),
    (b"\x1f\x9d", "compress"),
    (b"7z\xbc\xaf\x27\x1c", "7-zip"),
    (b"PK\x03\x04", "zip"),
    (b"\xff\x06\0\0sNaPpY", "snappy"),
)


class WindowError(SourceError):
    """Refuse a stream whose window is over the limit."""


def told(head: bytes) -> str:
    """Name the compression of what begins with `head`; empty for a tar, or for what nobody knows."""
    name = next((name for magic, name in _MAGIC if head.startswith(magic)), "")
    if name and len(head) >= HEAD_BYTES:
        try:
            tarfile.TarInfo.frombuf(head[:HEAD_BYTES], "utf-8", "surrogateescape")
        except tarfile.TarError:
            return name
        return ""  # a tar whose first file is called like that
    return name


def expanded(blocks: Iterator[bytes], name: str, limits: Limits, *, ratio: int, free_bytes: int) -> Iterator[bytes]:
    """Undo the compression round a stream, if there is any, in bounded pieces.

    Raises `SourceError` for what is damaged, not supported, or grows to more than `ratio` times its size beyond
    `free_bytes`.
    """
    head = b""
    for block in blocks:
        head += block
        if len(head) >= HEAD_BYTES:
            break
    codec = told(head)
    stream = chain([head], blocks)
    if not codec:
        yield from stream
        return
    if codec not in _DECODERS:
        raise SourceError(
            f"{name}: is compressed with {codec}, which is not supported",
            hint=f"{', '.join(sorted(_DECODERS))} are; or decompress it first",
        )
    taken = _Taken(stream)
    given = 0
    for out in _DECODERS[codec](taken, name, limits):
        given += len(out)
        if given > free_bytes and given > taken.count * ratio:
            raise SourceError(f"{name}: grows more than {ratio} times when decompressed; refused as a bomb")
        yield out


class _Taken:
    """Return blocks one by one, or as a file to read from, and count what has been taken."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.count += len(block)
            yield block

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        given, self._rest = self._rest[:size], self._rest[size:]
        self.count += len(given)
        return given


def _zstd(stream: _Taken, name: str, limits: Limits) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=limits.window_bytes)
    try:
        with decompressor.stream_reader(
            stream,  # type: ignore[arg-type]  # it needs read() alone
            read_size=BLOCK_BYTES,
            read_across_frames=True,
        ) as reader:
            # A read is bounded in what comes out, so a bomb is noticed before it is in memory.
            while out := reader.read(_PIECE):
                yield out
    except zstandard.ZstdError as problem:
        if "too much memory" in str(problem):
            most = limits.window_bytes // _MIB
            raise WindowError(
                f"{name}: its zstd window is larger than {most} MiB, the most that is read",
                hint=f"compress it without --long or --ultra, or with --long={limits.window_bytes.bit_length() - 1}; "
                "or decompress it first",
            ) from problem
        raise SourceError(f"{name}: is damaged zstd ({problem})") from problem


def _gzip(stream: _Taken, name: str, limits: Limits) -> Iterator[bytes]:
    make, damaged = _inflate()
    member = _Member("gzip", lambda: make(31), damaged, padding=b"\0")
    return member.decode(stream, name)


def _xz(stream: _Taken, name: str, limits: Limits) -> Iterator[bytes]:
    import lzma

    member = _Member(
        "xz", lambda: lzma.LZMADecompressor(memlimit=limits.window_bytes + 2 * _MIB), (lzma.LZMAError, EOFError), b"\0"
    )
    try:
        yield from member.decode(stream, name)
    except SourceError as problem:
        if "Memory usage limit" not in str(problem):
            raise
        raise WindowError(
            f"{name}: its xz dictionary is larger than {limits.window_bytes // _MIB} MiB, the most that is read",
            hint="compress it with a preset of xz, such as xz -9; or decompress it first",
        ) from problem


def _bzip2(stream: _Taken, name: str, limits: Limits) -> Iterator[bytes]:
    import bz2

    return _Member("bzip2", bz2.BZ2Decompressor, (OSError, EOFError, ValueError), b"").decode(stream, name)


def _inflate() -> tuple[Callable[[int], Any], tuple[type[Exception], ...]]:
    import zlib

    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.decompressobj, (zlib.error,)
    return isal_zlib.decompressobj, (isal_zlib.error, zlib.error)  # type: ignore[return-value]  # its stubs say instance


class _Member(Struct, frozen=True):
    """Decode streams of members one behind the other, as the standard library's decompressors see them."""

    kind: str
    make: Callable[[], Any]
    damaged: tuple[type[Exception], ...]
    padding: bytes

    def decode(self, stream: _Taken, name: str) -> Iterator[bytes]:
        """Return what comes out, at most `_PIECE` at a time; `padding` between and behind members is passed over."""
        current = self.make()
        begun = whole = False
        try:
            for block in stream:
                pending = block
                while pending:
                    if not begun:
                        pending = pending.lstrip(self.padding) if whole and self.padding else pending
                        if not pending:
                            break
                        current, begun = self.make(), True
                    yield current.decompress(pending, _PIECE)
                    pending = getattr(current, "unconsumed_tail", b"")
                    while not current.eof and not getattr(current, "needs_input", True):
                        yield current.decompress(b"", _PIECE)
                    if current.eof:
                        pending, begun, whole = current.unused_data, False, True
        except self.damaged as problem:
            raise SourceError(f"{name}: is damaged {self.kind} ({problem})") from problem
        if begun or not whole:
            raise SourceError(f"{name}: is cut short (the {self.kind} stream does not end)")


_DECODERS: dict[str, Callable[[_Taken, str, Limits], Iterator[bytes]]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "xz": _xz,
    "lzma": _xz,
    "bzip2": _bzip2,
}
