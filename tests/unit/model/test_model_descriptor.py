"""Descriptors: what is read, what is refused, and that embedded data is checked."""

from __future__ import annotations

import base64

import pytest

from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.platform import Platform

CONTENT = b"content"
DIGEST = Digest.of(CONTENT)
PLAIN: dict[str, object] = {"mediaType": "application/octet-stream", "digest": str(DIGEST), "size": len(CONTENT)}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"annotations": {"a": "b"}},
        {"platform": {"architecture": "arm", "os": "linux", "variant": "v7"}},
        {"urls": ["https://mirror.example/layer"]},
        {"artifactType": "application/x"},
    ],
)
def test_reading_and_writing_are_inverse(extra: dict[str, object]) -> None:
    value = PLAIN | extra
    assert Descriptor.from_json(value).to_json() == value


def test_fields_are_read() -> None:
    value = PLAIN | {"platform": {"os": "linux", "architecture": "amd64"}, "artifactType": "application/x"}
    descriptor = Descriptor.from_json(value)
    assert descriptor.platform == Platform("linux", "amd64")
    assert (descriptor.digest, descriptor.size, descriptor.artifact_type) == (DIGEST, 7, "application/x")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "layer is not an object"),
        (None, "layer is not an object"),
        ({}, "layer has no mediaType"),
        (PLAIN | {"mediaType": ""}, "layer has no mediaType"),
        (PLAIN | {"digest": None}, "layer has no digest"),
        (PLAIN | {"digest": "sha256:1"}, "layer: sha256 digest must be"),
        (PLAIN | {"size": -1}, "layer has no valid size"),
        (PLAIN | {"size": "7"}, "layer has no valid size"),
        (PLAIN | {"size": True}, "layer has no valid size"),
        (PLAIN | {"size": 7.0}, "layer has no valid size"),
        (PLAIN | {"annotations": {"a": 1}}, "annotations must map strings to strings"),
        (PLAIN | {"annotations": []}, "annotations must map strings to strings"),
        (PLAIN | {"data": "%%"}, "data is not base64"),
        (PLAIN | {"data": base64.b64encode(b"CONTENT").decode()}, "does not match its digest"),
        (PLAIN | {"data": base64.b64encode(b"content!").decode()}, "does not match its digest"),
    ],
)
def test_refusal_names_the_place_and_the_fault(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Descriptor.from_json(value, "layer")


def test_embedded_data_is_given_when_it_is_right() -> None:
    assert Descriptor.from_json(PLAIN | {"data": base64.b64encode(CONTENT).decode()}).data == CONTENT


def test_embedded_data_may_be_empty() -> None:
    value = {"mediaType": "x/y", "digest": str(Digest.of(b"")), "size": 0, "data": ""}
    assert Descriptor.from_json(value).data == b""


def test_descriptors_can_be_keys() -> None:
    assert len({Descriptor.from_json(PLAIN), Descriptor.from_json(PLAIN | {"annotations": {}})}) == 1
