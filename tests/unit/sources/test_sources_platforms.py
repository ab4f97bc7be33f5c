"""Which image of an index or of a layout is meant, by name, by platform, or because it is the only one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from images import LayoutWriter

from oci_push.engine.graph import ImageGraph, walk
from oci_push.errors import SourceError
from oci_push.events import Event, LogMessage, ignore
from oci_push.model import media
from oci_push.model.platform import Platform
from oci_push.model.source import SourceSpec
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.sources.settings import SourceSettings
from oci_push.sources.table import open_source

Entry = dict[str, object]
REF = "org.opencontainers.image.ref.name"
AMD, ARM = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}


def graph(
    path: Path, *entries: Entry, platform: str = "", ref: str = "", events: list[Event] | None = None
) -> ImageGraph:
    """Write ``index.json`` with these entries and read the image."""
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    context = Context(SystemClock())
    source = open_source(SourceSpec("oci", str(path), ref, ""), SourceSettings(), context=context, emit=ignore)
    wanted = Platform.parse(platform) if platform else None
    return walk(context, source, platform=wanted, emit=events.append if events is not None else ignore)


@pytest.fixture
def writer(tmp_path: Path) -> LayoutWriter:
    """Write into an empty layout."""
    return LayoutWriter(tmp_path / "image")


def image(writer: LayoutWriter, seed: int, platform: dict[str, str] | None = None, name: str = "") -> Entry:
    """Store an image; its config says linux/amd64 or what `platform` does."""
    raw = json.dumps({**(platform or AMD), "seed": seed, "rootfs": {"diff_ids": []}}).encode()
    config = writer.put(raw, media.OCI_CONFIG)
    entry = writer.manifest({"config": config, "layers": []}, media.OCI_MANIFEST)
    return {**entry, "annotations": {REF: name}} if name else entry


def attached(writer: LayoutWriter, subject: Entry, **fields: object) -> Entry:
    """Store an artifact that refers to an image."""
    config = writer.put(b"{}", media.OCI_EMPTY)
    return writer.manifest({"config": config, "layers": [], "subject": subject, **fields}, media.OCI_MANIFEST)


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_platform_is_found_however_deep_it_lies(writer: LayoutWriter, depth: int, is_told: bool) -> None:
    amd, arm = image(writer, 1), image(writer, 2, ARM)
    node = writer.index(*([{**amd, "platform": AMD}, {**arm, "platform": ARM}] if is_told else [amd, arm]))
    for _ in range(depth):
        node = writer.index(node)
    assert str(graph(writer.path, node, platform="linux/arm64").root.digest) == arm["digest"]
    with pytest.raises(SourceError, match="has no image for linux/s390x") as caught:
        graph(writer.path, node, platform="linux/s390x")
    assert "it has: linux/amd64, linux/arm64" in str(caught.value.hint)


def test_a_platform_that_is_an_index_of_image_and_attestation_is_its_image(writer: LayoutWriter) -> None:
    def both(seed: int, platform: dict[str, str]) -> Entry:
        one = image(writer, seed, platform)
        proof = {**image(writer, seed + 10, UNKNOWN), "platform": UNKNOWN}
        return {**writer.index(proof, one), "platform": platform}

    node = writer.index(both(1, AMD), both(2, ARM))
    assert str(graph(writer.path, node, platform="linux/arm64").root.digest) == image(writer, 2, ARM)["digest"]


def test_of_several_that_match_the_first_is_taken(writer: LayoutWriter) -> None:
    first, second = {**image(writer, 1), "platform": AMD}, {**image(writer, 2), "platform": AMD}
    assert str(graph(writer.path, writer.index(second, first), platform="linux/amd64").root.digest) == second["digest"]


def test_indexes_that_list_one_another_many_times_are_read_once(writer: LayoutWriter) -> None:
    node = writer.index()
    for _ in range(7):
        node = writer.index(*[node] * 30)
    with pytest.raises(SourceError, match="has no image for linux/amd64"):
        graph(writer.path, node, platform="linux/amd64")


def test_indexes_nested_too_deep_are_refused(writer: LayoutWriter) -> None:
    node = image(writer, 1)
    for _ in range(20):
        node = writer.index(node)
    with pytest.raises(SourceError, match="nested more than 8 deep"):
        graph(writer.path, node, platform="linux/amd64")


def test_other_platforms_need_not_be_there(writer: LayoutWriter) -> None:
    amd, arm = image(writer, 1), image(writer, 2, ARM)
    node = writer.index({**writer.index(arm), "platform": ARM}, writer.index(amd), writer.index(arm, arm))
    for gone in (arm, writer.index(arm), writer.index(arm, arm)):
        (writer.path / "blobs/sha256" / str(gone["digest"])[7:]).unlink()
    assert str(graph(writer.path, node, platform="linux/amd64").root.digest) == amd["digest"]
    with pytest.raises(SourceError, match="is missing"):
        graph(writer.path, node, platform="linux/s390x")


@pytest.mark.parametrize("told", [{}, {"platform": AMD}])
def test_an_image_of_another_platform_is_refused(writer: LayoutWriter, told: Entry) -> None:
    entry = {**image(writer, 1), **told}
    assert graph(writer.path, entry, platform="linux/amd64").root
    with pytest.raises(SourceError, match="has no image for linux/arm64") as caught:
        graph(writer.path, entry, platform="linux/arm64")
    assert "it has: linux/amd64" in str(caught.value.hint)


def test_an_artifact_is_for_no_platform(writer: LayoutWriter) -> None:
    config = writer.put(b"{}", media.OCI_EMPTY)
    entry = writer.manifest({"config": config, "layers": []}, media.OCI_MANIFEST)
    with pytest.raises(SourceError, match="has no image for linux/amd64") as caught:
        graph(writer.path, entry, platform="linux/amd64")
    assert "nothing in it says" in str(caught.value.hint)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_layout_with_one_top_for_each_platform_is_usable_by_platform(writer: LayoutWriter, is_told: bool) -> None:
    amd, arm = image(writer, 1), image(writer, 2, ARM)
    entries = [{**amd, "platform": AMD}, {**arm, "platform": ARM}] if is_told else [amd, arm]
    assert str(graph(writer.path, *entries, platform="linux/arm64").root.digest) == arm["digest"]
    with pytest.raises(SourceError, match="several images") as caught:
        graph(writer.path, *entries)
    assert f"@{amd['digest']} (linux/amd64), @{arm['digest']} (linux/arm64)" in str(caught.value.hint)
    assert "--platform" in str(caught.value.hint)


def test_one_name_for_several_platforms_is_usable_by_platform(writer: LayoutWriter) -> None:
    amd, arm, other = image(writer, 1, name="a"), image(writer, 2, ARM, name="a"), image(writer, 3, ARM, name="b")
    assert str(graph(writer.path, amd, arm, other, platform="linux/arm64", ref="a").root.digest) == arm["digest"]
    with pytest.raises(SourceError, match="several images"):
        graph(writer.path, amd, arm, other, platform="linux/arm64")


ATTACHED = {
    "a subject": {},
    "an artifact type": {"artifactType": "application/spdx+json"},
    "docker's attestation": {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
    "no platform": {"platform": UNKNOWN},
    "cosign's name": {"annotations": {REF: f"sha256-{'a' * 64}.sig"}},
}


@pytest.mark.parametrize("kind", ATTACHED)
@pytest.mark.parametrize("name", ["", "v1"])
def test_what_is_attached_to_an_image_does_not_count(writer: LayoutWriter, kind: str, name: str) -> None:
    one = image(writer, 1, name=name)
    proof = {**attached(writer, image(writer, 1)), **ATTACHED[kind]}
    assert str(graph(writer.path, proof, one).root.digest) == one["digest"]
    assert str(graph(writer.path, proof).root.digest) == proof["digest"]


def test_entries_of_one_digest_are_one_image(writer: LayoutWriter) -> None:
    one = image(writer, 1)
    entries = [{**one, "annotations": {REF: name}} for name in ("a", "b", "c")]
    assert str(graph(writer.path, *entries).root.digest) == one["digest"]


def test_what_is_no_manifest_goes_as_a_blob_and_is_told(writer: LayoutWriter) -> None:
    events: list[Event] = []
    stray = writer.put(b"{}", "application/vnd.example.data+json")
    found = graph(writer.path, writer.index(image(writer, 1), stray), events=events)
    assert stray["digest"] in [str(blob.digest) for blob in found.blobs]
    assert any("goes as a blob" in event.text for event in events if isinstance(event, LogMessage))


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.oci.image.manifest.v2+json",
        "application/vnd.example.index.v1+json",
    ],
)
def test_a_kind_of_manifest_that_is_not_known_is_never_sent_as_something_else(writer: LayoutWriter, kind: str) -> None:
    other = writer.put(b'{"schemaVersion":2,"config":{},"blobs":[]}', kind)
    with pytest.raises(SourceError, match="a kind of manifest that cannot be pushed") as caught:
        graph(writer.path, writer.index(image(writer, 1), other))
    assert kind in str(caught.value)
    with pytest.raises(SourceError, match="is not a manifest type that can be pushed"):
        graph(writer.path, other)
