"""What a user has asked of an image, held against what the source gives: an option has its effect or that is told.

Layers and manifests that are there already are sent as they are, so an option that is about making them can ask for
something else than what is there. That is a usage error, and in a run of several images a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oci_push.model import media
from oci_push.model.manifest import Manifest
from oci_push.sources.settings import SourceSettings

HINT = "leave the option out; --recompress gzip, zstd or none is for layers that are compressed already"
_KINDS = {
    kind: said
    for said, kinds in (("tar", media.LAYER), ("gzip", media.LAYER_GZIP), ("zstd", media.LAYER_ZSTD))
    for kind in kinds
}
_CONFIGS = (media.DOCKER_CONFIG, media.OCI_CONFIG)
_FAMILIES = {
    "docker": frozenset({media.DOCKER_LIST, media.DOCKER_MANIFEST}),
    "oci": frozenset({media.OCI_INDEX, media.OCI_MANIFEST}),
}


def about_layers(settings: SourceSettings, layers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a sentence on a layer not compressed as asked; each is a name and ``gzip``, ``zstd`` or ``tar``."""
    wanted = "tar" if settings.compression == "none" else settings.compression
    if "compression" not in settings.asked:
        return
    for name, kind in layers:
        if kind != wanted:
            stored = "uncompressed" if kind == "tar" else f"in {kind}"
            yield f"--compression {settings.compression}: layer {name} is stored {stored} and is sent as it is"
            return


def about_level(settings: SourceSettings, name: str, *, compresses: bool) -> Iterator[str]:
    """Yield a sentence on that nothing is compressed at any level."""
    if "level" in settings.asked and not compresses:
        yield f"--compression-level {settings.level}: no layer of {name} is compressed here, all are sent as they are"


def about_image(settings: SourceSettings, manifests: Iterable[Manifest]) -> Iterator[str]:
    """Yield a sentence on which layer or manifest of an image is not as asked."""
    nodes = tuple(manifests)
    if "compression" in settings.asked and not any(one.config and one.config.media_type in _CONFIGS for one in nodes):
        yield f"--compression {settings.compression}: it is no image, but an artifact, which is sent as it is"
    layers = ((str(one.digest), _KINDS[one.media_type]) for n in nodes for one in n.layers if one.media_type in _KINDS)
    yield from about_layers(settings, layers)
    yield from about_form(settings, nodes)


def about_form(settings: SourceSettings, nodes: Iterable[Manifest]) -> Iterator[str]:
    """Yield a sentence on which manifest is not of the family asked for."""
    family = _FAMILIES.get(settings.format) if "format" in settings.asked else None
    other = next((node for node in nodes if family is not None and node.media_type not in family), None)
    if other is not None:
        yield f"--format {settings.format}: manifest {other.digest} is {other.media_type} and is sent as it is"
