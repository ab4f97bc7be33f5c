"""Which changes an image cannot have: what they are refused with, before anything is compressed or sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oci_push.errors import ConfigError
from oci_push.model import media
from oci_push.model.changes import AnnotationChange, Changes, ConfigChanges
from oci_push.model.descriptor import Descriptor
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.sources.platforms import no_image
from oci_push.sources.rewriting.manifests import IMAGE_CONFIGS, is_of, kind_of, type_in
from oci_push.sources.rewriting.selection import Node

_IN_DOCKER = frozenset(
    {
        media.DOCKER_CONFIG,
        media.DOCKER_LAYER,
        media.DOCKER_LAYER_GZIP,
        media.FOREIGN_LAYER[0],
        media.FOREIGN_LAYER_GZIP[0],
    }
)
"""What docker's manifests list; layers in zstd have a media type there that nothing reads."""
_ONE_PLATFORM = "leave out --format docker, or send one image of the index alone: --platform OS/ARCH"


def check_form(root: Node, form: str, changes: Changes, name: str) -> None:
    """Refuse a form that the image cannot have; raises `ConfigError`."""
    for node in root.all() if form == "docker" else ():
        if not is_of(node.manifest, form):
            _check_docker(node.manifest, name, recompresses=bool(changes.recompress), is_nested=node is not root)


def check(root: Node, form: str, changes: Changes, name: str) -> None:
    """Refuse other changes that the image cannot have; raises `ConfigError`, for a platform `SourceError`."""
    images = tuple(root.images())
    if changes.is_sparse and changes != Changes(platforms=changes.platforms, is_sparse=True):
        raise ConfigError(
            f"{name}: a sparse copy keeps the index as it is, and nothing in it can be changed",
            hint="leave out --sparse: then a new index of these platforms is made",
        )
    is_index = root.manifest.media_type in media.INDEXES
    if changes.is_sparse and not is_index:
        raise ConfigError(f"{name}: --sparse has no effect: it is one image, and no index", hint="leave it out")
    asked = {
        "--recompress": bool(changes.recompress),
        "--source-date-epoch": changes.epoch is not None,
        "a change of the config": changes.config != ConfigChanges(),
    }
    is_image = any(one.manifest.config and one.manifest.config.media_type in IMAGE_CONFIGS for one in images)
    for what in (what for what, is_asked in asked.items() if is_asked and not is_image):
        raise ConfigError(f"{name}: {what} has no effect: it is no image, but an artifact")
    on = [one.platform for one in images if one.platform is not None]
    only = changes.config.platform
    if only is not None and not any(platform.satisfies(only) for platform in on):
        raise no_image(name, only, on)
    for one in changes.annotations:
        check_annotation(one, form, name, is_index=is_index, platforms=on)


def check_annotation(
    one: AnnotationChange, form: str, name: str, *, is_index: bool, platforms: Sequence[Platform] | None = None
) -> None:
    """Refuse an annotation that has no place; `platforms` are those of the images, where they are known."""
    if one.on != "manifest" and not is_index:
        raise ConfigError(
            f"{name}: the annotation {one.on}:{one.key} has no effect: it is one image, and no index",
            hint=f"give {one.key} alone, for the image's manifest",
        )
    if form == "docker" and one.value is not None:
        raise ConfigError(
            f"{name}: the annotation {one.key} has no effect with --format docker: its form has no annotations"
        )
    wanted = one.platform
    if wanted is not None and platforms is not None and not any(each.satisfies(wanted) for each in platforms):
        raise no_image(f"{name}: annotation {one.key}", wanted, platforms)


def _check_docker(manifest: Manifest, name: str, *, recompresses: bool, is_nested: bool) -> None:
    where = f"{name}: --format docker: {'index' if manifest.children else 'manifest'} {manifest.digest}"
    if manifest.subject is not None or manifest.artifact_type:
        what = "refers to a subject" if manifest.subject is not None else f"is an artifact ({manifest.artifact_type})"
        raise ConfigError(f"{where} {what}, which docker's form cannot say", hint=_ONE_PLATFORM)
    if is_nested and manifest.media_type in media.INDEXES:
        raise ConfigError(f"{where} lies in an index, and docker's lists hold images only", hint=_ONE_PLATFORM)
    for child in manifest.children:
        if child.media_type not in media.MANIFESTS:
            raise ConfigError(f"{where} lists {child.digest} of type {child.media_type}", hint=_ONE_PLATFORM)
    for place, descriptor in _of_image(manifest):
        kind = descriptor.media_type
        if type_in("docker", kind) in _IN_DOCKER or (recompresses and kind_of(kind)):
            continue
        if "zstd" in kind:
            hint = "give --recompress gzip as well, or leave out --format docker"
            raise ConfigError(f"{where}: {place} is in zstd, which docker's form does not know", hint=hint)
        raise ConfigError(f"{where}: {place} is {kind}, which docker's form does not know", hint=_ONE_PLATFORM)


def _of_image(manifest: Manifest) -> Iterator[tuple[str, Descriptor]]:
    if manifest.config is not None:
        yield "its config", manifest.config
    yield from ((f"layers[{number}]", layer) for number, layer in enumerate(manifest.layers))
