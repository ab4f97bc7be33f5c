"""Lists of referrers: what may go into one."""

from __future__ import annotations

import pytest

from oci_push.errors import ProtocolViolationError
from oci_push.model import media
from oci_push.model.artifact import make_artifact
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.protocol.referrers import with_entry

SUBJECT = Descriptor(media.OCI_MANIFEST, Digest.of(b"image"), 5)


def test_an_entry_says_what_the_artifact_is_and_its_annotations() -> None:
    made = make_artifact("a/b", subject=SUBJECT, annotations={"c": "d"})
    (entry,) = with_entry((), made).children
    assert (entry.digest, entry.media_type, entry.size) == (made.digest, media.OCI_MANIFEST, made.size)
    assert (entry.artifact_type, entry.annotations) == ("a/b", {"c": "d"})


def test_a_list_that_is_full_is_told_of() -> None:
    others = [
        Descriptor(media.OCI_MANIFEST, Digest.of(b"%d" % n), 1, {"text": "x" * 100_000}, artifact_type="a/b")
        for n in range(42)
    ]
    with pytest.raises(ProtocolViolationError, match="is full: 43 entries"):
        with_entry(others, make_artifact("a/b", subject=SUBJECT))
