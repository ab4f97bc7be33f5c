"""Compression of layers: the same bytes for any number of threads.

A layer is cut into segments of 4 MiB, each deflated on its own and ended by a full flush, all inside one gzip
member with one CRC. Segments can so be made in any order by any thread. igzip (`isal`) does 570 MB/s a core
where zlib does 100; its output differs, so the library is part of the key under which digests are remembered.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from oci_push.errors import ConfigError, ContentMismatchError
from oci_push.model.digest import Digest
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.sources.files import SpooledBody, SpoolSpace

if TYPE_CHECKING:
    from hashlib import _Hash

Blocks: TypeAlias = Iterable[bytes | memoryview]
_SEGMENT = 4 * 1024 * 1024
_PIECE = 512 * 1024
_FAST_LEVELS = 3
"""The levels that igzip has; higher ones are zlib's."""
_CONTEXTS_BYTES = 64 * 1024 * 1024
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, system unknown
_END = b"\x03\x00"  # an empty last block


class Compressor(Struct, frozen=True):
    """An algorithm at a level: `key` names exactly what bytes it makes.

    `context_bytes` is the memory that each thread takes beside its segment.
    """

    key: str
    suffix: str
    segment: Callable[[memoryview], list[bytes]]
    crc: Callable[[memoryview, int], int]
    context_bytes: int = 0

    def threads(self, wanted: int) -> int:
        """Return how many threads may work at once: high levels of zstd take 65 MiB each."""
        return max(1, min(wanted, _CONTEXTS_BYTES // max(1, self.context_bytes)))


class Compressed(Struct, frozen=True):
    """A compressed layer: its digest and size, and the body in the spool."""

    diff_id: Digest
    digest: Digest
    size: int
    body: SpooledBody


def check_level(algorithm: str, level: int) -> None:
    """Refuse a level that the algorithm does not have."""
    highest = {"zstd": 22, "gzip": 9}.get(algorithm, 0)
    if not 0 <= level <= highest:
        raise ConfigError(
            f"compression level {level} does not exist for {algorithm}",
            hint=f"give 1 to {highest}, or 0 for the usual one" if highest else "nothing is compressed then",
        )


def make_compressor(algorithm: str, level: int) -> Compressor:
    """Choose the library: ``gzip`` by igzip or else zlib, ``zstd`` by zstandard; ``none`` leaves bytes as they are."""
    check_level(algorithm, level)
    if algorithm == "none":
        return Compressor("none", "tar", lambda data: [bytes(data)], lambda data, value: 0)
    if algorithm == "zstd":
        import zstandard

        chosen = level or 3
        parameters = zstandard.ZstdCompressionParameters.from_level(chosen, source_size=_SEGMENT)
        return Compressor(
            f"zstd-{chosen}-4m",
            "zstd",
            lambda data: [zstandard.ZstdCompressor(level=chosen, write_content_size=True).compress(data)],
            lambda data, value: 0,
            parameters.estimated_compression_context_size(),
        )
    chosen = level or 1
    name, library = _deflate(chosen)

    def segment(data: memoryview) -> list[bytes]:
        deflate = library.compressobj(chosen, library.DEFLATED, -15)
        return [*map(deflate.compress, _pieces(data)), deflate.flush(library.Z_FULL_FLUSH)]

    return Compressor(f"{name}-{chosen}-4m-512k", "gzip", segment, library.crc32)


def _deflate(level: int) -> tuple[str, Any]:
    import zlib

    if level <= _FAST_LEVELS:
        try:
            from isal import isal_zlib
        except ImportError:
            pass
        else:
            return "igzip", isal_zlib
    return "zlib", zlib


def compress(
    context: Context,
    blocks: Blocks,
    diff_id: Digest,
    compressor: Compressor,
    spool: SpoolSpace,
    what: str,
    threads: int,
) -> Compressed:
    """Compress one layer into the spool, checking its diff_id on the way; `threads` work on its segments."""
    writer = spool.writer(f"{what} (compressed)")
    raw, out, size, crc, length = diff_id.new_hash(), hashlib.sha256(), 0, 0, 0
    gzip = compressor.suffix == "gzip"

    def write(data: bytes) -> None:
        nonlocal size
        out.update(data)
        writer.write(data)
        size += len(data)

    if gzip:
        write(_HEADER)
    for group in _groups(blocks, threads):
        context.check()
        made = _segments(context, group, compressor, raw)
        for data, segment in zip(group, made, strict=True):
            crc = compressor.crc(data, crc) if gzip else 0
            length += len(data)
            for piece in segment:
                write(piece)
    if not gzip and not length:
        for piece in compressor.segment(memoryview(b"")):
            write(piece)  # no bytes at all are no zstd frame
    if gzip:
        write(_END + struct.pack("<II", crc & 0xFFFFFFFF, length & 0xFFFFFFFF))
    check_diff_id(diff_id, raw, what)
    digest = Digest("sha256", out.hexdigest())
    return Compressed(diff_id, digest, size, writer.body())


def check_diff_id(diff_id: Digest, running: _Hash, what: str) -> None:
    """See that a layer's uncompressed bytes, hashed, are those that the config names; else `ContentMismatchError`."""
    if not diff_id.matches(running):
        raise ContentMismatchError(
            f"{what}: layer has diff_id {diff_id.algorithm}:{running.hexdigest()}, the image's config says {diff_id}",
            hint="the archive is damaged, or its layers and config do not belong together",
        )


def _segments(context: Context, group: list[memoryview], compressor: Compressor, raw: _Hash) -> list[list[bytes]]:
    def hash_group() -> list[bytes]:
        for data in group:
            raw.update(data)
        return []

    if len(group) == 1:
        hash_group()
        return [compressor.segment(group[0])]
    jobs: list[Callable[[Context], list[bytes]]] = [lambda _: hash_group()]
    jobs += [lambda _, data=data: compressor.segment(data) for data in group]  # type: ignore[misc]
    return [outcome.get() for outcome in run_all(context, jobs, limit=len(jobs))][1:]


def _groups(blocks: Blocks, width: int) -> Iterator[list[memoryview]]:
    """Cut blocks into segments, `width` of them at a time, in buffers that each step overwrites.

    Memory is so the same for a layer of any size; new buffers for each segment would be scattered over the heap.
    """
    buffers = [memoryview(bytearray(_SEGMENT)) for _ in range(width)]
    group: list[memoryview] = []
    used = 0
    for block in blocks:
        view = memoryview(block)
        while view:
            taken = min(len(view), _SEGMENT - used)
            buffers[len(group)][used : used + taken] = view[:taken]
            view, used = view[taken:], used + taken
            if used == _SEGMENT:
                group.append(buffers[len(group)])
                used = 0
            if len(group) == width:
                yield group
                group = []
    if used:
        group.append(buffers[len(group)][:used])
    if group:
        yield group


def _pieces(data: memoryview) -> Iterator[memoryview]:
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))
