"""The layers of an image whose manifest is made here: kept as they are stored, remembered, or compressed once.

Layers in gzip or zstd keep their bytes; others are compressed once, and what they became is remembered by diff_id.
Either way, what is in a layer is hashed and compared with the config's diff_id before it is sent, and in all before
there is a manifest. Where the bytes lie is the source's: a docker-archive's in a tar, containers-storage's in a tree of
files.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias, TypeVar

from msgspec.structs import replace

from oci_push.errors import ContentMismatchError
from oci_push.events import Emit, LayerCompressed
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.codecs import HEAD_BYTES, LARGE_WINDOW_BYTES, WindowError, expanded, told
from oci_push.sources.compress import (
    BlockReader,
    Compressed,
    Compressor,
    Layer,
    Reader,
    check_diff_id,
    compress,
    make_compressor,
)
from oci_push.sources.files import SpoolSpace
from oci_push.sources.settings import SourceSettings
from oci_push.sources.watching import Watch, WatchedReader

T = TypeVar("T")
SENT_AS_STORED = frozenset({"gzip", "zstd"})
"""Compressions that manifests have a media type for."""


class StoredLayer(Body, Protocol):
    """A layer's bytes as they are stored; equal ones are the same layer. `what` is how messages call it."""

    @property
    def what(self) -> str:
        """Return the file and the layer."""
        ...

    def head(self, size: int) -> bytes:
        """Return at most the first `size` bytes, from which the compression is told; none for what is no file."""
        ...

    def reader(self) -> Reader:
        """Open the bytes, to be read into buffers by one thread at a time."""
        ...


StoredAs: TypeAlias = tuple[Digest, StoredLayer]
"""A layer: what its config names, and where its bytes are stored."""
_Made: TypeAlias = Callable[[StoredAs, Compressed], None]


def no_hint(diff_id: Digest) -> str:
    """Return nothing to say of a layer that is not its diff_id."""
    return ""


class Layers:
    """Say of the layers of one image what its manifest names, and give their bytes; thread-safe.

    `hint` returns what to say of a layer that is not its diff_id.
    """

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        spool: SpoolSpace,
        emit: Emit,
        hint: Callable[[Digest], str] = no_hint,
    ) -> None:
        self._name = name
        self._settings = settings
        self._spool = spool
        self._emit = emit
        self._hint = hint
        self._bodies: dict[Digest, Body] = {}
        self._large = threading.Lock()
        self._stored: dict[Digest, StoredAs] = {}
        self._compressed: dict[StoredAs, Compressed] = {}
        self._compressing = threading.Lock()

    def is_described(self, one: StoredAs) -> bool:
        """Return whether `describe` needs no long work for a layer: it is kept, or remembered from an earlier run."""
        if self._is_sent_as_stored(codec_of(one[1])):
            return True
        cache = self._settings.digest_cache
        return cache is not None and cache.find(one[0], self._compressor().key) is not None

    def describe(
        self, context: Context, layers: Sequence[StoredAs], found: Callable[[StoredAs, Descriptor], None]
    ) -> None:
        """Call `found` with what the manifest says of each layer, ``gzip``, ``zstd`` or ``tar`` as its media type.

        Those to be compressed come last, and all threads work on each. Smallest first: the line is soon in use, and the
        largest is compressed while it is busy.
        """
        compressor, cache = self._compressor(), self._settings.digest_cache
        plain: list[StoredAs] = []
        jobs: list[Callable[[Context], None]] = []

        def made(pair: StoredAs, one: Compressed) -> None:
            self._bodies[one.digest] = one.body
            if cache:
                cache.store(one.diff_id, compressor.key, one.digest, one.size)
            self._emit(LayerCompressed(one.diff_id, one.digest, one.size, from_memory=False))
            found(pair, Descriptor(compressor.suffix, one.digest, one.size))

        for pair in sorted(layers, key=lambda pair: pair[1].size):
            codec = codec_of(pair[1])
            if self._is_sent_as_stored(codec):
                jobs.append(lambda inner, p=pair, c=codec: found(p, self._keep(inner, p, c)))  # type: ignore[misc]
            elif (remembered := self._remembered(pair)) is not None:
                found(pair, remembered)
            elif codec:
                jobs.append(lambda inner, p=pair: self._recompress(inner, p, made))  # type: ignore[misc]
            else:
                plain.append(pair)
        with self._compressing:
            do_all(context, jobs, limit=self._threads())
            self._compress(context, [(pair, self._reader(context, pair)) for pair in plain], self._threads(), made)

    def blob(self, context: Context, digest: Digest) -> Body | None:
        """Return a layer that was described; one known only by its remembered digest is compressed now."""
        known = self._bodies.get(digest)
        stored = self._stored.get(digest)
        if known is not None or stored is None:
            return known
        made = self._compress_remembered(context, stored)
        if made.digest != digest:
            if self._settings.digest_cache:
                key = self._compressor().key
                self._settings.digest_cache.store(made.diff_id, key, made.digest, made.size)
            raise ContentMismatchError(
                f"{self._name}: layer {made.diff_id} compresses to {made.digest}, remembered was {digest}",
                hint="what was remembered has been put right; run the push again",
            )
        return made.body

    def _is_sent_as_stored(self, codec: str) -> bool:
        return codec in SENT_AS_STORED or (not codec and self._settings.compression == "none")

    def _remembered(self, pair: StoredAs) -> Descriptor | None:
        cache, compressor = self._settings.digest_cache, self._compressor()
        remembered = cache.find(pair[0], compressor.key) if cache else None
        if remembered is None:
            return None
        digest, size = remembered
        self._stored[digest] = pair
        self._emit(LayerCompressed(pair[0], digest, size, from_memory=True))
        return Descriptor(compressor.suffix, digest, size)

    def _keep(self, context: Context, pair: StoredAs, codec: str) -> Descriptor:
        """Describe a layer that is sent as it is stored; what is in it must be what the config names."""
        diff_id, body = pair
        if not codec:
            kept = self._read_through(context, body, diff_id, LARGE_WINDOW_BYTES)
        else:
            kept = self._one_large_window(lambda window: self._read_through(context, body, diff_id, window))
        self._bodies[kept] = body
        return Descriptor(codec or "tar", kept, body.size)

    def _read_through(self, context: Context, body: StoredLayer, diff_id: Digest, window: int) -> Digest:
        stored, raw = hashlib.sha256(), diff_id.new_hash()
        size = 0

        def blocks() -> Iterator[bytes]:
            for block in self._watch(context, (diff_id, body), is_compressed=False).blocks(body.blocks()):
                context.check()
                nonlocal size
                stored.update(block)
                size += len(block)
                yield block

        source = blocks()
        for out in self._plain(source, body, window):
            raw.update(out)
        for _ in source:  # what a decoder has left unread is sent as well
            pass
        check_diff_id(diff_id, raw, body.what, self._hint(diff_id))
        if size != body.size:
            raise ContentMismatchError(f"{body.what}: has {size} bytes, {body.size} were said")
        return Digest("sha256", stored.hexdigest())

    def _plain(self, blocks: Iterator[bytes], body: StoredLayer, window: int) -> Iterator[bytes]:
        limits = replace(self._settings.limits, window_bytes=min(window, self._settings.limits.window_bytes))
        return expanded(blocks, body.what, limits, ratio=limits.layer_ratio, free_bytes=limits.layer_free_bytes)

    def _one_large_window(self, read: Callable[[int], T]) -> T:
        """Read with a small window, and where that is not enough again with a large one, one layer at a time."""
        try:
            return read(LARGE_WINDOW_BYTES)
        except WindowError:
            with self._large:
                return read(self._settings.limits.window_bytes)

    def _recompress(self, context: Context, pair: StoredAs, made: _Made) -> None:
        """Compress a layer that is stored in a form which manifests have no media type for; by one thread."""

        def make(window: int) -> None:
            stored = self._watch(context, pair).blocks(pair[1].blocks())
            blocks = self._plain(stored, pair[1], window)
            self._compress(context, [(pair, BlockReader(blocks))], 1, made)

        self._one_large_window(make)

    def _compress(self, context: Context, pairs: Sequence[tuple[StoredAs, Reader]], threads: int, made: _Made) -> None:
        layers = {Layer(pair[0], pair[1].what, reader, self._hint(pair[0])): pair for pair, reader in pairs}

        def done(layer: Layer, one: Compressed) -> None:
            self._compressed[layers[layer]] = one
            made(layers[layer], one)

        compress(context, list(layers), self._compressor(), self._spool, threads, done)

    def _compress_remembered(self, context: Context, pair: StoredAs) -> Compressed:
        """Compress a layer whose bytes are wanted after all; one at a time, as each takes all threads and buffers."""
        with self._compressing:
            if pair not in self._compressed:
                if codec_of(pair[1]):
                    self._recompress(context, pair, self._told)
                else:
                    self._compress(context, [(pair, self._reader(context, pair))], self._threads(), self._told)
            return self._compressed[pair]

    def _told(self, pair: StoredAs, made: Compressed) -> None:
        """Tell that a layer has been compressed, though it was known what it comes to."""
        self._emit(LayerCompressed(made.diff_id, made.digest, made.size, from_memory=False))

    def _watch(self, context: Context, pair: StoredAs, *, is_compressed: bool = True) -> Watch:
        return Watch(pair[0], pair[1].size, context.clock, self._emit, is_compressed=is_compressed)

    def _reader(self, context: Context, pair: StoredAs) -> WatchedReader:
        return WatchedReader(pair[1].reader(), self._watch(context, pair))

    def _threads(self) -> int:
        return self._compressor().threads(self._settings.threads)

    def _compressor(self) -> Compressor:
        return make_compressor(self._settings.compression, self._settings.level)


def codec_of(layer: StoredLayer) -> str:
    """Return how a layer is compressed as it is stored; empty for a tar."""
    return told(layer.head(HEAD_BYTES))
