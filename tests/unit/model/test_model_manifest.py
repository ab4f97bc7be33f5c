"""Manifests: kinds, kept bytes, and everything a foreign one may have wrong."""

from __future__ import annotations

import json

import pytest

from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode, load_json


def blob(text: str, media_type: str = media.OCI_LAYER_GZIP) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(text.encode())), "size": len(text)}


IMAGE: dict[str, object] = {
    "schemaVersion": 2,
    "mediaType": media.OCI_MANIFEST,
    "config": blob("config", media.OCI_CONFIG),
    "layers": [blob("one"), blob("two")],
}
INDEX: dict[str, object] = {
    "schemaVersion": 2,
    "mediaType": media.OCI_INDEX,
    "manifests": [blob("child", media.OCI_MANIFEST)],
}


def without(value: dict[str, object], key: str) -> dict[str, object]:
    return {k: v for k, v in value.items() if k != key}


def test_image_is_read() -> None:
    manifest = Manifest.parse(encode(IMAGE))
    assert manifest.media_type not in media.INDEXES
    assert manifest.config is not None
    assert [layer.digest for layer in manifest.layers] == [Digest.of(b"one"), Digest.of(b"two")]
    assert manifest.children == ()


def test_index_is_read() -> None:
    manifest = Manifest.parse(encode(INDEX))
    assert manifest.media_type in media.INDEXES
    assert manifest.config is None
    assert [child.digest for child in manifest.children] == [Digest.of(b"child")]


def test_bytes_are_kept_as_they_came() -> None:
    raw = b'{ "schemaVersion":2,\n"config":' + json.dumps(blob("c")).encode() + b', "layers" : [] , "unknown": 1.0e3}\n'
    manifest = Manifest.parse(raw)
    assert manifest.raw == raw
    assert manifest.digest == Digest.of(raw)


@pytest.mark.parametrize(
    ("value", "said", "kind"),
    [
        (IMAGE, "", media.OCI_MANIFEST),
        (IMAGE | {"mediaType": media.DOCKER_MANIFEST}, media.DOCKER_MANIFEST, media.DOCKER_MANIFEST),
        (without(IMAGE, "mediaType"), media.DOCKER_MANIFEST, media.DOCKER_MANIFEST),
        (without(IMAGE, "mediaType"), f"{media.OCI_MANIFEST}; charset=utf-8", media.OCI_MANIFEST),
        (without(IMAGE, "mediaType"), "application/json", media.OCI_MANIFEST),
        (without(IMAGE, "mediaType"), "", media.OCI_MANIFEST),
        (without(INDEX, "mediaType"), "", media.OCI_INDEX),
        (INDEX | {"mediaType": media.DOCKER_LIST}, "text/plain", media.DOCKER_LIST),
    ],
)
def test_kind_is_told(value: dict[str, object], said: str, kind: str) -> None:
    assert Manifest.parse(encode(value), said).media_type == kind


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"\xff\xff", "is not JSON"),
        (b"[" * 100_000, "is nested too deeply"),
        (b" " * (media.MAX_MANIFEST_BYTES + 1), "over the limit"),
        (encode({"schemaVersion": 1, "fsLayers": []}), "schema 1 manifests cannot be pushed"),
        (encode(IMAGE | {"mediaType": "application/x"}), "application/x is not a manifest type"),
        (encode(without(IMAGE, "config")), "image manifest has no config"),
        (encode(IMAGE | {"config": None}), "config is not an object"),
        (encode(IMAGE | {"layers": {}}), "layers is not a list"),
        (encode(IMAGE | {"layers": [blob("one"), {}]}), r"layers\[1\] has no mediaType"),
        (encode(INDEX | {"manifests": None}), "manifests is not a list"),
        (encode(IMAGE | INDEX), "both children and layers"),
        (encode(IMAGE | {"subject": {}}), "subject has no mediaType"),
    ],
)
def test_damaged_manifest_is_refused_with_the_reason(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Manifest.parse(raw)


def test_type_inside_must_agree_with_what_was_said() -> None:
    with pytest.raises(ValueError, match="its descriptor says"):
        Manifest.parse(encode(IMAGE), media.DOCKER_MANIFEST)


def test_bytes_must_have_the_digest_that_was_said() -> None:
    raw = encode(IMAGE)
    assert Manifest.parse(raw, digest=Digest.of(raw)).digest == Digest.of(raw)
    with pytest.raises(ValueError, match="manifest bytes have digest"):
        Manifest.parse(raw, digest=Digest.of(b"other"))


def test_digest_keeps_the_algorithm_that_was_said() -> None:
    raw = encode(IMAGE)
    assert Manifest.parse(raw, digest=Digest.of(raw, "sha512")).digest.algorithm == "sha512"


def test_null_layers_are_no_layers() -> None:
    assert Manifest.parse(encode(IMAGE | {"layers": None})).layers == ()


def test_referrer_fields_are_read() -> None:
    value = IMAGE | {
        "subject": blob("s", media.OCI_MANIFEST),
        "artifactType": "application/x",
        "annotations": {"a": "b", "n": 1},
    }
    manifest = Manifest.parse(encode(value))
    assert manifest.subject is not None
    assert manifest.subject.digest == Digest.of(b"s")
    assert (manifest.artifact_type, manifest.annotations) == ("application/x", {"a": "b"})


def test_own_manifests_are_always_written_to_the_same_bytes() -> None:
    assert encode({"b": 1, "a": "ä"}) == '{"b":1,"a":"ä"}'.encode()


def test_error_of_foreign_json_names_it() -> None:
    with pytest.raises(ValueError, match=r"index\.json is not JSON"):
        load_json(b"{", "index.json")
