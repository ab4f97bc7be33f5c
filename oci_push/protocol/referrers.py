"""Referrers: manifests that point at another one with `subject`, and how registries learn of them.

distribution-spec 1.1, "Pushing Manifests with Subject" and "Listing Referrers": a registry that knows referrers names
the subject in ``OCI-Subject``; for one that does not, the client keeps an index under the tag ``ALGORITHM-HEX``.
"""

from __future__ import annotations

from collections.abc import Mapping

from oci_push.errors import NotFoundError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode
from oci_push.model.reference import Reference, Repository
from oci_push.protocol import manifests
from oci_push.protocol.call import Flow

EMPTY_JSON = b"{}"
"""The content of the empty descriptor (image-spec manifest.md, "Guidance for an Empty Descriptor")."""
EMPTY = Descriptor(media.OCI_EMPTY, Digest.of(EMPTY_JSON), len(EMPTY_JSON))


def make_referrer(subject: Descriptor, artifact_type: str, annotations: Mapping[str, str]) -> Manifest:
    """Make an artifact without content of its own that says something about `subject`; equal input, equal bytes."""
    value: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": EMPTY.to_json(),
        "layers": [EMPTY.to_json()],
        "subject": subject.to_json(),
        "annotations": dict(sorted(annotations.items())),
    }
    return Manifest.parse(encode(value), media.OCI_MANIFEST)


def put(repository: Repository, referrer: Manifest) -> Flow[None]:
    """Store a referrer by digest, and where the registry does not keep track of it, list it under the subject's tag."""
    if referrer.subject is None:
        raise ValueError("a referrer has a subject")
    if (yield from manifests.put_referrer(repository, referrer)):
        return
    tag = fallback_tag(referrer.subject.digest)
    listed = yield from _listed(Reference(repository, tag))
    described = Descriptor(
        referrer.media_type,
        referrer.digest,
        referrer.size,
        annotations=referrer.annotations,
        artifact_type=referrer.artifact_type,
    )
    if any(one.digest == referrer.digest for one in listed):
        return
    value = {
        "schemaVersion": 2,
        "mediaType": media.OCI_INDEX,
        "manifests": [one.to_json() for one in (*listed, described)],
    }
    yield from manifests.put(repository, Manifest.parse(encode(value), media.OCI_INDEX), tag)


def fallback_tag(subject: Digest) -> str:
    """Give the tag of the referrers' index (distribution-spec, "Referrers Tag Schema")."""
    return f"{subject.algorithm[:32]}-{subject.encoded[:64]}"


def _listed(index: Reference) -> Flow[tuple[Descriptor, ...]]:
    try:
        found = yield from manifests.fetch(index)
    except NotFoundError:
        return ()
    return found.children
