"""docker-archive: the tar of ``docker save`` and of all who write its dialects.

``manifest.json`` names a config and layers by path (docker image spec v1.2, "Combined Image JSON + Filesystem
Changeset Format"); podman, kaniko, jib, bazel and nix differ in those paths, in links between layers and in
whether layers are compressed. Layers in gzip or zstd keep their bytes; others are compressed once. Either way, what is
in a layer is hashed and compared with the config's diff_id before it is sent, and in all before there is a manifest.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from msgspec.structs import replace

from oci_push.errors import ConfigError, ContentMismatchError, SourceError
from oci_push.events import Emit, LayerCompressed
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
from oci_push.sources.base import ImageReader, Tell, tell_nobody
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
from oci_push.sources.files import FileBody, FileReader, SpoolSpace
from oci_push.sources.option_effects import HINT, about_layers
from oci_push.sources.platforms import no_image, read_platform
from oci_push.sources.readers import View, read_small
from oci_push.sources.settings import SourceSettings

T = TypeVar("T")
_Pair: TypeAlias = tuple[Digest, FileBody]
"""A layer: what its config names, and where its bytes are stored."""
_Made: TypeAlias = Callable[[_Pair, Compressed], None]
_SENT_AS_STORED = frozenset({"gzip", "zstd"})
"""Compressions that manifests have a media type for."""


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
        self._stored: dict[Digest, _Pair] = {}
        self._compressed: dict[_Pair, Compressed] = {}
        self._compressing = threading.Lock()

    @property
    def is_ready(self) -> bool:
        """Layers stored uncompressed must be compressed before anything can be asked, unless an earlier run did it."""
        raw = read_small(self._view, self._image.config, self._settings.limits)
        diff_ids = diff_ids_of(raw, self.name) if raw is not None else ()
        pairs = zip(diff_ids, (self._view.find(path) for path in self._image.layers), strict=False)
        return all(body is None or self._is_described(diff_id, body) for diff_id, body in pairs)

    def _is_described(self, diff_id: Digest, body: FileBody) -> bool:
        if self._is_sent_as_stored(told(_head(body))):
            return True
        cache = self._settings.digest_cache
        return cache is not None and cache.find(diff_id, self._compressor().key) is not None

    def _is_sent_as_stored(self, codec: str) -> bool:
        return codec in _SENT_AS_STORED or (not codec and self._settings.compression == "none")

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

    def make(self, context: Context, tell: Tell) -> None:
        """Compress what is not known from an earlier run; the config is told of first, each layer once it is made."""
        self._built.get("root", lambda: self._build(context, tell))

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Build the manifest, unless `make` has."""
        return self._built.get("root", lambda: self._build(context, tell_nobody)).descriptor()

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Return the built manifest."""
        return self._built.get("root", lambda: self._build(context, tell_nobody))

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return config or layer; a layer known only by its remembered digest is compressed now."""
        known = self._bodies.get(descriptor.digest)
        if known is not None:
            return known
        stored = self._stored.get(descriptor.digest)
        if stored is None:
            raise SourceError(f"{self.name}: has no blob {descriptor.digest}")
        made = self._compress_remembered(context, stored)
        if made.digest != descriptor.digest:
            if self._settings.digest_cache:
                key = self._compressor().key
                self._settings.digest_cache.store(made.diff_id, key, made.digest, made.size)
            raise ContentMismatchError(
                f"{self.name}: layer {made.diff_id} compresses to {made.digest}, remembered was {descriptor.digest}",
                hint="what was remembered has been put right; run the push again",
            )
        return made.body

    def _build(self, context: Context, tell: Tell) -> Manifest:
        raw = read_small(self._view, self._image.config, self._settings.limits)
        if raw is None:
            raise SourceError(f"{self.name}: config {self._image.config} is missing")
        diff_ids = diff_ids_of(raw, self.name)
        if len(diff_ids) != len(self._image.layers):
            raise SourceError(
                f"{self.name}: {len(self._image.layers)} layers are listed, the config names {len(diff_ids)}"
            )
        config_body = self._view.find(self._image.config)
        assert config_body is not None  # noqa: S101  # it was read above
        config_digest = Digest.of(raw)
        self._bodies[config_digest] = config_body
        tell(Descriptor(media.OCI_CONFIG, config_digest, len(raw)))
        layers = self._layers(context, diff_ids, tell)
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

    def _layers(self, context: Context, diff_ids: tuple[Digest, ...], tell: Tell) -> list[Descriptor]:
        foreign = {} if self._settings.foreign_layers else self._image.foreign
        referred = {diff_id: foreign[str(diff_id)] for diff_id in diff_ids if str(diff_id) in foreign}
        # Two members may claim one diff_id and differ: both are checked, and kept if they are compressed already.
        pairs = [
            (diff_id, None if diff_id in referred else self._layer(path))
            for diff_id, path in zip(diff_ids, self._image.layers, strict=True)
        ]
        ours = dict.fromkeys((diff_id, body) for diff_id, body in pairs if body is not None)
        known: dict[tuple[Digest, FileBody], Descriptor] = {}

        def found(pair: tuple[Digest, FileBody], layer: Descriptor) -> None:
            known[pair] = layer
            tell(_typed(layer, oci=self._settings.format == "oci"))

        # Smallest first: the line is soon in use, and the largest is compressed while it is busy.
        self._describe_all(context, sorted(ours, key=lambda pair: pair[1].size), found)
        return [known[diff_id, body] if body is not None else referred[diff_id] for diff_id, body in pairs]

    def _describe_all(
        self, context: Context, pairs: Sequence[_Pair], found: Callable[[_Pair, Descriptor], None]
    ) -> None:
        """Find what the manifest says of each layer: those to be compressed come last, and all threads work on each."""
        compressor, cache = self._compressor(), self._settings.digest_cache
        plain: list[_Pair] = []
        jobs: list[Callable[[Context], None]] = []

        def made(pair: _Pair, one: Compressed) -> None:
            self._bodies[one.digest] = one.body
            if cache:
                cache.store(one.diff_id, compressor.key, one.digest, one.size)
            self._emit(LayerCompressed(one.diff_id, one.digest, one.size, from_memory=False))
            found(pair, Descriptor(compressor.suffix, one.digest, one.size))

        for pair in pairs:
            codec = told(_head(pair[1]))
            if self._is_sent_as_stored(codec):
                jobs.append(lambda inner, p=pair, c=codec: found(p, self._keep(inner, p, c)))  # type: ignore[misc]
            elif (remembered := self._remembered(pair)) is not None:
                found(pair, remembered)
            elif codec:
                jobs.append(lambda inner, p=pair: self._recompress(inner, p, made))  # type: ignore[misc]
            else:
                plain.append(pair)
        with self._compressing:
            error = first_error(run_all(context, jobs, limit=self._threads(), stop_on_error=True))
            if error is not None:
                raise error
            self._compress(context, [(pair, FileReader(pair[1])) for pair in plain], self._threads(), made)

    def _layer(self, path: str) -> FileBody:
        body = self._view.find(path)
        if body is None:
            raise SourceError(f"{self.name}: layer {path} is missing", hint="the archive is incomplete")
        return body

    def _remembered(self, pair: _Pair) -> Descriptor | None:
        cache, compressor = self._settings.digest_cache, self._compressor()
        remembered = cache.find(pair[0], compressor.key) if cache else None
        if remembered is None:
            return None
        digest, size = remembered
        self._stored[digest] = pair
        self._emit(LayerCompressed(pair[0], digest, size, from_memory=True))
        return Descriptor(compressor.suffix, digest, size)

    def _keep(self, context: Context, pair: _Pair, codec: str) -> Descriptor:
        """Describe a layer that is sent as it is stored; what is in it must be what the config names."""
        diff_id, body = pair
        if not codec:
            kept = self._read_through(context, body, diff_id, LARGE_WINDOW_BYTES)
        else:
            kept = self._one_large_window(lambda window: self._read_through(context, body, diff_id, window))
        self._bodies[kept] = body
        return Descriptor(codec or "tar", kept, body.size)

    def _read_through(self, context: Context, body: FileBody, diff_id: Digest, window: int) -> Digest:
        stored, raw = hashlib.sha256(), diff_id.new_hash()

        def blocks() -> Iterator[bytes]:
            for block in body.blocks():
                context.check()
                stored.update(block)
                yield bytes(block)

        source = blocks()
        for out in self._plain(source, body, window):
            raw.update(out)
        for _ in source:  # what a decoder has left unread is sent as well
            pass
        check_diff_id(diff_id, raw, body.what, self._hint(diff_id))
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

    def _recompress(self, context: Context, pair: _Pair, made: _Made) -> None:
        """Compress a layer that is stored in a form which manifests have no media type for; by one thread."""

        def make(window: int) -> None:
            blocks = self._plain((bytes(block) for block in pair[1].blocks()), pair[1], window)
            self._compress(context, [(pair, BlockReader(blocks))], 1, made)

        self._one_large_window(make)

    def _compress(self, context: Context, pairs: Sequence[tuple[_Pair, Reader]], threads: int, made: _Made) -> None:
        layers = {Layer(pair[0], pair[1].what, reader, self._hint(pair[0])): pair for pair, reader in pairs}

        def done(layer: Layer, one: Compressed) -> None:
            self._compressed[layers[layer]] = one
            made(layers[layer], one)

        compress(context, list(layers), self._compressor(), self._spool, threads, done)

    def _compress_remembered(self, context: Context, pair: _Pair) -> Compressed:
        """Compress a layer whose bytes are wanted after all; one at a time, as each takes all threads and buffers."""
        with self._compressing:
            if pair not in self._compressed:
                if told(_head(pair[1])):
                    self._recompress(context, pair, _nobody)
                else:
                    self._compress(context, [(pair, FileReader(pair[1]))], self._threads(), _nobody)
            return self._compressed[pair]

    def _hint(self, diff_id: Digest) -> str:
        """Return what to say of a layer that is not its diff_id, where that is known: a stub of one kept elsewhere."""
        elsewhere = self._image.foreign.get(str(diff_id))
        place = elsewhere.urls[0] if elsewhere else ""
        return f"its bytes are at {place}; without --foreign-layers they are not sent" if place else ""

    def _threads(self) -> int:
        return self._compressor().threads(self._settings.threads)

    def _compressor(self) -> Compressor:
        return make_compressor(self._settings.compression, self._settings.level)


def _head(body: FileBody) -> bytes:
    return FileBody(body.file, body.offset, min(HEAD_BYTES, body.size), body.what).read()


def _nobody(pair: _Pair, made: Compressed) -> None:
    """Tell nobody."""


def _typed(layer: Descriptor, *, oci: bool) -> Descriptor:
    if layer.urls:
        kind = next((kind for kind in ("gzip", "zstd") if kind in layer.media_type), "tar")
        types = {"gzip": media.FOREIGN_LAYER_GZIP, "zstd": media.FOREIGN_LAYER_ZSTD, "tar": media.FOREIGN_LAYER}
    else:
        kind = layer.media_type
        types = {"gzip": media.LAYER_GZIP, "zstd": media.LAYER_ZSTD, "tar": media.LAYER}
    return replace(layer, media_type=types[kind][oci])
