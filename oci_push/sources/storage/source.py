"""``containers-storage:``: an image as podman and buildah keep it on this machine, read without either.

Layers lie there unpacked. Each is put together again as the tar that it was (`tarsplit`), and goes the way of every
uncompressed layer (`sources.layers`). The manifest is the one that is stored, with those layers; of an image that was
pulled it can go out as it is where the target has the compressed layers that it names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property

from oci_push.errors import SourceError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode, load_json
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository
from oci_push.protocol.call import Body, BytesBody
from oci_push.runtime.commands import command_runner
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.sources.archive_images import diff_ids_of
from oci_push.sources.base import ImageReader, Tell, tell_nobody
from oci_push.sources.layers import Layers, StoredAs
from oci_push.sources.platforms import no_image, read_platform
from oci_push.sources.rewriting import manifests as rewriting
from oci_push.sources.rewriting.manifests import Replaced
from oci_push.sources.settings import Opening
from oci_push.sources.storage.location import Place, find_places, parse_name
from oci_push.sources.storage.namespace import NamespaceOpener
from oci_push.sources.storage.naming import digest_of, find_image
from oci_push.sources.storage.records import ImageRecord, LayerRecord, Store, read_store
from oci_push.sources.storage.tarsplit import StorageLayer

_MOST_LAYERS = 4096
_WRITE_OUT = "write it out with its own program: podman push NAME oci:DIR, then oci-push push oci:DIR"


def open_storage(opening: Opening) -> ImageReader:
    """Find the store and the image in it; raises `ConfigError` and `SourceError`."""
    name = parse_name(opening.spec.path)
    places = find_places(name, opening.around, opening.emit)
    stores = tuple(read_store(place, opening.context, opening.emit) for place in places)
    store, image = find_image(stores, name.image)
    return StorageSource(opening, stores, store, image, digest_of(name.image))


class StorageSource(ImageReader):
    """Read one image of a store; thread-safe."""

    def __init__(
        self, opening: Opening, stores: tuple[Store, ...], store: Store, image: ImageRecord, digest: str
    ) -> None:
        super().__init__(opening.spec.text, opening.spool)
        self._settings = opening.settings
        self._stores = stores
        self._image = image
        env = opening.around.env
        self._opener = NamespaceOpener(self.name, env, command_runner(env, opening.context.clock))
        self._built: SingleFlight[str, Manifest] = SingleFlight()
        self._keeps = False
        self._made = Layers(self.name, opening.settings, opening.spool, opening.emit, lambda _: _hint())
        self._manifests = self._read_manifests(store, image, digest)
        self._stored = self._manifests[0]
        config = self._stored.config
        assert config is not None  # noqa: S101  # every image manifest has one
        raw = store.data(image, str(config.digest), self._settings.limits.json_bytes)
        if raw is None:
            raise SourceError(f"{self.name}: its config {config.digest} is missing", hint=_hint())
        if Digest.of(raw, config.digest.algorithm) != config.digest:
            raise SourceError(f"{self.name}: its config has another digest than {config.digest}", hint=_hint())
        self._config = raw
        self._chain = self._read_chain(image)

    @cached_property
    def _diff_ids(self) -> tuple[Digest, ...]:
        """Return what the config calls the layers, lowest first."""
        diff_ids = diff_ids_of(self._config, self.name)
        listed = self._stored.layers
        if not len(diff_ids) == len(listed) == len(self._chain):
            raise SourceError(
                f"{self.name}: its manifest lists {len(listed)} layers, its config {len(diff_ids)}, "
                f"the store has {len(self._chain)}",
                hint=_hint(),
            )
        return tuple(diff_ids)

    @cached_property
    def _layers(self) -> tuple[StoredAs, ...]:
        """Return the layers, lowest first, each with its diff_id."""
        return tuple(
            (diff_id, self._layer(place, record))
            for diff_id, (place, record) in zip(self._diff_ids, self._chain, strict=True)
        )

    @property
    def is_ready(self) -> bool:
        """Layers must be compressed before anything can be asked, unless an earlier run did it or all are there."""
        return self._keeps or all(map(self._made.is_described, self._layers))

    @property
    def compresses(self) -> bool:
        """Layers lie there unpacked."""
        return self._settings.compression != "none" and not self._keeps

    def check_asked(self, platform: Platform | None) -> None:
        """See, before long work, that the image is for `platform`; raises `SourceError`."""
        if platform is not None:
            found = read_platform(self._config)
            if found is None or not found.satisfies(platform):
                raise no_image(self.name, platform, [found] if found else [])

    @property
    def elsewhere(self) -> tuple[Descriptor, ...]:
        """Return the compressed layers of an image that was pulled: their bytes are not kept."""
        if {"compression", "level"} & self._settings.asked or self._pulled is None:
            return ()
        return tuple(dict.fromkeys(self._pulled.layers))

    @cached_property
    def _pulled(self) -> Manifest | None:
        """Return the manifest that the image came with, if it was pulled: its layers are not as they lie here."""
        diff_ids = self._diff_ids
        for manifest in self._manifests:
            kinds = [rewriting.kind_of(one.media_type) for one in manifest.layers if one.digest not in diff_ids]
            if kinds and all(kinds) and len(kinds) == len(diff_ids):
                return manifest
        return None

    @property
    def pulled_from(self) -> tuple[Repository, ...]:
        """Return the repositories of the image's names: that of the one that was pulled is among them."""
        return tuple(dict.fromkeys(_repositories(self._image.names or ())))

    def keep_stored(self) -> None:
        """Send the manifest that the image came with."""
        if self._pulled is not None:
            self._stored, self._keeps = self._pulled, True

    def make(self, context: Context, tell: Tell) -> None:
        """Compress what is not known from an earlier run; the config is told of first, each layer once it is made."""
        self._built.get("root", lambda: self._build(context, tell))

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Build the manifest, unless `make` has."""
        return self._manifest(context).descriptor()

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Return the built manifest, or the one that is stored."""
        return self._manifest(context)

    def _manifest(self, context: Context) -> Manifest:
        if self._keeps:
            return self._stored
        return self._built.get("root", lambda: self._build(context, tell_nobody))

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return the config or a layer; a layer known only by its remembered digest is compressed now."""
        config = self._stored.config
        if config is not None and descriptor.digest == config.digest:
            return BytesBody(self._config)
        body = self._made.blob(context, descriptor.digest)
        if body is not None:
            return body
        if self._keeps:
            raise SourceError(
                f"{self.name}: layer {descriptor.digest} was at the registry and is no more; here it is kept unpacked",
                hint="push it with --compression gzip: then its layers are compressed anew",
            )
        raise SourceError(f"{self.name}: has no blob {descriptor.digest}")

    def close(self) -> None:
        """End the child, and remove temporary files."""
        self._opener.close()
        super().close()

    def _build(self, context: Context, tell: Tell) -> Manifest:
        config = self._stored.config
        assert config is not None  # noqa: S101  # every image manifest has one
        tell(config)
        known: dict[StoredAs, Descriptor] = {}

        def found(one: StoredAs, layer: Descriptor) -> None:
            known[one] = layer
            tell(Descriptor(rewriting.LAYER_KINDS[layer.media_type][1], layer.digest, layer.size))

        self._made.describe(context, list(dict.fromkeys(self._layers)), found)
        replaced: dict[Digest, Replaced] = {}
        for stored, one in zip(self._stored.layers, self._layers, strict=True):
            made = known[one]
            new = Replaced(made.digest, made.size, made.media_type)
            if replaced.setdefault(stored.digest, new) != new:
                raise SourceError(f"{self.name}: its manifest and its config do not belong together", hint=_hint())
        value = load_json(self._stored.raw, "manifest")
        form = "oci" if any(new.kind == "zstd" for new in replaced.values()) else ""
        try:
            rewriting.changed_manifest(self._stored, value, form=form, blobs=replaced, annotations=())
            if value == load_json(self._stored.raw, "manifest"):
                return self._stored
            return Manifest.parse(encode(value), str(value.get("mediaType") or self._stored.media_type))
        except ValueError as problem:
            raise SourceError(f"{self.name}: its manifest cannot be changed: {problem}") from problem

    def _read_manifests(self, store: Store, image: ImageRecord, digest: str) -> list[Manifest]:
        """Return the manifests that are kept with the image, the one that is meant first.

        There are several where what was built here has been pulled as well: images are the same by their config.
        """
        named = f"manifest-{digest}" if digest and digest != image.digest else "manifest"
        others = sorted(key for key in image.big_data_digests or () if key.startswith("manifest-"))
        found: list[Manifest] = []
        is_meant = not digest
        for key in dict.fromkeys((named, "manifest", *(others if named == "manifest" else ()))):
            raw = store.data(image, key, media.MAX_MANIFEST_BYTES)
            if raw is None:
                continue
            is_meant = is_meant or _has_digest(raw, digest)
            try:
                one = Manifest.parse(raw)
            except ValueError as problem:
                raise SourceError(f"{self.name}: its {key} cannot be used: {problem}", hint=_WRITE_OUT) from problem
            if one.media_type in media.IMAGES and (not found or one.config == found[0].config):
                recorded = (image.big_data_digests or {}).get(key) or key.removeprefix("manifest").removeprefix("-")
                if recorded and not _has_digest(raw, recorded):
                    raise SourceError(f"{self.name}: its {key} is not what the store says of it", hint=_hint())
                found.append(one)
            if found and named != "manifest":
                break
        if not is_meant:
            raise SourceError(f"{self.name}: its manifest has another digest than {digest}", hint=_hint())
        if not found:
            raise SourceError(
                f"{self.name}: the store has no manifest of an image for it",
                hint="a list of several images is pushed by podman manifest push, or made by oci-push index create",
            )
        return found

    def _read_chain(self, image: ImageRecord) -> list[tuple[Place, LayerRecord]]:
        """Return the layers from the lowest to the highest; a layer may lie in another store than the one above."""
        found: list[tuple[Place, LayerRecord]] = []
        wanted, seen = image.layer or "", set[str]()
        while wanted:
            if wanted in seen or len(found) == _MOST_LAYERS:
                raise SourceError(f"{self.name}: its layers have no lowest one", hint=_hint())
            seen.add(wanted)
            one = next(((s.place, s.layers[wanted]) for s in self._stores if wanted in s.layers), None)
            if one is None:
                raise SourceError(
                    f"{self.name}: layer {wanted[:12]} is missing from the store",
                    hint="the image was removed meanwhile, or lies in an additional store that is not there now",
                )
            found.append(one)
            wanted = one[1].parent or ""
        return found[::-1]

    def _layer(self, place: Place, record: LayerRecord) -> StorageLayer:
        folder, name = place.content(record.id), f"{record.id}.tar-split.gz"
        # Beside an imagestore, tar-splits are kept in the graphroot (storage/layers.go, tspath).
        places = (place, *(one.place for one in self._stores))
        split = next((one.layers / name for one in places if os.path.lexists(one.layers / name)), place.layers / name)
        what = f"{self.name}: layer {record.id[:12]}"
        if os.path.lexists(folder.parent / "composefs-data"):
            raise SourceError(f"{what}: is kept for composefs, and cannot be put together without it", hint=_WRITE_OUT)
        if not os.path.lexists(split):
            gone = not os.path.lexists(folder)
            raise SourceError(
                f"{what}: "
                + ("is not there any more" if gone else "has no tar-split, so its tar cannot be made again"),
                hint="the image was removed meanwhile" if gone else _WRITE_OUT,
            )
        size = max(0, record.diff_size or 0)
        return StorageLayer(what, str(folder), str(split), size, self._settings.limits, self._opener)


def _has_digest(raw: bytes, digest: str) -> bool:
    try:
        wanted = Digest.parse(digest)
    except ValueError:
        return False
    return Digest.of(raw, wanted.algorithm) == wanted


def _repositories(names: tuple[str, ...]) -> Iterator[Repository]:
    for name in names:
        try:
            found = Reference.parse(name).repository
        except ValueError:
            continue
        if found.host != "localhost":  # that of what was built here
            yield found


def _hint() -> str:
    return "the image was removed meanwhile, or is damaged: remove it, and build or pull it again"
