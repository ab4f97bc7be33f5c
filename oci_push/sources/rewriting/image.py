"""An image read from another source and changed on its way: `model.changes.Changes`, done from the bottom up.

What is not changed passes byte for byte: blobs, and manifests below which nothing has changed. So a blob can still be
mounted from where it was, and an image that is already as asked keeps its digest.

Indexes keep their depth: a nested one holds what is left of it, and goes where nothing is. What is attached to an
image inside an index (attestations of buildx, signatures) stays with it, and refers to it by its new digest; what it
says inside is about the image as it was.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from oci_push.errors import ConfigError, SourceError
from oci_push.events import Emit, ImageChanged, LogMessage
from oci_push.model import media
from oci_push.model.changes import AnnotationChange, Changed, Changes, ConfigChanges
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.manifest import Manifest, encode, load_json
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository
from oci_push.protocol.call import Body, BytesBody
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.sources.archive_images import diff_ids_of
from oci_push.sources.base import ImageReader, Tell, tell_nobody
from oci_push.sources.files import SpoolSpace
from oci_push.sources.rewriting import fitting, manifests
from oci_push.sources.rewriting.config import changed_config
from oci_push.sources.rewriting.manifests import Replaced
from oci_push.sources.rewriting.selection import Node, Selection
from oci_push.sources.settings import SourceSettings

if TYPE_CHECKING:
    from oci_push.sources.rewriting.layers import LayerWork, Recompression

_MAX_CONFIG_BYTES = 8 * 1024 * 1024
_IN_MEMORY_BYTES = 64 * 1024
"""Configurations up to this size are kept in memory, larger ones in the spool."""


class RewrittenImage(ImageReader):
    """Read an image of `inner` with `changes`; thread-safe. `platform` is the only image of an index that is read.

    What the image cannot be changed to is a `ConfigError`; a form that it cannot have is a warning where `is_lenient`.
    `context` is for what is read before `root` is asked for.
    """

    def __init__(
        self,
        inner: ImageReader,
        changes: Changes,
        settings: SourceSettings,
        context: Context,
        emit: Emit,
        platform: Platform | None = None,
        *,
        is_lenient: bool = False,
    ) -> None:
        self._space = SpoolSpace(settings.temp_folder, settings.spool_bytes)
        super().__init__(inner.name, self._space)
        self._inner = inner
        self._changes = changes
        self._context = context
        self._emit = emit
        self._platform = platform
        self._is_lenient = is_lenient
        # Docker's manifests have no word for zstd.
        self._form = changes.format or ("oci" if changes.recompress == "zstd" else "")
        self._recompression: Recompression | None = None
        if changes.recompress:
            from oci_push.sources.rewriting.layers import Recompression

            self._recompression = Recompression(inner, changes.recompress, changes.level, settings, self._space, emit)
        self._selected: SingleFlight[str, Node] = SingleFlight()
        self._to_compress: SingleFlight[str, tuple[LayerWork, ...]] = SingleFlight()
        self._built: SingleFlight[str, Manifest] = SingleFlight()
        self._manifests: dict[Digest, Manifest] = {}
        self._configs: dict[Digest, Body] = {}
        self._replaced: dict[Digest, Replaced] = {}
        self._changed: Changed | None = None
        self._lock = threading.Lock()

    @property
    def origin(self) -> tuple[RegistryEndpoint, Repository] | None:
        """Unchanged blobs are where the image is read from."""
        return self._inner.origin

    @property
    def is_ready(self) -> bool:
        """Layers must be compressed before anything can be asked, unless an earlier run did it."""
        if not self._inner.is_ready or self._recompression is None:
            return self._inner.is_ready
        return all(map(self._recompression.is_known, self._works(self._context)))

    @property
    def compresses(self) -> bool:
        """Return whether the source compresses by its own settings; compressing anew has a level of its own."""
        return self._inner.compresses

    @property
    def elsewhere(self) -> tuple[Descriptor, ...]:
        """Return what the source cannot give as it was stored, unless it is compressed anew anyway."""
        return self._inner.elsewhere if self._recompression is None else ()

    @property
    def pulled_from(self) -> tuple[Repository, ...]:
        """Return where the source says that it came from."""
        return self._inner.pulled_from

    def keep_stored(self) -> None:
        """Change the image as it was stored."""
        self._inner.keep_stored()

    @property
    def changed(self) -> Changed | None:
        """Return what came of the changes, when `root` has been read; ``None`` where the digest is the same."""
        return self._changed

    def check_asked(self, platform: Platform | None) -> None:
        """See, before long work, that the image can be as asked; raises `ConfigError`, for a platform `SourceError`."""
        self._inner.check_asked(platform)
        if self._inner.is_ready:
            self._check(self._select(self._context))
            return
        for one in self._changes.platforms:  # an archive whose layers are compressed first is one image
            self._inner.check_asked(one)
        for note in self._changes.annotations:
            fitting.check_annotation(note, self._form, self.name, is_index=False)

    def make(self, context: Context, tell: Tell) -> None:
        """Do the long work; what the source makes itself and stays as it is is told of as well."""
        is_kept = self._recompression.kind if self._recompression is not None else ""

        def tell_kept(blob: Descriptor) -> None:
            kind = manifests.kind_of(blob.media_type)
            if kind in ("", is_kept or kind) and (kind or not self._changes_configs):
                tell(blob)

        self._inner.make(context, tell_kept)
        self._built.get("root", lambda: self._build(context, tell))

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Change the image, unless `make` has."""
        root = self._built.get("root", lambda: self._build(context, tell_nobody))
        return replace(root.descriptor(), platform=self._platform)

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Return a manifest that was made here, or one of the source as it is."""
        known = self._manifests.get(descriptor.digest)
        return known if known is not None else self._inner.manifest(context, descriptor)

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return a blob that was made here, or one of the source."""
        made = self._configs.get(descriptor.digest)
        if made is None and self._recompression is not None:
            made = self._recompression.blob(context, descriptor.digest)
        return made if made is not None else self._inner.blob(context, descriptor)

    def close(self) -> None:
        """Remove temporary files, and close the source."""
        super().close()
        self._inner.close()

    def _select(self, context: Context) -> Node:
        changes = self._changes
        named = changes.config.platform is not None or any(one.platform for one in changes.annotations)
        names_all = self._form == "docker" or named
        selection = Selection(context, self._inner, changes.platforms, names_all=names_all)
        return self._selected.get("root", lambda: selection.select(self._platform))

    def _check(self, root: Node) -> None:
        """Refuse changes that this image cannot have, before long work; a form too, unless `is_lenient`."""
        try:
            fitting.check_form(root, self._form, self._changes, self.name)
        except ConfigError as problem:
            if not self._is_lenient:
                raise
            self._emit(LogMessage(str(problem), "warning"))
            self._form = ""
        fitting.check(root, self._form, self._changes, self.name)

    def _works(self, context: Context) -> tuple[LayerWork, ...]:
        """Return the layers that are not compressed as asked."""
        return self._to_compress.get("", lambda: self._read_works(context))

    def _read_works(self, context: Context) -> tuple[LayerWork, ...]:
        from oci_push.sources.rewriting.layers import LayerWork

        assert self._recompression is not None  # noqa: S101  # it is asked for by who compresses
        found: dict[Digest, LayerWork] = {}
        for node in self._select(context).images():
            manifest, config = node.manifest, node.manifest.config
            if config is None or config.media_type not in manifests.IMAGE_CONFIGS or not manifest.layers:
                continue
            diff_ids = diff_ids_of(self._read_config(context, config), self.name)
            if len(diff_ids) != len(manifest.layers):
                raise SourceError(
                    f"{self.name}: manifest {manifest.digest} lists {len(manifest.layers)} layers, "
                    f"its config names {len(diff_ids)}"
                )
            for layer, diff_id in zip(manifest.layers, diff_ids, strict=True):
                said = manifests.kind_of(layer.media_type)
                # podman 4.3 has sent plain tars under the media type of gzip; their digest tells.
                kind = "tar" if said and layer.digest == diff_id else said
                if kind not in ("", self._recompression.kind):
                    found[layer.digest] = LayerWork(layer, diff_id)
        return tuple(found.values())

    def _read_config(self, context: Context, config: Descriptor) -> bytes:
        if config.size > _MAX_CONFIG_BYTES:
            raise SourceError(f"{self.name}: config {config.digest} has {config.size} bytes, too many to be changed")
        raw = b"".join(bytes(block) for block in self._inner.blob(context, config).blocks())
        if Digest.of(raw, config.digest.algorithm) != config.digest:
            raise SourceError(f"{self.name}: config {config.digest} is damaged: its content has another digest")
        return raw

    def _build(self, context: Context, tell: Tell) -> Manifest:
        root = self._select(context)
        self._check(root)
        if self._recompression is not None:
            self._replaced.update(self._recompression.make(context, self._works(context), tell))
            self._tell_of_kept(root)
        made = self._rebuild(context, root, is_root=True)
        if made.digest != root.manifest.digest:
            self._tell_of(root, made)
        return made

    def _rebuild(self, context: Context, node: Node, *, is_root: bool = False) -> Manifest:
        """Return a manifest as it is to go out: the same where nothing in it has changed."""
        context.check()
        before = node.manifest
        value = load_json(before.raw, "manifest")
        try:
            if before.media_type in media.INDEXES:
                made = self._rebuilt_index(context, node, value, is_root=is_root)
            else:
                self._rebuild_image(context, node, value)
                made = _parsed(before, value)
        except ValueError as problem:
            raise SourceError(f"{self.name}: manifest {before.digest} cannot be changed: {problem}") from problem
        self._manifests[made.digest] = made
        if made.digest != before.digest:
            self._replaced[before.digest] = Replaced(made.digest, made.size)
        return made

    def _rebuild_image(self, context: Context, node: Node, value: dict[str, Any]) -> None:
        manifest, config = node.manifest, node.manifest.config
        named = [manifest.subject] if manifest.subject is not None else []
        new = None
        if node.is_image and config is not None and config.media_type in manifests.IMAGE_CONFIGS:
            named += manifest.layers
            new = self._change_config(context, config, node)
        # What is attached keeps its blobs, whatever they are.
        replaced = {one.digest: self._replaced[one.digest] for one in named if one.digest in self._replaced}
        replaced |= {config.digest: new} if config is not None and new is not None else {}
        manifests.changed_manifest(
            manifest, value, form=self._form, blobs=replaced, annotations=self._annotations("manifest", node)
        )

    @property
    def _changes_configs(self) -> bool:
        return self._changes.epoch is not None or self._changes.config != ConfigChanges()

    def _change_config(self, context: Context, config: Descriptor, node: Node) -> Replaced | None:
        changes, only = self._changes, self._changes.config.platform
        if only is not None and (node.platform is None or not node.platform.satisfies(only)):
            changes = replace(changes, config=ConfigChanges())
        if changes.epoch is None and changes.config == ConfigChanges():
            return None
        try:
            value = changed_config(self._read_config(context, config), changes)
            raw = encode(value) if value is not None else b""
        except ValueError as problem:
            raise SourceError(f"{self.name}: config {config.digest}: {problem}") from problem
        if not raw:
            return None
        digest = Digest.of(raw)
        if len(raw) <= _IN_MEMORY_BYTES:
            self._configs[digest] = BytesBody(raw)
        else:
            writer = self._space.writer(f"{self.name}: config {digest}")
            writer.write(raw)
            self._configs[digest] = writer.body()
        return Replaced(digest, len(raw))

    def _rebuilt_index(self, context: Context, node: Node, value: dict[str, Any], *, is_root: bool) -> Manifest:
        manifest = node.manifest
        if self._changes.is_sparse:
            for below in node.nodes():
                self._rebuild(context, below)
            return replace(manifest, children=tuple(manifest.children[place] for place, _ in node.kept))
        made: dict[int, Manifest] = {}
        for place, child in sorted(node.kept, key=lambda one: one[1] is not None and one[1].is_attached):
            if child is not None:  # images before what refers to them
                made[place] = self._rebuild(context, child)
        listed = value["manifests"]
        value["manifests"] = [listed[place] for place, _ in node.kept]
        for place, one in node.kept:
            if one is not None:
                self._change_entry(listed[place], one, made[place])
        annotations = self._annotations("index", node) if is_root else ()
        manifests.changed_index(manifest, value, form=self._form, annotations=annotations)
        return _parsed(manifest, value)

    def _change_entry(self, entry: dict[str, Any], child: Node, made: Manifest) -> None:
        new = Replaced(made.digest, made.size)
        manifests.change_descriptor(entry, self._form, new)
        about = self._replaced.get(child.about) if child.about is not None else None
        if about is not None and manifests.REFERENCE in (entry.get("annotations") or {}):
            entry["annotations"][manifests.REFERENCE] = str(about.digest)
        if self._form == "docker" and child.platform is not None and "platform" not in entry:
            entry["platform"] = child.platform.to_json()
        manifests.annotate(entry, self._annotations("manifest-descriptor", child))

    def _annotations(self, on: str, node: Node) -> tuple[AnnotationChange, ...]:
        if on != "index" and not node.is_image:
            return ()
        found = (one for one in self._changes.annotations if one.on == on)
        return tuple(
            one
            for one in found
            if one.platform is None or (node.platform is not None and node.platform.satisfies(one.platform))
        )

    def _tell_of_kept(self, root: Node) -> None:
        """Say which layers are never compressed anew, as they are kept elsewhere or nobody knows their type."""
        configs = manifests.IMAGE_CONFIGS
        images = [one.manifest for one in root.images() if one.manifest.config]
        layers = [layer for one in images if one.config and one.config.media_type in configs for layer in one.layers]
        kept = {one.digest: one.media_type for one in layers if not manifests.kind_of(one.media_type)}
        if kept:
            which = "1 layer stays as it is" if len(kept) == 1 else f"{len(kept)} layers stay as they are"
            types = ", ".join(dict.fromkeys(kept.values()))
            self._emit(LogMessage(f"note: {self.name}: {which}: {types} is not compressed anew"))

    def _tell_of(self, root: Node, made: Manifest) -> None:
        """Say what was done and what follows from it."""
        changes, nodes = self._changes, tuple(root.all())
        done = [f"only {', '.join(map(str, changes.platforms))}"] if root.is_less else []
        converted = self._form and any(not manifests.is_of(node.manifest, self._form) for node in nodes)
        done += [f"converted to {'OCI' if self._form == 'oci' else 'docker schema 2'}"] if converted else []
        anew = sum(1 for new in self._replaced.values() if new.kind)
        how = {"none": "decompressed"}.get(changes.recompress, f"recompressed with {changes.recompress}")
        done += [f"{anew} layer{'s' * (anew != 1)} {how}"] if anew else []
        done += ["annotated"] if changes.annotations else []
        done += ["dated"] if changes.epoch is not None else []
        done += ["configuration changed"] if changes.config != ConfigChanges() else []
        done = done or ["media types of one form"]
        self._changed = Changed(root.manifest.digest, made.digest, tuple(done))
        self._emit(ImageChanged(self.name, root.manifest.digest, made.digest, tuple(done)))
        if self._form == "docker":
            lost = sum(manifests.left_out(node.manifest) for node in nodes)
            if lost:
                which = "1 annotation is" if lost == 1 else f"{lost} annotations are"
                self._emit(LogMessage(f"note: {self.name}: {which} left out: docker's form has none"))
        stale = sum(1 for node in nodes if node.is_attached and node.about in self._replaced)
        if stale:
            self._emit(
                LogMessage(
                    f"note: {self.name}: {stale} attestation{'s' * (stale != 1)} in the index still "
                    f"describe{'s' * (stale == 1)} the image as it was"
                )
            )


def _parsed(before: Manifest, value: dict[str, Any]) -> Manifest:
    """Return a manifest with a changed value, the same bytes where it has not changed; raises ``ValueError``."""
    if value == load_json(before.raw, "manifest"):
        return before
    load_json(before.raw, "manifest", is_to_change=True)
    return Manifest.parse(encode(value), str(value.get("mediaType") or before.media_type))


def settings_below(settings: SourceSettings, changes: Changes) -> SourceSettings:
    """Return how the source itself is read: what it makes is made as it is to be, so that nothing is made twice."""
    form = changes.format or settings.format
    if changes.recompress:
        settings = replace(settings, compression=changes.recompress, level=changes.level)
        form = "auto" if form == "docker" else form  # it may have layers that are only in docker's form afterwards
    return replace(settings, format=form)
