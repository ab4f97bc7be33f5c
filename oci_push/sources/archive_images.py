"""``manifest.json`` of a docker-archive: which images it holds, and what their configs say about layers.

``LayerSources`` is docker's, for the base layers of Windows: they are kept at URLs of their own, and the archive
holds their bytes or a stub.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from oci_push.errors import SourceError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import load_json
from oci_push.sources.layout import listing, same_name
from oci_push.sources.readers import View, normalise, read_small
from oci_push.sources.settings import SourceSettings


class ArchiveImage(Struct, frozen=True):
    """One entry of ``manifest.json``; `foreign` are layers to be fetched from URLs, by their diff_id."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]
    foreign: Mapping[str, Descriptor] = field(default_factory=dict)


def read_images(view: View, settings: SourceSettings) -> tuple[ArchiveImage, ...] | None:
    """Return what ``manifest.json`` lists; ``None`` when there is none."""
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
    """Return the image whose RepoTags hold `ref`, or the only one; entries of one config and layers are one image."""
    found = [image for image in images if not ref or any(same_name(tag, ref) for tag in image.tags)]
    found = [image for n, image in enumerate(images) if ref == f"@{n}"] or found
    if len({(image.config, image.layers) for image in found}) == 1:
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
    names = tuple(t for t in tags if isinstance(t, str)) if isinstance(tags, list) else ()
    return ArchiveImage(config, tuple(layers), names, _foreign(item.get("LayerSources"), name))


def _foreign(listed: object, name: str) -> dict[str, Descriptor]:
    """Return the layers that are fetched from URLs of their own; the others of ``LayerSources`` are like any layer."""
    if listed is None:
        return {}
    if not isinstance(listed, dict):
        raise SourceError(f"{name}: LayerSources of manifest.json is not an object")
    try:
        found = {key: Descriptor.from_json(value, f"LayerSources {key}") for key, value in listed.items()}
    except ValueError as problem:
        raise SourceError(f"{name}: manifest.json: {problem}") from problem
    return {key: one for key, one in found.items() if media.is_foreign_layer(one.media_type) and one.urls}


def diff_ids_of(raw: bytes, name: str) -> tuple[Digest, ...]:
    """Return from an image config which uncompressed layers it has; raises `SourceError`."""
    try:
        rootfs = load_json(raw, "image config").get("rootfs")
        listed = rootfs.get("diff_ids", []) if isinstance(rootfs, dict) else None
        listed = [] if listed is None and isinstance(rootfs, dict) else listed
        if not isinstance(listed, list):
            raise ValueError("image config has no rootfs.diff_ids")
        return tuple(_diff_id(item, number) for number, item in enumerate(listed))
    except ValueError as problem:
        raise SourceError(f"{name}: {problem}") from problem


def _diff_id(item: object, number: int) -> Digest:
    try:
        return Digest.parse(str(item))
    except ValueError as problem:
        raise ValueError(f"image config: rootfs.diff_ids[{number}]: {problem}") from problem
