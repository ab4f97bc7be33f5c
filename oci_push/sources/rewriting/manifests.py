"""How the JSON of a manifest or index is changed: forms, media types, annotations. Pure: `rewriting.image` reads.

What is not changed is left as it stands, also what is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from oci_push.model import media
from oci_push.model.changes import AnnotationChange
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest

_PAIRS = (
    (media.DOCKER_LIST, media.OCI_INDEX),
    (media.DOCKER_MANIFEST, media.OCI_MANIFEST),
    (media.DOCKER_CONFIG, media.OCI_CONFIG),
    media.LAYER,
    media.LAYER_GZIP,
    media.LAYER_ZSTD,
    media.FOREIGN_LAYER,
    media.FOREIGN_LAYER_GZIP,
    media.FOREIGN_LAYER_ZSTD,
)
_TYPES = {
    "docker": {oci: docker for docker, oci in _PAIRS},
    "oci": dict(_PAIRS),
}
IMAGE_CONFIGS = (media.DOCKER_CONFIG, media.OCI_CONFIG)
LAYER_KINDS = {"tar": media.LAYER, "gzip": media.LAYER_GZIP, "zstd": media.LAYER_ZSTD}
"""Layers by how they are compressed, foreign ones left out, which nobody sends."""
REFERENCE = "vnd.docker.reference.digest"
"""The annotation by which buildx says what an attestation is about."""
_OF_BYTES = ("io.github.containers.zstd-chunked.", "containerd.io/snapshot/stargz/", "io.containers.estargz.")
"""Annotations that describe how a layer is compressed: of zstd:chunked and eStargz."""


class Replaced(Struct, frozen=True):
    """What stands in the place of something: its digest and size, and for a layer how it is compressed."""

    digest: Digest
    size: int
    kind: str = ""


def kind_of(media_type: str) -> str:
    """Return how a layer is compressed: ``tar``, ``gzip`` or ``zstd``; empty of what is no layer that is sent."""
    return next((kind for kind, types in LAYER_KINDS.items() if media_type in types), "")


def changed_manifest(
    manifest: Manifest,
    value: dict[str, Any],
    *,
    form: str,
    blobs: Mapping[Digest, Replaced],
    annotations: tuple[AnnotationChange, ...],
) -> None:
    """Change an image's manifest in place."""
    _retype(value, manifest, form)
    for descriptor in [value["config"], *(value.get("layers") or ())]:
        change_descriptor(descriptor, form, blobs.get(Digest.parse(descriptor["digest"])))
    subject = value.get("subject")
    if isinstance(subject, dict):
        change_descriptor(subject, "", blobs.get(Digest.parse(subject["digest"])))
    annotate(value, annotations)


def changed_index(
    manifest: Manifest, value: dict[str, Any], *, form: str, annotations: tuple[AnnotationChange, ...]
) -> None:
    """Change an index in place, but for its children."""
    _retype(value, manifest, form)
    annotate(value, annotations)


def change_descriptor(value: dict[str, Any], form: str, new: Replaced | None) -> None:
    """Change a descriptor in place: its media type to that of `form`, and what it points at."""
    kind = value["mediaType"]
    if new is not None and new.kind and not kind_of(kind):
        new = None  # what is sent from elsewhere is not compressed here
    is_compressed_otherwise = new is not None and new.kind not in ("", kind_of(kind))
    if new is not None and (is_compressed_otherwise or str(new.digest) != value["digest"]):
        value["digest"], value["size"] = str(new.digest), new.size
        value.pop("data", None)
        if new.kind:
            kind = LAYER_KINDS[new.kind][kind in _TYPES["docker"]]
            _keep_annotations(value, lambda key: not key.startswith(_OF_BYTES))
    value["mediaType"] = type_in(form, kind) if form else kind
    if form == "docker":
        for key in ("annotations", "data", "artifactType"):
            value.pop(key, None)


def annotate(value: dict[str, Any], changes: tuple[AnnotationChange, ...]) -> None:
    """Set and remove annotations in place."""
    if changes:
        found = value.get("annotations")
        value["annotations"] = {**(found if isinstance(found, dict) else {}), **{one.key: one.value for one in changes}}
        _keep_annotations(value, lambda key: value["annotations"][key] is not None)


def _keep_annotations(value: dict[str, Any], is_kept: Callable[[str], bool]) -> None:
    kept = {key: text for key, text in (value.get("annotations") or {}).items() if is_kept(key)}
    if kept:
        value["annotations"] = kept
    else:
        value.pop("annotations", None)


def _retype(value: dict[str, Any], manifest: Manifest, form: str) -> None:
    if form and type_in(form, manifest.media_type) != manifest.media_type:
        value["mediaType"] = type_in(form, manifest.media_type)
    if form == "docker":
        value.pop("annotations", None)


def type_in(form: str, media_type: str) -> str:
    """Return what a media type is in ``docker`` or ``oci``; itself where that is not known."""
    return _TYPES[form].get(media_type, media_type)


def is_of(manifest: Manifest, form: str) -> bool:
    """Return whether a manifest or index has this form."""
    return manifest.media_type in _TYPES["oci" if form == "docker" else "docker"]


def left_out(manifest: Manifest) -> int:
    """Return how many annotations of a manifest or index, and of what it lists, docker's form has no place for."""
    listed = (*manifest.blobs, *manifest.children)
    return len(manifest.annotations) + sum(len(one.annotations) for one in listed)
