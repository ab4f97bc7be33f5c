"""Artifacts: manifests that hold files of any kind, and may say something about another manifest, their subject.

Source: image-spec manifest.md, "Guidelines for Artifact Usage" and "Guidance for an Empty Descriptor". How files and
folders are named is not in it: that is as oras writes and reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode

EMPTY_JSON = b"{}"
"""The content of the empty descriptor."""
EMPTY = Descriptor(media.OCI_EMPTY, Digest.of(EMPTY_JSON), len(EMPTY_JSON))
TITLE = "org.opencontainers.image.title"
"""The annotation of a layer that says under which name it is written."""
CREATED = "org.opencontainers.image.created"
UNPACK = "io.deis.oras.content.unpack"
"""``true`` for a layer that is the tar of a folder; oras's own, as is the next."""
UNPACKED_DIGEST = "io.deis.oras.content.digest"
"""The digest of that tar before it was compressed."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
MEDIA_TYPE = f"{_NAME}/{_NAME}"
"""RFC 6838, section 4.2, which image-spec holds media types and artifact types to."""


def is_media_type(text: str) -> bool:
    """Return whether a text has the form of a media type, without parameters."""
    return re.fullmatch(MEDIA_TYPE, text) is not None


def make_artifact(
    artifact_type: str,
    layers: Sequence[Descriptor] = (),
    *,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
    config_annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Make an artifact's manifest, without layers the one of the empty descriptor; equal input makes equal bytes.

    Of `subject` only what names it goes in: what an index says of it is not what it is.
    """
    value: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": replace(EMPTY, annotations=_sorted(config_annotations)).to_json(),
        "layers": [replace(one, annotations=_sorted(one.annotations)).to_json() for one in layers or (EMPTY,)],
    }
    if subject is not None:
        value["subject"] = Descriptor(subject.media_type, subject.digest, subject.size).to_json()
    if annotations:
        value["annotations"] = _sorted(annotations)
    return Manifest.parse(encode(value), media.OCI_MANIFEST)


def _sorted(annotations: Mapping[str, str] | None) -> dict[str, str]:
    return dict(sorted((annotations or {}).items()))
