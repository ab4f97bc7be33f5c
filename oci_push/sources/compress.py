"""Compression of layers: the same bytes for any number of threads.

A layer is cut into segments of 4 MiB, each deflated on its own and ended by a full flush, all inside one gzip
member with one CRC. Segments can so be made in any order by any thread. igzip (`isal`) does 570 MB/s a core
where zlib does 100; its output differs, so the library is part of the key under which digests are remembered.

All threads work on one layer after the other, so that the first is done, and on its way, while the next is made. Each
has one buffer for the whole time: memory is the same for layers of any size and number.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from oci_push.errors import ConfigError, ContentMismatchError
from oci_push.model.digest import Digest
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.files import SpooledBody, SpoolSpace

if TYPE_CHECKING:
    from hashlib import _Hash

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


class Reader(Protocol):
    """What a layer's uncompressed bytes are read from."""

    def fill(self, view: memoryview) -> int:
        """Write the next bytes into `view` and return how many: fewer than it holds only at the end."""
        ...

    def close(self) -> None:
        """Close what is open; idempotent."""
        ...


class Layer(Struct, frozen=True, eq=False):
    """A layer to compress; `mismatch_hint` is what to say where its bytes are not those of `diff_id`."""

    diff_id: Digest
    what: str
    reader: Reader
    mismatch_hint: str = ""


def compress(
    context: Context,
    layers: Sequence[Layer],
    compressor: Compressor,
    spool: SpoolSpace,
    threads: int,
    done: Callable[[Layer, Compressed], None],
) -> None:
    """Compress layers into the spool, checking the diff_id of each, and call `done` for each as soon as it is made.

    `done` is called from one of `threads`. Raises `ContentMismatchError` for the first layer that is not its diff_id.
    """
    running = [_Running(layer, compressor, spool, done) for layer in layers]

    def work(inner: Context) -> None:
        buffer = memoryview(bytearray(_SEGMENT))
        for layer in running:
            layer.help(inner, buffer)

    try:
        do_all(context, [work] * threads, limit=threads)
    finally:
        for layer in layers:
            layer.reader.close()


class _Running:
    """A layer that threads work on: read in order, deflated in any order, written in order."""

    def __init__(
        self, layer: Layer, compressor: Compressor, spool: SpoolSpace, done: Callable[[Layer, Compressed], None]
    ) -> None:
        self._layer = layer
        self._compressor = compressor
        self._writer = spool.writer(f"{layer.what} (compressed)")
        self._done = done
        self._is_gzip = compressor.suffix == "gzip"
        self._reading = threading.Lock()
        self._raw = layer.diff_id.new_hash()
        self._crc = self._length = self._read = 0
        self._is_read = False
        self._turn = threading.Condition()
        self._out = hashlib.sha256()
        self._size = self._written = 0
        self._error: BaseException | None = None

    def help(self, context: Context, buffer: memoryview) -> None:
        """Take segments, read into `buffer`, until all have been taken."""
        try:
            while True:
                context.check()
                with self._reading:
                    if self._is_read:
                        return
                    number, data = self._read, self._next(buffer)
                # Without any bytes zstd still makes a frame; gzip has its end.
                is_empty = not data and (number > 0 or self._is_gzip)
                self._write_in_turn(number, [] if is_empty else self._compressor.segment(data), len(data) < _SEGMENT)
        except BaseException as error:
            with self._turn:
                self._error = self._error or error
                self._turn.notify_all()
            raise

    def _next(self, buffer: memoryview) -> memoryview:
        self._is_read = True  # a reader that fails is read no further: what follows is not what was to follow
        data = buffer[: self._layer.reader.fill(buffer)]
        self._read += 1
        self._is_read = len(data) < len(buffer)
        if self._is_read:
            self._layer.reader.close()
        self._raw.update(data)
        self._crc = self._compressor.crc(data, self._crc) if self._is_gzip else 0
        self._length += len(data)
        return data

    def _write_in_turn(self, number: int, pieces: list[bytes], is_last: bool) -> None:
        """Write a segment when all before it have been written; whoever writes the last one ends the layer."""
        with self._turn:
            while self._written != number:
                if self._error is not None:
                    raise self._error
                self._turn.wait()
        if number == 0 and self._is_gzip:
            self._write(_HEADER)
        for piece in pieces:
            self._write(piece)
        if is_last:
            self._end()
        with self._turn:
            self._written += 1
            self._turn.notify_all()

    def _end(self) -> None:
        if self._is_gzip:
            self._write(_END + struct.pack("<II", self._crc & 0xFFFFFFFF, self._length & 0xFFFFFFFF))
        layer = self._layer
        check_diff_id(layer.diff_id, self._raw, layer.what, layer.mismatch_hint)
        digest = Digest("sha256", self._out.hexdigest())
        self._done(layer, Compressed(layer.diff_id, digest, self._size, self._writer.body()))

    def _write(self, data: bytes) -> None:
        self._out.update(data)
        self._writer.write(data)
        self._size += len(data)


def check_diff_id(diff_id: Digest, running: _Hash, what: str, hint: str = "") -> None:
    """See that a layer's uncompressed bytes, hashed, are those that the config names; else `ContentMismatchError`."""
    if not diff_id.matches(running):
        raise ContentMismatchError(
            f"{what}: layer has diff_id {diff_id.algorithm}:{running.hexdigest()}, the image's config says {diff_id}",
            hint=hint or "the archive is damaged, or its layers and config do not belong together",
        )


class BlockReader:
    """Read a stream of blocks, as `Reader`."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def fill(self, view: memoryview) -> int:
        """Copy blocks into `view`."""
        filled = 0
        while filled < len(view):
            if not self._rest:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._rest = memoryview(block)
            taken = min(len(self._rest), len(view) - filled)
            view[filled : filled + taken] = self._rest[:taken]
            self._rest, filled = self._rest[taken:], filled + taken
        return filled

    def close(self) -> None:
        """Let the stream be: it ends with whatever it is made from."""


def _pieces(data: memoryview) -> Iterator[memoryview]:
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))
