"""Media types that a pusher meets, and what each one is. Sources: image-spec media-types.md, docker schema 2."""

from __future__ import annotations

import re

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"
LAYER = (DOCKER_LAYER, OCI_LAYER)
"""A layer as docker's and as OCI's manifests call it; the same below."""
LAYER_GZIP = (DOCKER_LAYER_GZIP, OCI_LAYER_GZIP)
LAYER_ZSTD = (DOCKER_LAYER_ZSTD, OCI_LAYER_ZSTD)
FOREIGN_LAYER = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
)
FOREIGN_LAYER_GZIP = (FOREIGN_LAYER[0] + ".gzip", FOREIGN_LAYER[1] + "+gzip")
FOREIGN_LAYER_ZSTD = (FOREIGN_LAYER[0] + ".zstd", FOREIGN_LAYER[1] + "+zstd")
OCTET_STREAM = "application/octet-stream"

INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
MANIFESTS = INDEXES | IMAGES
ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
"""What every manifest HEAD and GET sends: distribution answers 404 for an existing OCI manifest without it."""

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""Distribution spec, "Pushing Manifests": both sides must be ready for this much, and may refuse more."""

SAYS_NOTHING = frozenset({"", "application/json", "text/plain", OCTET_STREAM})
"""Content types of answers, and media types of careless layouts, that do not tell which manifest it is."""

SCHEMA1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)


_LIKE_MANIFEST = re.compile(r"(?:^|[/.+-])(?:manifest|index)(?:$|[;.+-])", re.IGNORECASE)


def is_other_manifest(media_type: str) -> bool:
    """Return whether this is a kind of manifest or index that is not known here: it is never sent as anything else."""
    return media_type not in MANIFESTS and _LIKE_MANIFEST.search(media_type) is not None


def is_foreign_layer(media_type: str) -> bool:
    """Return whether a layer of this type is meant to be fetched from its URLs and not to be pushed."""
    return ".foreign." in media_type or ".nondistributable." in media_type
