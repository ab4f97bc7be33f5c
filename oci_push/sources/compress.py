"""Compression of layers: the same bytes for any number of threads.

A layer is cut into segments of 4 MiB, each deflated on its own and ended by a full flush, all inside one gzip
member with one CRC. Segments can so be made in any order by any thread. igzip (`isal`) does 570 MB/s a core
where zlib does 100; its output differs, so the library is part of the key under which digests are remembered.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from oci_push.errors import ConfigError, ContentMismatchError
from oci_push.model.digest import Digest
from oci_push.runtime.scope import Scope
from oci_push.runtime.tasks import run_all
from oci_push.sources.files import SpooledBody, SpoolSpace

if TYPE_CHECKING:
    from hashlib import _Hash

Blocks: TypeAlias = Iterable[bytes | memoryview]
_SEGMENT = 4 * 1024 * 1024
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, system unknown
_END = b"\x03\x00"  # an empty last block


@dataclass(frozen=True, slots=True)
class Compressor:
    """Hold an algorithm at a level: `key` names exactly what bytes it makes."""

    key: str
    suffix: str
    segment: Callable[[bytes], bytes]
    crc: Callable[[bytes, int], int]


@dataclass(frozen=True, slots=True)
class Compressed:
    """Hold a compressed layer: its digest and size, and the body in the spool."""

    diff_id: Digest
    digest: Digest
    size: int
    body: SpooledBody


def make_compressor(algorithm: str, level: int) -> Compressor:
    """Choose the library: ``gzip`` by igzip or else zlib, ``zstd`` by zstandard; ``none`` leaves bytes as they are."""
    import zlib

    highest = 22 if algorithm == "zstd" else 9
    if not 0 <= level <= highest:
        raise ConfigError(
            f"compression level {level} does not exist for {algorithm}",
            hint=f"give 1 to {highest}, or 0 for the usual one",
        )
    if algorithm == "none":
        return Compressor("none", "tar", lambda data: data, lambda data, value: 0)
    if algorithm == "zstd":
        import zstandard

        chosen = level or 3
        return Compressor(
            f"zstd-{chosen}-4m",
            "zstd",
            lambda data: zstandard.ZstdCompressor(level=chosen, write_content_size=True).compress(data),
            lambda data, value: 0,
        )
    try:
        from isal import isal_zlib
    except ImportError:
        chosen = level or 1

        def plain(data: bytes) -> bytes:
            deflate = zlib.compressobj(chosen, zlib.DEFLATED, -15)
            return deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH)

        return Compressor(f"zlib-{chosen}-4m", "gzip", plain, zlib.crc32)
    chosen = min(level, 3) if level else 1

    def fast(data: bytes) -> bytes:
        deflate = isal_zlib.compressobj(chosen, isal_zlib.DEFLATED, -15)
        out: bytes = deflate.compress(data) + deflate.flush(isal_zlib.Z_FULL_FLUSH)
        return out

    return Compressor(f"igzip-{chosen}-4m", "gzip", fast, isal_zlib.crc32)


def compress(
    scope: Scope,
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
        scope.check()
        made = _segments(scope, group, compressor, raw)
        for data, segment in zip(group, made, strict=True):
            crc = compressor.crc(data, crc) if gzip else 0
            length += len(data)
            write(segment)
    if not gzip and not length:
        write(compressor.segment(b""))  # no bytes at all are no zstd frame
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


def _segments(scope: Scope, group: list[bytes], compressor: Compressor, raw: _Hash) -> list[bytes]:
    def hash_group() -> bytes:
        for data in group:
            raw.update(data)
        return b""

    if len(group) == 1:
        hash_group()
        return [compressor.segment(group[0])]
    jobs: list[Callable[[Scope], bytes]] = [lambda _: hash_group()]
    jobs += [lambda _, data=data: compressor.segment(data) for data in group]  # type: ignore[misc]
    return [outcome.get() for outcome in run_all(scope, jobs, limit=len(jobs))][1:]


def _groups(blocks: Blocks, width: int) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    for segment in _cut(blocks):
        group.append(segment)
        if len(group) >= width:
            yield group
            group = []
    if group:
        yield group


def _cut(blocks: Blocks) -> Iterator[bytes]:
    """Cut blocks into segments; blocks are copied once, since their reader may reuse its buffer."""
    pending: list[bytes] = []
    size = 0
    for block in blocks:
        view = memoryview(block)
        while size + len(view) >= _SEGMENT:
            pending.append(bytes(view[: _SEGMENT - size]))
            view = view[_SEGMENT - size :]
            yield b"".join(pending)
            pending, size = [], 0
        if view:
            pending.append(bytes(view))
            size += len(view)
    if pending:
        yield b"".join(pending)
