"""docker-archive: the tar of ``docker save`` and of all who write its dialects.

``manifest.json`` names a config and layers by path (docker image spec v1.2, "Combined Image JSON + Filesystem
Changeset Format"); podman, kaniko, jib, bazel and nix differ in those paths, in links between layers and in
whether layers are compressed. Layers in gzip or zstd keep their bytes; others are compressed once. Whichever way, what
is in a layer is hashed and compared with the config's diff_id before anything is sent.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec.structs import replace

from oci_push.errors import ConfigError, ContentMismatchError, SourceError
from oci_push.events import Emit, LayerCompressed, LayerReading
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode
from oci_push.model.platform import Platform
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import first_error, run_all
from oci_push.sources.archive_images import ArchiveImage, diff_ids_of
from oci_push.sources.base import ImageReader
from oci_push.sources.codecs import HEAD_BYTES, LARGE_WINDOW_BYTES, WindowError, expanded, told
from oci_push.sources.compress import Compressed, Compressor, check_diff_id, compress, make_compressor
from oci_push.sources.files import FileBody, SpoolSpace
from oci_push.sources.option_effects import HINT, about_layers
from oci_push.sources.platforms import no_image, read_platform
from oci_push.sources.readers import View, read_small
from oci_push.sources.settings import SourceSettings

T = TypeVar("T")
_SENT_AS_STORED = frozenset({"gzip", "zstd"})
"""Compressions that manifests have a media type for."""
_TELL_S = 0.2


class DockerArchiveSource(ImageReader):
    """Read one image of a docker-archive as a manifest that we build; thread-safe."""

    def __init__(
        self, view: View, image: ArchiveImage, settings: SourceSettings, spool: SpoolSpace, emit: Emit
    ) -> None:
        super().__init__(view.name, spool)
        self._view = view
        self._image = image
        self._settings = settings
        self._spool: SpoolSpace = spool
        self._emit = emit
        self._built: SingleFlight[str, Manifest] = SingleFlight()
        self._bodies: dict[Digest, Body] = {}
        self._large = threading.Lock()
        self._stored: dict[Digest, tuple[FileBody, Digest]] = {}
        self._compressed: SingleFlight[tuple[Digest, FileBody], Compressed] = SingleFlight()

    @property
    def is_ready(self) -> bool:
        """Layers stored uncompressed must be compressed before anything can be asked, unless an earlier run did it."""
        raw = read_small(self._view, self._image.config, self._settings.limits)
        diff_ids = diff_ids_of(raw, self.name) if raw is not None else ()
        pairs = zip(diff_ids, (self._view.find(path) for path in self._image.layers), strict=False)
        return all(body is None or self._is_described(diff_id, body) for diff_id, body in pairs)

    def _is_described(self, diff_id: Digest, body: FileBody) -> bool:
        codec = told(_head(body))
        if codec in _SENT_AS_STORED or (not codec and self._settings.compression == "none"):
            return True
        cache = self._settings.digest_cache
        return cache is not None and cache.find(diff_id, self._compressor().key) is not None

    @property
    def compresses(self) -> bool:
        """Layers in gzip or zstd are sent as they are."""
        return any(codec not in _SENT_AS_STORED for _, codec in self._codecs()) and self._settings.compression != "none"

    def check_asked(self, platform: Platform | None) -> None:
        """See, before long work, that the image can be as asked; raises `ConfigError`, for a platform `SourceError`."""
        stored = [(path, codec) for path, codec in self._codecs() if codec in _SENT_AS_STORED]
        for problem in about_layers(self._settings, stored):
            raise ConfigError(f"{self.name}: {problem}", hint=HINT)
        self._check_form(has_zstd=any(codec == "zstd" for _, codec in stored))
        raw = read_small(self._view, self._image.config, self._settings.limits)
        if platform is not None and raw is not None:
            found = read_platform(raw)
            if found is None or not found.satisfies(platform):
                raise no_image(self.name, platform, [found] if found else [])

    def _check_form(self, *, has_zstd: bool) -> None:
        if has_zstd and self._settings.format == "docker":
            raise SourceError(
                f"{self.name}: has layers in zstd, which docker's manifests do not know",
                hint="leave out --format docker",
            )

    def _codecs(self) -> Iterator[tuple[str, str]]:
        bodies = ((path, self._view.find(path)) for path in self._image.layers)
        return ((path, told(_head(body))) for path, body in bodies if body is not None)

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Build the manifest; compresses what is not known from an earlier run."""
        return self._built.get("root", lambda: self._build(context)).descriptor()

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Return the built manifest."""
        return self._built.get("root", lambda: self._build(context))

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return config or layer; a layer known only by its remembered digest is compressed now."""
        known = self._bodies.get(descriptor.digest)
        if known is not None:
            return known
        stored = self._stored.get(descriptor.digest)
        if stored is None:
            raise SourceError(f"{self.name}: has no blob {descriptor.digest}")
        made = self._compress(context, stored[0], stored[1], self._threads())
        if made.digest != descriptor.digest:
            if self._settings.digest_cache:
                key = self._compressor().key
                self._settings.digest_cache.store(stored[1], key, made.digest, made.size)
            raise ContentMismatchError(
                f"{self.name}: layer {stored[1]} compresses to {made.digest}, remembered was {descriptor.digest}",
                hint="what was remembered has been put right; run the push again",
            )
        return made.body

    def _build(self, context: Context) -> Manifest:
        raw = read_small(self._view, self._image.config, self._settings.limits)
        if raw is None:
            raise SourceError(f"{self.name}: config {self._image.config} is missing")
        diff_ids = diff_ids_of(raw, self.name)
        if len(diff_ids) != len(self._image.layers):
            raise SourceError(
                f"{self.name}: {len(self._image.layers)} layers are listed, the config names {len(diff_ids)}"
            )
        layers = self._layers(context, diff_ids)
        config_digest = Digest.of(raw)
        config_body = self._view.find(self._image.config)
        assert config_body is not None  # noqa: S101  # it was read above
        self._bodies[config_digest] = config_body
        has_zstd = any("zstd" in layer.media_type for layer in layers)
        self._check_form(has_zstd=has_zstd)
        oci = has_zstd or self._settings.format == "oci"
        config_type = media.OCI_CONFIG if oci else media.DOCKER_CONFIG
        return Manifest.parse(
            encode(
                {
                    "schemaVersion": 2,
                    "mediaType": media.OCI_MANIFEST if oci else media.DOCKER_MANIFEST,
                    "config": Descriptor(config_type, config_digest, len(raw)).to_json(),
                    "layers": [_typed(layer, oci=oci).to_json() for layer in layers],
                }
            )
        )

    def _layers(self, context: Context, diff_ids: tuple[Digest, ...]) -> list[Descriptor]:
        foreign = {} if self._settings.foreign_layers else self._image.foreign
        referred = {diff_id: foreign[str(diff_id)] for diff_id in diff_ids if str(diff_id) in foreign}
        # Two members may claim one diff_id and differ: both are checked, and kept if they are compressed already.
        pairs = [
            (diff_id, None if diff_id in referred else self._layer(path))
            for diff_id, path in zip(diff_ids, self._image.layers, strict=True)
        ]
        ours = dict.fromkeys((diff_id, body) for diff_id, body in pairs if body is not None)
        total = sum(body.size for _, body in ours) or 1
        threads = self._threads()

        def describe(inner: Context, diff_id: Digest, body: FileBody) -> Descriptor:
            # A layer that is most of the image gets all threads, others one each beside one another.
            width = threads if body.size * 2 > total else 1
            try:
                return self._describe(inner, body, diff_id, width)
            except ContentMismatchError as error:
                elsewhere = self._image.foreign.get(str(diff_id))
                if elsewhere is None:
                    raise
                place = elsewhere.urls[0]
                raise error.with_hint(
                    f"its bytes are at {place}; without --foreign-layers they are not sent"
                ) from error

        ordered = sorted(ours, key=lambda pair: -pair[1].size)
        outcomes = run_all(
            context,
            [lambda s, d=d, b=b: describe(s, d, b) for d, b in ordered],  # type: ignore[misc]
            limit=threads,
            stop_on_error=True,
        )
        error = first_error(outcomes)
        if error is not None:
            raise error
        known = {pair: outcome.get() for pair, outcome in zip(ordered, outcomes, strict=True)}
        return [known[diff_id, body] if body is not None else referred[diff_id] for diff_id, body in pairs]

    def _layer(self, path: str) -> FileBody:
        body = self._view.find(path)
        if body is None:
            raise SourceError(f"{self.name}: layer {path} is missing", hint="the archive is incomplete")
        return body

    def _describe(self, context: Context, body: FileBody, diff_id: Digest, width: int) -> Descriptor:
        codec = told(_head(body))
        if codec in _SENT_AS_STORED or (not codec and self._settings.compression == "none"):
            return self._keep(context, body, diff_id, codec)
        compressor = self._compressor()
        cache = self._settings.digest_cache
        remembered = cache.find(diff_id, compressor.key) if cache else None
        if remembered is not None:
            self._stored[remembered[0]] = (body, diff_id)
            self._emit(LayerCompressed(diff_id, remembered[0], remembered[1], from_memory=True))
            return Descriptor(compressor.suffix, remembered[0], remembered[1])
        made = self._compress(context, body, diff_id, width)
        self._bodies[made.digest] = made.body
        if cache:
            cache.store(diff_id, compressor.key, made.digest, made.size)
        self._emit(LayerCompressed(diff_id, made.digest, made.size, from_memory=False))
        return Descriptor(compressor.suffix, made.digest, made.size)

    def _keep(self, context: Context, body: FileBody, diff_id: Digest, codec: str) -> Descriptor:
        """Describe a layer that is sent as it is stored; what is in it must be what the config names."""
        if not codec:
            kept = self._read_through(context, body, diff_id, LARGE_WINDOW_BYTES)
        else:
            kept = self._one_large_window(lambda window: self._read_through(context, body, diff_id, window))
        self._bodies[kept] = body
        return Descriptor(codec or "tar", kept, body.size)

    def _read_through(self, context: Context, body: FileBody, diff_id: Digest, window: int) -> Digest:
        stored, raw = hashlib.sha256(), diff_id.new_hash()

        def blocks() -> Iterator[bytes]:
            for block in self._told(context, body, diff_id, is_compressed=False):
                context.check()
                stored.update(block)
                yield block

        source = blocks()
        for out in self._plain(source, body, window):
            raw.update(out)
        for _ in source:  # what a decoder has left unread is sent as well
            pass
        check_diff_id(diff_id, raw, body.what)
        return Digest("sha256", stored.hexdigest())

    def _plain(self, blocks: Iterator[bytes], body: FileBody, window: int) -> Iterator[bytes]:
        limits = replace(self._settings.limits, window_bytes=min(window, self._settings.limits.window_bytes))
        return expanded(blocks, body.what, limits, ratio=limits.layer_ratio, free_bytes=limits.layer_free_bytes)

    def _one_large_window(self, read: Callable[[int], T]) -> T:
        """Read with a small window, and where that is not enough again with a large one, one layer at a time."""
        try:
            return read(LARGE_WINDOW_BYTES)
        except WindowError:
            with self._large:
                return read(self._settings.limits.window_bytes)

    def _compress(self, context: Context, body: FileBody, diff_id: Digest, width: int) -> Compressed:
        def make(window: int) -> Compressed:
            blocks = self._plain(self._told(context, body, diff_id, is_compressed=True), body, window)
            inside = 1 if window > LARGE_WINDOW_BYTES else width  # memory is for the window then
            return compress(context, blocks, diff_id, self._compressor(), self._spool, body.what, inside)

        return self._compressed.get((diff_id, body), lambda: self._one_large_window(make))

    def _told(self, context: Context, body: FileBody, diff_id: Digest, *, is_compressed: bool) -> Iterator[bytes]:
        """Return what is stored of a layer, telling listeners a few times a second how far it is."""
        read, told_at = 0, context.clock.monotonic()
        for block in body.blocks():
            yield bytes(block)
            read += len(block)
            now = context.clock.monotonic()
            if now - told_at >= _TELL_S:
                told_at = now
                self._emit(LayerReading(diff_id, read, body.size, is_compressed))

    def _threads(self) -> int:
        return self._compressor().threads(self._settings.threads)

    def _compressor(self) -> Compressor:
        return make_compressor(self._settings.compression, self._settings.level)


def _head(body: FileBody) -> bytes:
    return FileBody(body.file, body.offset, min(HEAD_BYTES, body.size), body.what).read()


def _typed(layer: Descriptor, *, oci: bool) -> Descriptor:
    if layer.urls:
        kind = next((kind for kind in ("gzip", "zstd") if kind in layer.media_type), "tar")
        types = {"gzip": media.FOREIGN_LAYER_GZIP, "zstd": media.FOREIGN_LAYER_ZSTD, "tar": media.FOREIGN_LAYER}
    else:
        kind = layer.media_type
        types = {"gzip": media.LAYER_GZIP, "zstd": media.LAYER_ZSTD, "tar": media.LAYER}
    return replace(layer, media_type=types[kind][oci])
