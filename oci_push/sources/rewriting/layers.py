"""Layers of any source compressed anew: decompressed, held against their diff_id, and compressed by `sources.compress`.

A layer becomes what the same layer of a docker-archive would become, and both share what is remembered of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ContentMismatchError
from oci_push.events import Emit, LayerCompressed
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import ImageReader, Tell, verified
from oci_push.sources.codecs import LARGE_WINDOW_BYTES, WindowError, expanded
from oci_push.sources.compress import BlockReader, Compressed, Compressor, Layer, compress, make_compressor
from oci_push.sources.files import SpoolSpace
from oci_push.sources.rewriting.manifests import LAYER_KINDS, Replaced
from oci_push.sources.settings import SourceSettings
from oci_push.sources.watching import Watch


class LayerWork(Struct, frozen=True):
    """A layer that is to be compressed anew, and what its image's config says of it."""

    layer: Descriptor
    diff_id: Digest


class Recompression:
    """Compress layers of `inner` anew, into the spool; thread-safe."""

    def __init__(
        self,
        inner: ImageReader,
        algorithm: str,
        level: int,
        settings: SourceSettings,
        spool: SpoolSpace,
        emit: Emit,
    ) -> None:
        self._inner = inner
        self._compressor: Compressor = make_compressor(algorithm, level)
        self._settings = settings
        self._spool = spool
        self._emit = emit
        self._bodies: dict[Digest, Body] = {}
        self._remembered: dict[Digest, LayerWork] = {}
        self._large = threading.Lock()
        self._again = threading.Lock()

    @property
    def kind(self) -> str:
        """Return how layers are compressed in the end: ``gzip``, ``zstd`` or ``tar``."""
        return self._compressor.suffix

    def is_known(self, work: LayerWork) -> bool:
        """Return whether an earlier run has told what the layer becomes."""
        return self._find(work) is not None

    def make(self, context: Context, works: Sequence[LayerWork], tell: Tell) -> dict[Digest, Replaced]:
        """Return by its digest what each layer becomes; `tell` is called as soon as one can be read."""
        found: dict[Digest, Replaced] = {}

        def known(work: LayerWork, digest: Digest, size: int) -> None:
            found[work.layer.digest] = Replaced(digest, size, self.kind)
            tell(Descriptor(LAYER_KINDS[self.kind][1], digest, size))

        def job(work: LayerWork, inner: Context) -> None:
            made = self._compress(inner, work)
            self._bodies[made.digest] = made.body
            known(work, made.digest, made.size)

        jobs = []
        # Smallest first: the line is soon in use, and the largest is compressed while it is busy.
        for work in sorted(works, key=lambda one: one.layer.size):
            remembered = self._find(work)
            if remembered is None:
                jobs.append(partial(job, work))
                continue
            self._remembered[remembered[0]] = work
            self._tell(work, *remembered, from_memory=True)
            known(work, *remembered)
        limit = self._compressor.threads(self._settings.threads)
        do_all(context, jobs, limit=limit)
        return found

    def blob(self, context: Context, digest: Digest) -> Body | None:
        """Return what was made, compressing now what was only remembered; ``None`` of anything else."""
        with self._again:
            work = self._remembered.get(digest)
            if digest not in self._bodies and work is not None:
                made = self._compress(context, work)
                if made.digest != digest:
                    raise ContentMismatchError(
                        f"{self._inner.name}: layer {made.diff_id} compresses to {made.digest}, "
                        f"remembered was {digest}",
                        hint="what was remembered has been put right; run the push again",
                    )
                self._bodies[digest] = made.body
            return self._bodies.get(digest)

    def _find(self, work: LayerWork) -> tuple[Digest, int] | None:
        cache = self._settings.digest_cache
        return cache.find(work.diff_id, self._compressor.key) if cache else None

    def _compress(self, context: Context, work: LayerWork) -> Compressed:
        """Compress one layer by one thread: a download belongs to the thread that began it."""
        try:
            made = self._compress_within(context, work, LARGE_WINDOW_BYTES)
        except WindowError:
            with self._large:
                made = self._compress_within(context, work, self._settings.limits.window_bytes)
        if self._settings.digest_cache:
            self._settings.digest_cache.store(made.diff_id, self._compressor.key, made.digest, made.size)
        self._tell(work, made.digest, made.size, from_memory=False)
        return made

    def _tell(self, work: LayerWork, digest: Digest, size: int, *, from_memory: bool) -> None:
        self._emit(LayerCompressed(work.diff_id, digest, size, from_memory, is_plain=self.kind == "tar"))

    def _compress_within(self, context: Context, work: LayerWork, window_bytes: int) -> Compressed:
        limits = self._settings.limits
        limits = replace(limits, window_bytes=min(window_bytes, limits.window_bytes))
        what = f"{self._inner.name}: layer {work.layer.digest}"
        made: list[Compressed] = []

        def blocks() -> Iterator[bytes]:
            watch = Watch(work.diff_id, work.layer.size, context.clock, self._emit, is_compressed=True)
            stored = watch.blocks(verified(self._inner.blob(context, work.layer), work.layer, what))
            yield from expanded(stored, what, limits, ratio=limits.layer_ratio, free_bytes=limits.layer_free_bytes)
            for _ in stored:  # what a decoder has left unread is part of the digest
                pass

        layer = Layer(work.diff_id, what, BlockReader(blocks()), "its layers and config do not belong together")
        compress(context, [layer], self._compressor, self._spool, 1, lambda _, one: made.append(one))
        return made[0]
