"""Lists of referrers: what may go into one."""

from __future__ import annotations

import json

import pytest

from oci_push.errors import ProtocolViolationError
from oci_push.model import media
from oci_push.model.artifact import make_artifact
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.protocol.referrers import with_entry

SUBJECT = Descriptor(media.OCI_MANIFEST, Digest.of(b"image"), 5)


def listing(*entries: object, **fields: object) -> Manifest:
    """Make a list of referrers as somebody else has written it."""
    value = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, **fields, "manifests": entries}
    return Manifest.parse(json.dumps(value).encode())


def test_an_entry_says_what_the_artifact_is_and_its_annotations() -> None:
    made = make_artifact("a/b", subject=SUBJECT, annotations={"c": "d"})
    (entry,) = with_entry(None, made).children
    assert (entry.digest, entry.media_type, entry.size) == (made.digest, media.OCI_MANIFEST, made.size)
    assert (entry.artifact_type, entry.annotations) == ("a/b", {"c": "d"})


def test_a_list_that_is_full_is_told_of() -> None:
    others = [
        Descriptor(media.OCI_MANIFEST, Digest.of(b"%d" % n), 1, {"text": "x" * 100_000}, artifact_type="a/b")
        for n in range(41)
    ]
    with pytest.raises(ProtocolViolationError, match="is full: 42 entries"):
        with_entry(
            listing(*(one.to_json() for one in others)),
            make_artifact("a/b", subject=SUBJECT, annotations={"text": "x" * 100_000}),
        )


def test_what_others_have_written_in_a_list_stays() -> None:
    odd = {**SUBJECT.to_json(), "com.example.entry": [1], "platform": {"os": "linux", "architecture": "arm64", "x": 1}}
    before = listing(odd, annotations={"a": "b"}, subject=SUBJECT.to_json(), more={"y": None})
    made = make_artifact("a/b", subject=SUBJECT)
    after, was = json.loads(with_entry(before, made).raw), json.loads(before.raw)
    assert after.pop("manifests")[:-1] == was.pop("manifests")
    assert after == was


@pytest.mark.parametrize("annotations", [{"a": "\ud800"}, {"a": float("nan")}])
def test_a_list_that_cannot_be_written_again_is_told_of(annotations: dict[str, object]) -> None:
    with pytest.raises(ProtocolViolationError, match=f"what refers to {SUBJECT.digest}: it holds a number or half"):
        with_entry(listing(annotations=annotations), make_artifact("a/b", subject=SUBJECT))
