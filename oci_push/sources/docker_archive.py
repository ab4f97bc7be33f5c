"""docker-archive: the tar of ``docker save`` and of all who write its dialects.

``manifest.json`` names a config and layers by path (docker image spec v1.2, "Combined Image JSON + Filesystem
Changeset Format"); podman, kaniko, jib, bazel and nix differ in those paths, in links between layers and in
whether layers are compressed (`sources.layers`).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from oci_push.errors import ConfigError, SourceError
from oci_push.events import Emit
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode
from oci_push.model.platform import Platform
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.sources.archive_images import ArchiveImage, diff_ids_of
from oci_push.sources.base import ImageReader, Tell, tell_nobody
from oci_push.sources.files import FileBody, SpoolSpace
from oci_push.sources.layers import SENT_AS_STORED, Layers, StoredAs, codec_of
from oci_push.sources.option_effects import HINT, about_layers
from oci_push.sources.platforms import no_image, read_platform
from oci_push.sources.readers import View, read_small
from oci_push.sources.settings import SourceSettings


class DockerArchiveSource(ImageReader):
    """Read one image of a docker-archive as a manifest that we build; thread-safe."""

    def __init__(
        self, view: View, image: ArchiveImage, settings: SourceSettings, spool: SpoolSpace, emit: Emit
    ) -> None:
        super().__init__(view.name, spool)
        self._view = view
        self._image = image
        self._settings = settings
        self._built: SingleFlight[str, Manifest] = SingleFlight()
        self._configs: dict[Digest, Body] = {}
        self._made = Layers(view.name, settings, spool, emit, self._hint)

    @property
    def is_ready(self) -> bool:
        """Layers stored uncompressed must be compressed before anything can be asked, unless an earlier run did it."""
        raw = read_small(self._view, self._image.config, self._settings.limits)
        diff_ids = diff_ids_of(raw, self.name) if raw is not None else ()
        pairs = zip(diff_ids, (self._view.find(path) for path in self._image.layers), strict=False)
        return all(body is None or self._made.is_described((diff_id, body)) for diff_id, body in pairs)

    @property
    def compresses(self) -> bool:
        """Layers in gzip or zstd are sent as they are."""
        return any(codec not in SENT_AS_STORED for _, codec in self._codecs()) and self._settings.compression != "none"

    def check_asked(self, platform: Platform | None) -> None:
        """See, before long work, that the image can be as asked; raises `ConfigError`, for a platform `SourceError`."""
        stored = [(path, codec) for path, codec in self._codecs() if codec in SENT_AS_STORED]
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
        return ((path, codec_of(body)) for path, body in bodies if body is not None)

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
        body = self._configs.get(descriptor.digest) or self._made.blob(context, descriptor.digest)
        if body is None:
            raise SourceError(f"{self.name}: has no blob {descriptor.digest}")
        return body

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
        self._configs[config_digest] = config_body
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
        known: dict[StoredAs, Descriptor] = {}

        def found(pair: StoredAs, layer: Descriptor) -> None:
            known[pair] = layer
            tell(_typed(layer, oci=self._settings.format == "oci"))

        self._made.describe(context, list(ours), found)
        return [known[diff_id, body] if body is not None else referred[diff_id] for diff_id, body in pairs]

    def _layer(self, path: str) -> FileBody:
        body = self._view.find(path)
        if body is None:
            raise SourceError(f"{self.name}: layer {path} is missing", hint="the archive is incomplete")
        return body

    def _hint(self, diff_id: Digest) -> str:
        """Return what to say of a layer that is not its diff_id, where that is known: a stub of one kept elsewhere."""
        elsewhere = self._image.foreign.get(str(diff_id))
        place = elsewhere.urls[0] if elsewhere else ""
        return f"its bytes are at {place}; without --foreign-layers they are not sent" if place else ""


def _typed(layer: Descriptor, *, oci: bool) -> Descriptor:
    if layer.urls:
        kind = next((kind for kind in ("gzip", "zstd") if kind in layer.media_type), "tar")
        types = {"gzip": media.FOREIGN_LAYER_GZIP, "zstd": media.FOREIGN_LAYER_ZSTD, "tar": media.FOREIGN_LAYER}
    else:
        kind = layer.media_type
        types = {"gzip": media.LAYER_GZIP, "zstd": media.LAYER_ZSTD, "tar": media.LAYER}
    return replace(layer, media_type=types[kind][oci])
