"""An image changed while it is read: what changes, what passes byte for byte, and what is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from images import Layout, LayoutWriter, config_of, layer
from msgspec.structs import replace

from oci_push.engine.graph import ImageGraph, walk
from oci_push.errors import ConfigError, ContentMismatchError, SourceError
from oci_push.events import Event, ImageChanged, LayerCompressed, LogMessage
from oci_push.forms import decode, encode
from oci_push.model import media
from oci_push.model.changes import AnnotationChange, Changes, ConfigChanges
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.platform import Platform
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.sources.rewriting.image import RewrittenImage
from oci_push.sources.settings import SourceSettings
from oci_push.sources.table import GRAMMAR, open_source

CONTEXT = Context(SystemClock(), what="test")
ONE, TWO, THREE = layer(1), layer(2), layer(3)
AMD, ARM, S390 = (Platform("linux", name) for name in ("amd64", "arm64", "s390x"))


class Read:
    """An image as it comes out of a rewriting reader, with all of its blobs read."""

    def __init__(self, path: Path, changes: Changes, platform: Platform | None = None, **settings: Any) -> None:
        self.events: list[Event] = []
        given = SourceSettings(**settings)
        inner = open_source(GRAMMAR.parse(f"oci:{path}"), given, context=CONTEXT, emit=self.events.append)
        self.source = RewrittenImage(inner, changes, given, CONTEXT, self.events.append, platform)
        try:
            self.source.check_asked(platform)
            self.graph: ImageGraph = walk(CONTEXT, self.source, platform=platform, emit=self.events.append)
            self.blobs = {one.digest: self._whole(one) for one in self.graph.blobs}
            self.changed = self.source.changed
        finally:
            self.source.close()

    def _whole(self, blob: Descriptor) -> bytes:
        content = b"".join(bytes(block) for block in self.source.blob(CONTEXT, blob).blocks())
        assert (Digest.of(content, blob.digest.algorithm), len(content)) == (blob.digest, blob.size)
        return content

    @property
    def root(self) -> Any:
        """Return the root's JSON."""
        return json.loads(self.graph.root.raw)

    def image(self, number: int = 0) -> Any:
        """Return the JSON of an image, in the order of the graph."""
        return json.loads(self.graph.nodes[number].raw)

    def layers(self, number: int = 0) -> list[bytes]:
        """Return the layers of an image as they are sent."""
        return [self.blobs[one.digest] for one in self.graph.nodes[number].layers]

    def config(self, number: int = 0) -> Any:
        """Return an image's config."""
        config = self.graph.nodes[number].config
        assert config is not None
        return json.loads(self.blobs[config.digest])

    def told(self, kind: type) -> list[Any]:
        """Return the events of a kind."""
        return [one for one in self.events if isinstance(one, kind)]


def runs_on(described: dict[str, object], platform: Platform, **annotations: str) -> dict[str, object]:
    """Return an entry of an index."""
    more = {"annotations": annotations} if annotations else {}
    return {**described, "platform": platform.to_json(), **more}


def attestation(writer: LayoutWriter, about: dict[str, object]) -> dict[str, object]:
    """Store what buildx attaches to an image inside an index, and return its entry."""
    statement = writer.put(json.dumps({"subject": about["digest"]}).encode(), "application/vnd.in-toto+json")
    config = writer.put(b'{"architecture":"unknown","os":"unknown"}', media.OCI_CONFIG)
    stored = writer.manifest({"config": config, "layers": [statement]}, media.OCI_MANIFEST)
    marks = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": str(about["digest"])}
    return runs_on(stored, Platform("unknown", "unknown"), **marks)


@pytest.fixture
def index(tmp_path: Path) -> Layout:
    """Write an index of three platforms, one of which has an attestation, and one of which lies deeper."""
    writer = LayoutWriter(tmp_path / "index")
    amd, arm, deep = writer.image(ONE, TWO), writer.image(ONE, THREE), writer.image(THREE)
    inner = writer.index(runs_on(deep, S390))
    children = (runs_on(amd, AMD, place="first"), runs_on(arm, ARM), attestation(writer, amd), attestation(writer, arm))
    return writer.close(writer.index(*children, inner, annotations={"team": "a"}))


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    """Write an image of two layers with an annotation."""
    writer = LayoutWriter(tmp_path / "image")
    return writer.close(writer.image(ONE, TWO, annotations={"team": "a"}))


def docker_image(path: Path, *layers: bytes) -> Layout:
    """Write an image of docker's schema 2, stored in a layout as tools do that keep digests."""
    writer = LayoutWriter(path)
    described = [writer.put(gzip.compress(one, mtime=0), media.DOCKER_LAYER_GZIP) for one in layers]
    config = writer.put(config_of(*layers), media.DOCKER_CONFIG)
    return writer.close(writer.manifest({"config": config, "layers": described}, media.DOCKER_MANIFEST))


ALREADY = {
    "its form": Changes(format="oci"),
    "its compression": Changes(recompress="gzip"),
    "its compression at another level": Changes(recompress="gzip", level=9),
    "all of its platforms": Changes(platforms=(AMD, ARM, S390)),
    "only some sent": Changes(platforms=(AMD,), is_sparse=True),
}


@pytest.mark.parametrize("case", ALREADY)
def test_an_image_that_is_as_asked_keeps_its_digest_and_nothing_is_told(case: str, index: Layout) -> None:
    read = Read(index.path, ALREADY[case])
    assert str(read.graph.root.digest) == index.digest
    assert read.changed is None
    assert not read.told(ImageChanged)


def test_changes_are_written_and_read_back_as_json() -> None:
    config = ConfigChanges({"a": "b", "c": None}, {"D": "e"}, ("/bin/sh", "-c"), created="2026-01-02T03:04:05Z")
    note = AnnotationChange("k", None, "manifest-descriptor", ARM)
    changes = Changes((AMD, ARM), True, "oci", "zstd", 7, (note, replace(note, value="v")), 5, config)
    assert decode(encode(changes), Changes) == changes


def test_several_platforms_make_an_index_of_those_with_what_is_attached_to_them(index: Layout) -> None:
    read = Read(index.path, Changes(platforms=(AMD, S390)))
    before = json.loads((index.path / "blobs/sha256" / index.digest.partition(":")[2]).read_bytes())
    assert read.root["manifests"] == [before["manifests"][n] for n in (0, 2, 4)]
    assert read.root["annotations"] == {"team": "a"}
    assert read.changed is not None
    assert str(read.changed) == f"only linux/amd64, linux/s390x: digest {index.digest} -> {read.graph.root.digest}"


def test_a_nested_index_of_which_nothing_is_left_goes(index: Layout) -> None:
    read = Read(index.path, Changes(platforms=(AMD, ARM)))
    assert [one["mediaType"] for one in read.root["manifests"]] == [media.OCI_MANIFEST] * 4


def test_a_platform_that_is_not_there_is_an_error_with_those_that_are(index: Layout) -> None:
    with pytest.raises(SourceError, match="has no image for linux/riscv64") as caught:
        Read(index.path, Changes(platforms=(AMD, Platform("linux", "riscv64"))))
    assert "linux/amd64, linux/arm64, linux/s390x" in str(caught.value.hint)


def test_a_sparse_index_keeps_its_bytes_and_only_its_images_are_sent(index: Layout) -> None:
    read = Read(index.path, Changes(platforms=(ARM,), is_sparse=True))
    assert len(read.root["manifests"]) == 5
    assert len(read.graph.nodes) == 3
    assert {gzip.decompress(one) for one in read.layers()} == {ONE, THREE}


def test_one_platform_is_all_that_is_read_and_changed(index: Layout) -> None:
    read = Read(index.path, Changes(recompress="zstd"), platform=ARM)
    assert [one.media_type for one in read.graph.root.layers] == [media.OCI_LAYER_ZSTD] * 2
    assert len(read.told(LayerCompressed)) == 2


@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_layers_are_compressed_anew_and_are_the_same_within(how: str, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "mixed")
    stored = (
        writer.put(gzip.compress(ONE), media.OCI_LAYER_GZIP),
        writer.put(zstandard.compress(TWO), media.OCI_LAYER_ZSTD),
        writer.put(THREE, media.OCI_LAYER),
    )
    config = writer.put(config_of(ONE, TWO, THREE), media.OCI_CONFIG)
    layout = writer.close(writer.manifest({"config": config, "layers": stored}, media.OCI_MANIFEST))
    read = Read(layout.path, Changes(recompress=how))
    undo: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
        "none": bytes,
    }
    types = {"gzip": media.OCI_LAYER_GZIP, "zstd": media.OCI_LAYER_ZSTD, "none": media.OCI_LAYER}
    assert [undo[how](one) for one in read.layers()] == [ONE, TWO, THREE]
    assert {one["mediaType"] for one in read.root["layers"]} == {types[how]}
    kept = stored[("gzip", "zstd", "none").index(how)]
    assert kept in read.root["layers"]
    assert read.root["config"] == config
    assert len(read.told(LayerCompressed)) == 2


class Memory:
    """What layers became, in memory."""

    def __init__(self) -> None:
        self.known: dict[tuple[Digest, str], tuple[Digest, int]] = {}

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        """Return what is known."""
        return self.known.get((diff_id, settings_key))

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        """Remember it."""
        self.known[diff_id, settings_key] = (digest, size)


def test_a_second_run_compresses_nothing_until_a_blob_is_wanted(image: Layout) -> None:
    memory, changes = Memory(), Changes(recompress="zstd")
    first = Read(image.path, changes, digest_cache=memory)
    again = Read(image.path, changes, digest_cache=memory)
    assert again.graph.root.raw == first.graph.root.raw
    assert again.blobs == first.blobs
    assert [one.from_memory for one in first.told(LayerCompressed)] == [False, False]
    assert [one.from_memory for one in again.told(LayerCompressed)][:2] == [True, True]


def test_a_layer_that_is_not_its_diff_id_is_never_sent(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "wrong")
    config = writer.put(config_of(TWO), media.OCI_CONFIG)
    stored = writer.put(gzip.compress(ONE), media.OCI_LAYER_GZIP)
    layout = writer.close(writer.manifest({"config": config, "layers": [stored]}, media.OCI_MANIFEST))
    with pytest.raises(ContentMismatchError, match="layer has diff_id"):
        Read(layout.path, Changes(recompress="zstd"))


def test_a_layer_that_is_not_what_its_manifest_names_is_never_sent_though_it_holds_the_same(image: Layout) -> None:
    for file in (image.path / "blobs/sha256").iterdir():
        content = file.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            file.write_bytes(content[:4] + b"\x01" + content[5:])  # another time in the header
    with pytest.raises(ContentMismatchError, match="content has digest"):
        Read(image.path, Changes(recompress="zstd"))


def test_a_tar_that_is_called_gzip_is_compressed_all_the_same(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "called")
    config = writer.put(config_of(ONE), media.OCI_CONFIG)
    stored = writer.put(ONE, media.OCI_LAYER_GZIP)
    layout = writer.close(writer.manifest({"config": config, "layers": [stored]}, media.OCI_MANIFEST))
    assert [gzip.decompress(one) for one in Read(layout.path, Changes(recompress="gzip")).layers()] == [ONE]


def test_a_layer_that_wants_more_memory_is_read_all_the_same(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "wide")
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=24, write_content_size=0)
    stream = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    config = writer.put(config_of(ONE), media.OCI_CONFIG)
    stored = writer.put(stream.compress(ONE) + stream.flush(), media.OCI_LAYER_ZSTD)
    layout = writer.close(writer.manifest({"config": config, "layers": [stored]}, media.OCI_MANIFEST))
    assert [gzip.decompress(one) for one in Read(layout.path, Changes(recompress="gzip")).layers()] == [ONE]


def test_a_manifest_that_would_be_too_large_is_an_error(image: Layout) -> None:
    with pytest.raises(SourceError, match="cannot be changed: manifest has"):
        Read(image.path, Changes(annotations=(AnnotationChange("a", "b" * media.MAX_MANIFEST_BYTES),)))


@pytest.mark.parametrize(
    "wrong", [{"format": "v2s2"}, {"recompress": "lz4"}, {"epoch": -1}, {"epoch": 1 << 40}, {"on": "tag"}], ids=str
)
def test_changes_that_mean_nothing_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"known|time|annotated"):
        AnnotationChange("a", "b", **wrong) if "on" in wrong else Changes(**wrong)


def test_annotations_of_how_a_layer_was_compressed_go_with_it(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "lazy")
    config = writer.put(config_of(ONE), media.OCI_CONFIG)
    marks = {"containerd.io/snapshot/stargz/toc.digest": "sha256:1", "team": "a"}
    stored = {**writer.put(gzip.compress(ONE), media.OCI_LAYER_GZIP), "annotations": marks}
    layout = writer.close(writer.manifest({"config": config, "layers": [stored]}, media.OCI_MANIFEST))
    read = Read(layout.path, Changes(recompress="zstd"))
    assert read.root["layers"][0]["annotations"] == {"team": "a"}


def test_docker_becomes_oci_with_the_same_blobs(tmp_path: Path) -> None:
    layout = docker_image(tmp_path / "docker", ONE, TWO)
    read = Read(layout.path, Changes(format="oci"))
    assert read.root["mediaType"] == media.OCI_MANIFEST
    assert read.root["config"]["mediaType"] == media.OCI_CONFIG
    assert {one["mediaType"] for one in read.root["layers"]} == {media.OCI_LAYER_GZIP}
    assert {str(one) for one in read.blobs} == set(layout.blobs)
    assert str(read.changed).startswith("converted to OCI: digest sha256:")


def test_zstd_makes_an_image_of_docker_one_of_oci(tmp_path: Path) -> None:
    read = Read(docker_image(tmp_path / "docker", ONE).path, Changes(recompress="zstd"))
    assert read.root["mediaType"] == media.OCI_MANIFEST
    assert read.root["layers"][0]["mediaType"] == media.OCI_LAYER_ZSTD
    assert str(read.changed).startswith("converted to OCI, 1 layer recompressed with zstd: digest")


def test_oci_becomes_docker_and_annotations_that_are_lost_are_counted(image: Layout) -> None:
    read = Read(image.path, Changes(format="docker"))
    assert read.root["mediaType"] == media.DOCKER_MANIFEST
    assert "annotations" not in read.root
    assert [one.text for one in read.told(LogMessage)] == [
        f"note: {image.path}: 1 annotation is left out: docker's form has none"
    ]


def test_there_and_back_again_gives_the_same_manifest(tmp_path: Path) -> None:
    layout = docker_image(tmp_path / "docker", ONE)
    read = Read(layout.path, Changes(format="oci"))
    writer = LayoutWriter(tmp_path / "oci")
    for blob in read.graph.blobs:
        writer.put(read.blobs[blob.digest], blob.media_type)
    back = Read(writer.close(writer.put(read.graph.root.raw, media.OCI_MANIFEST)).path, Changes(format="docker"))
    assert back.root == json.loads((layout.path / "blobs" / layout.digest.replace(":", "/")).read_bytes())


def test_an_index_becomes_a_list_whose_entries_have_a_platform(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "two")
    layout = writer.close(writer.index(writer.image(ONE), runs_on(writer.image(TWO), ARM, place="second")))
    read = Read(layout.path, Changes(format="docker"))
    assert read.root["mediaType"] == media.DOCKER_LIST
    assert [one["platform"]["architecture"] for one in read.root["manifests"]] == ["amd64", "arm64"]
    assert {one["mediaType"] for one in read.root["manifests"]} == {media.DOCKER_MANIFEST}
    assert not any("annotations" in one for one in read.root["manifests"])


def test_an_attestation_follows_the_image_it_is_about(index: Layout) -> None:
    read = Read(index.path, Changes(platforms=(AMD,), recompress="zstd"))
    changed, attached = read.root["manifests"]
    assert attached["annotations"]["vnd.docker.reference.digest"] == changed["digest"]
    assert [one.text for one in read.told(LogMessage)] == [
        f"note: {index.path}: 1 attestation in the index still describes the image as it was"
    ]


def artifact(writer: LayoutWriter) -> dict[str, object]:
    """Store an artifact that is no image."""
    config, content = writer.put(b"{}", media.OCI_EMPTY), writer.put(b"x", "text/plain")
    return writer.manifest({"config": config, "layers": [content], "artifactType": "text/a"}, media.OCI_MANIFEST)


def zstd_image(writer: LayoutWriter) -> dict[str, object]:
    """Store an image with a layer in zstd."""
    config = writer.put(config_of(ONE), media.OCI_CONFIG)
    stored = writer.put(zstandard.compress(ONE), media.OCI_LAYER_ZSTD)
    return writer.manifest({"config": config, "layers": [stored]}, media.OCI_MANIFEST)


DOCKER = Changes(format="docker")
REFUSED: dict[str, tuple[Callable[[LayoutWriter], dict[str, object]], Changes, str]] = {
    "zstd in docker": (zstd_image, DOCKER, r"layers\[0\] is in zstd, which docker's form does not know"),
    "an artifact in docker": (artifact, DOCKER, r"is an artifact \(text/a\)"),
    "a nested index in docker": (lambda w: w.index(w.index(w.image(ONE))), DOCKER, "lies in an index"),
    "an attestation in docker": (
        lambda w: w.index(runs_on(shown := w.image(ONE), AMD), attestation(w, shown)),
        DOCKER,
        r"layers\[0\] is application/vnd.in-toto\+json",
    ),
    "annotations in docker": (
        lambda w: w.image(ONE),
        replace(DOCKER, annotations=(AnnotationChange("a", "b"),)),
        "has no effect with --format docker",
    ),
    "compressing an artifact": (artifact, Changes(recompress="zstd"), "is no image, but an artifact"),
    "another config of an artifact": (
        artifact,
        Changes(config=ConfigChanges(user="1")),
        "is no image, but an artifact",
    ),
    "a blob in a list": (
        lambda w: w.index(w.image(ONE), w.put(b"x", "text/plain")),
        DOCKER,
        "of type text/plain",
    ),
    "dating an artifact": (artifact, Changes(epoch=0), "is no image, but an artifact"),
    "annotating no index": (
        lambda w: w.image(ONE),
        Changes(annotations=(AnnotationChange("a", "b", "index"),)),
        "it is one image, and no index",
    ),
    "annotating a platform that is not there": (
        lambda w: w.image(ONE),
        Changes(annotations=(AnnotationChange("a", "b", "manifest", ARM),)),
        "has no image for linux/arm64",
    ),
    "sparse and changed": (
        lambda w: w.index(runs_on(w.image(ONE), AMD)),
        Changes(platforms=(AMD,), is_sparse=True, recompress="zstd"),
        "keeps the index as it is",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_the_place(case: str, tmp_path: Path) -> None:
    make, changes, message = REFUSED[case]
    writer = LayoutWriter(tmp_path / "it")
    layout = writer.close(make(writer))
    with pytest.raises((ConfigError, SourceError), match=message):
        Read(layout.path, changes)


def test_annotations_go_where_they_are_meant_for(index: Layout) -> None:
    changes = (
        AnnotationChange("all", "images"),
        AnnotationChange("one", "image", "manifest", ARM),
        AnnotationChange("in", "index", "index"),
        AnnotationChange("team", None, "index"),
        AnnotationChange("of", "entry", "manifest-descriptor", AMD),
    )
    read = Read(index.path, Changes(annotations=changes))
    noted = [json.loads(one.raw).get("annotations") for one in read.graph.nodes if one.layers]
    assert noted == [{"all": "images"}, {"all": "images", "one": "image"}, None, None, {"all": "images"}]
    assert read.root["annotations"] == {"in": "index"}
    entries = [one.get("annotations", {}) for one in read.root["manifests"]]
    assert entries[0] == {"place": "first", "of": "entry"}
    assert entries[1] == {}


def dated(writer: LayoutWriter) -> dict[str, object]:
    """Store an image made in 2026 on a base of 2001."""
    config = json.loads(config_of(ONE))
    config["created"] = "2026-01-02T03:04:05.123456789Z"
    config["history"] = [{"created": "2001-01-01T00:00:00+02:00"}, {"created": "2026-01-02T03:04:05.123456789Z"}, {}]
    stored = writer.put(json.dumps(config).encode(), media.OCI_CONFIG)
    layers = [writer.put(gzip.compress(ONE, mtime=0), media.OCI_LAYER_GZIP)]
    return writer.manifest({"config": stored, "layers": layers}, media.OCI_MANIFEST)


def test_a_date_is_that_of_the_image_and_the_latest_of_its_history(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "dated")
    read = Read(writer.close(dated(writer)).path, Changes(epoch=1_500_000_000))
    config = read.config()
    assert config["created"] == "2017-07-14T02:40:00Z"
    assert config["history"] == [{"created": "2001-01-01T00:00:00+02:00"}, {"created": "2017-07-14T02:40:00Z"}, {}]
    assert gzip.decompress(read.layers()[0]) == ONE


def test_a_configuration_is_changed_where_asked_and_kept_elsewhere(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "config")
    config = {
        **json.loads(config_of(ONE)),
        "x-own": [1],
        "config": {"Env": ["A=1", "B=2"], "Cmd": ["run"], "Labels": None},
    }
    stored = writer.put(json.dumps(config).encode(), media.OCI_CONFIG)
    layers = [writer.put(gzip.compress(ONE, mtime=0), media.OCI_LAYER_GZIP)]
    layout = writer.close(writer.manifest({"config": stored, "layers": layers}, media.OCI_MANIFEST))
    asked = ConfigChanges({"team": "a"}, {"A": "3", "B": None, "C": "="}, ("/init",), (), "1000", "/srv")
    inner = {
        "Env": ["A=3", "C=="],
        "Entrypoint": ["/init"],
        "User": "1000",
        "WorkingDir": "/srv",
        "Labels": {"team": "a"},
    }
    assert Read(layout.path, Changes(config=asked)).config() == {**config, "config": inner}


def test_a_config_that_is_larger_than_memory_is_kept_in_a_file(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "large")
    read = Read(writer.close(writer.image(ONE)).path, Changes(config=ConfigChanges({"a": "b" * 100_000})))
    assert read.config()["config"]["Labels"] == {"a": "b" * 100_000}
