"""docker-archive: the tar of ``docker save`` and of all who write its dialects.

``manifest.json`` names a config and layers by path (docker image spec v1.2, "Combined Image JSON + Filesystem
Changeset Format"); podman, kaniko, jib, bazel and nix differ in those paths, in links between layers and in
whether layers are compressed. Layers that are keep their bytes; others are compressed once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.events import Emit, LayerCompressed
from oci_push.model import media
from oci_push.model.access import Access
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode, load_json
from oci_push.model.reference import Repository
from oci_push.protocol.call import Body
from oci_push.runtime.once import OnceMap
from oci_push.runtime.scope import Scope
from oci_push.runtime.tasks import first_error, run_all
from oci_push.sources.compress import Compressed, Compressor, compress, make_compressor
from oci_push.sources.files import FileBody, SpoolSpace
from oci_push.sources.layout import listing, same_name
from oci_push.sources.settings import SourceSettings
from oci_push.sources.views import View, normalise, read_small

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class ArchiveImage:
    """Hold one entry of ``manifest.json``."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]


class DockerArchiveSource:
    """Read one image of a docker-archive as a manifest that we build; thread-safe."""

    def __init__(
        self, view: View, image: ArchiveImage, settings: SourceSettings, spool: SpoolSpace, emit: Emit
    ) -> None:
        self._view = view
        self._image = image
        self._settings = settings
        self._spool = spool
        self._emit = emit
        self._built: OnceMap[str, Manifest] = OnceMap()
        self._bodies: dict[Digest, Body] = {}
        self._stored: dict[Digest, tuple[FileBody, Digest]] = {}
        self._compressed: OnceMap[tuple[Digest, FileBody], Compressed] = OnceMap()

    @property
    def name(self) -> str:
        """Give the source as the user wrote it."""
        return self._view.name

    @property
    def origin(self) -> tuple[Access, Repository] | None:
        """Nothing can be mounted from a file."""
        return None

    @property
    def is_ready(self) -> bool:
        """Layers stored uncompressed must be compressed before anything can be asked, unless an earlier run did it."""
        raw = read_small(self._view, self._image.config, self._settings.limits)
        diff_ids = _diff_ids(raw, self.name) if raw is not None else ()
        pairs = zip(diff_ids, (self._view.find(path) for path in self._image.layers), strict=False)
        return all(body is None or self._is_described(diff_id, body) for diff_id, body in pairs)

    def _is_described(self, diff_id: Digest, body: FileBody) -> bool:
        if _head(body).startswith((_GZIP, _ZSTD)) or self._settings.compression == "none":
            return True
        cache = self._settings.digest_cache
        return cache is not None and cache.find(diff_id, self._compressor().key) is not None

    def root(self, scope: Scope) -> Descriptor:
        """Build the manifest; compresses what is not known from an earlier run."""
        return self._built.get("root", lambda: self._build(scope)).descriptor()

    def manifest(self, scope: Scope, descriptor: Descriptor) -> Manifest:
        """Give the built manifest."""
        return self._built.get("root", lambda: self._build(scope))

    def blob(self, scope: Scope, descriptor: Descriptor) -> Body:
        """Give config or layer; a layer known only by its remembered digest is compressed now."""
        known = self._bodies.get(descriptor.digest)
        if known is not None:
            return known
        stored = self._stored.get(descriptor.digest)
        if stored is None:
            raise SourceError(f"{self.name}: has no blob {descriptor.digest}")
        made = self._compress(scope, stored[0], stored[1], self._settings.threads)
        if made.digest != descriptor.digest:
            if self._settings.digest_cache:
                key = self._compressor().key
                self._settings.digest_cache.store(stored[1], key, made.digest, made.size)
            raise ContentMismatchError(
                f"{self.name}: layer {stored[1]} compresses to {made.digest}, remembered was {descriptor.digest}",
                hint="what was remembered has been put right; run the push again",
            )
        return made.body

    def close(self) -> None:
        """Remove temporary files."""
        self._spool.close()

    def _build(self, scope: Scope) -> Manifest:
        raw = read_small(self._view, self._image.config, self._settings.limits)
        if raw is None:
            raise SourceError(f"{self.name}: config {self._image.config} is missing")
        diff_ids = _diff_ids(raw, self.name)
        if len(diff_ids) != len(self._image.layers):
            raise SourceError(
                f"{self.name}: {len(self._image.layers)} layers are listed, the config names {len(diff_ids)}"
            )
        layers = self._layers(scope, diff_ids)
        config_digest = Digest.of(raw)
        config_body = self._view.find(self._image.config)
        assert config_body is not None  # noqa: S101  # it was read above
        self._bodies[config_digest] = config_body
        oci = self._settings.format == "oci" or any("zstd" in layer.media_type for layer in layers)
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

    def _layers(self, scope: Scope, diff_ids: tuple[Digest, ...]) -> list[Descriptor]:
        bodies = [self._layer(path) for path in self._image.layers]
        total = sum(body.size for body in bodies) or 1
        # Two members may claim one diff_id and differ: both are checked, and kept if they are compressed already.
        pairs = list(zip(diff_ids, bodies, strict=True))
        threads = self._settings.threads

        def describe(inner: Scope, diff_id: Digest, body: FileBody) -> Descriptor:
            # A layer that is most of the image gets all threads, others one each beside one another.
            width = threads if body.size * 2 > total else 1
            return self._describe(inner, body, diff_id, width)

        ordered = sorted(dict.fromkeys(pairs), key=lambda pair: -pair[1].size)
        outcomes = run_all(
            scope,
            [lambda s, d=d, b=b: describe(s, d, b) for d, b in ordered],  # type: ignore[misc]
            limit=threads,
            stop_on_error=True,
        )
        error = first_error(outcomes)
        if error is not None:
            raise error
        known = {pair: outcome.get() for pair, outcome in zip(ordered, outcomes, strict=True)}
        return [known[pair] for pair in pairs]

    def _layer(self, path: str) -> FileBody:
        body = self._view.find(path)
        if body is None:
            raise SourceError(f"{self.name}: layer {path} is missing", hint="the archive is incomplete")
        return body

    def _describe(self, scope: Scope, body: FileBody, diff_id: Digest, width: int) -> Descriptor:
        head = _head(body)
        if head.startswith((_GZIP, _ZSTD)):
            return self._keep(scope, body, "gzip" if head.startswith(_GZIP) else "zstd")
        if self._settings.compression == "none":
            kept = self._keep(scope, body, "")
            if kept.digest != diff_id:
                raise ContentMismatchError(f"{body.what}: has digest {kept.digest}, the image's config says {diff_id}")
            return kept
        suffix = "zstd" if self._settings.compression == "zstd" else "gzip"
        cache = self._settings.digest_cache
        key = self._compressor().key
        remembered = cache.find(diff_id, key) if cache else None
        if remembered is not None:
            self._stored[remembered[0]] = (body, diff_id)
            self._emit(LayerCompressed(diff_id, remembered[0], remembered[1], from_memory=True))
            return Descriptor(f"{suffix}", remembered[0], remembered[1])
        made = self._compress(scope, body, diff_id, width)
        self._bodies[made.digest] = made.body
        if cache:
            cache.store(diff_id, key, made.digest, made.size)
        self._emit(LayerCompressed(diff_id, made.digest, made.size, from_memory=False))
        return Descriptor(suffix, made.digest, made.size)

    def _keep(self, scope: Scope, body: FileBody, suffix: str) -> Descriptor:
        running = hashlib.sha256()
        for block in body.blocks():
            scope.check()
            running.update(block)
        digest = Digest("sha256", running.hexdigest())
        self._bodies[digest] = body
        return Descriptor(suffix or "tar", digest, body.size)

    def _compress(self, scope: Scope, body: FileBody, diff_id: Digest, width: int) -> Compressed:
        return self._compressed.get(
            (diff_id, body), lambda: compress(scope, body, diff_id, self._compressor(), self._spool, body.what, width)
        )

    def _compressor(self) -> Compressor:
        return make_compressor(self._settings.compression, self._settings.level)


def _head(body: FileBody) -> bytes:
    return FileBody(body.file, body.offset, min(4, body.size), body.what).read()


def read_images(view: View, settings: SourceSettings) -> tuple[ArchiveImage, ...] | None:
    """Read ``manifest.json``; ``None`` when there is none."""
    raw = read_small(view, "manifest.json", settings.limits)
    if raw is None:
        return None
    try:
        listed = load_json(b'{"images":' + raw + b"}", "manifest.json").get("images")
    except ValueError as problem:
        raise SourceError(f"{view.name}: {problem}") from problem
    if not isinstance(listed, list):
        raise SourceError(f"{view.name}: manifest.json is not a list")
    return tuple(_image(item, view.name) for item in listed)


def choose(images: tuple[ArchiveImage, ...], ref: str, name: str) -> ArchiveImage:
    """Find the image whose RepoTags hold `ref`, or the only one."""
    found = [image for image in images if not ref or any(same_name(tag, ref) for tag in image.tags)]
    found = [image for n, image in enumerate(images) if ref == f"@{n}"] or found
    if len(found) == 1:
        return found[0]
    listed = listing(tag for image in images for tag in image.tags) or "images without a tag"
    if not images:
        raise SourceError(f"{name}: holds no image")
    if not found:
        raise SourceError(f"{name}: holds no image {ref!r}", hint=f"it holds: {listed}")
    raise SourceError(f"{name}: holds several images, say which", hint=f"it holds: {listed}")


def _image(item: object, name: str) -> ArchiveImage:
    if not isinstance(item, dict):
        raise SourceError(f"{name}: manifest.json holds something that is no image")
    config, layers, tags = item.get("Config"), item.get("Layers", []), item.get("RepoTags")
    layers = [] if layers is None else layers  # docker writes null for an image without layers
    if not isinstance(config, str) or not isinstance(layers, list) or not all(isinstance(x, str) for x in layers):
        raise SourceError(f"{name}: manifest.json holds an image without Config or Layers")
    for path in (config, *layers):
        normalise(path, name)
    return ArchiveImage(
        config, tuple(layers), tuple(t for t in tags if isinstance(t, str)) if isinstance(tags, list) else ()
    )


def _diff_ids(raw: bytes, name: str) -> tuple[Digest, ...]:
    try:
        rootfs = load_json(raw, "image config").get("rootfs")
        listed = rootfs.get("diff_ids", []) if isinstance(rootfs, dict) else None
        listed = [] if listed is None and isinstance(rootfs, dict) else listed
        if not isinstance(listed, list):
            raise ValueError("image config has no rootfs.diff_ids")
        return tuple(Digest.parse(str(item)) for item in listed)
    except ValueError as problem:
        raise SourceError(f"{name}: {problem}") from problem


def _typed(layer: Descriptor, *, oci: bool) -> Descriptor:
    types = {
        "gzip": (media.DOCKER_LAYER_GZIP, media.OCI_LAYER_GZIP),
        "zstd": (media.DOCKER_LAYER_ZSTD, media.OCI_LAYER_ZSTD),
        "tar": (media.DOCKER_LAYER, media.OCI_LAYER),
    }
    return Descriptor(types[layer.media_type][oci], layer.digest, layer.size)
