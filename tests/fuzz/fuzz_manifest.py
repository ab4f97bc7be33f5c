"""Manifests and indexes: kept byte for byte, or refused with ``ValueError``."""

from __future__ import annotations

from fuzzing import run

from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest


def target(data: bytes) -> None:
    """Read bytes as a manifest."""
    try:
        manifest = Manifest.parse(data)
    except ValueError:
        return
    assert manifest.raw == data
    assert Digest.of(data) == manifest.digest
    for one in (*manifest.blobs, *manifest.children):
        again = Descriptor.from_json(one.to_json())
        assert (again.digest, again.size, again.media_type) == (one.digest, one.size, one.media_type)


if __name__ == "__main__":
    run(target, "manifest")
