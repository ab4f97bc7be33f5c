"""Artifacts' manifests, against the examples of image-spec 1.1 ("Guidelines for Artifact Usage")."""

from __future__ import annotations

import json

import pytest

from oci_push.model import media
from oci_push.model.artifact import is_media_type, make_artifact
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.platform import Platform

EMPTY = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "size": 2,
}
FILE = Descriptor(
    "application/vnd.example+type",
    Digest.parse("sha256:e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317"),
    1234,
)


def test_without_files_it_is_the_specification_s_minimal_artifact() -> None:
    annotations = {"oci.opencontainers.image.created": "2023-01-02T03:04:05Z", "com.example.data": "payload"}
    assert json.loads(make_artifact("application/vnd.example+type", annotations=annotations).raw) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example+type",
        "config": EMPTY,
        "layers": [EMPTY],
        "annotations": annotations,
    }


def test_with_a_file_it_is_the_specification_s_artifact_without_config() -> None:
    assert json.loads(make_artifact("application/vnd.example+type", [FILE]).raw) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example+type",
        "config": EMPTY,
        "layers": [
            {
                "mediaType": "application/vnd.example+type",
                "digest": "sha256:e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317",
                "size": 1234,
            }
        ],
    }


def test_of_a_subject_only_what_names_it_goes_in() -> None:
    subject = Descriptor(media.OCI_MANIFEST, FILE.digest, 7, {"a": "b"}, Platform("linux", "amd64"))
    made = make_artifact("a/b", subject=subject)
    assert json.loads(made.raw)["subject"] == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": str(FILE.digest),
        "size": 7,
    }
    assert made.artifact_type == "a/b"


def test_the_order_in_which_annotations_are_given_changes_no_byte() -> None:
    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert make_artifact("a/b", annotations=one).raw == make_artifact("a/b", annotations=other).raw


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("application/spdx+json", True),
        ("a/b", True),
        ("a", False),
        ("a/b/c", False),
        ("/b", False),
        ("a/", False),
        ("a/b;version=1", False),
        ("a/b c", False),
        (f"a/{'b' * 127}", True),
        (f"a/{'b' * 128}", False),
        ("a/b\n", False),
    ],
)
def test_a_media_type_has_the_form_of_rfc_6838(text: str, expected: bool) -> None:
    assert is_media_type(text) is expected
