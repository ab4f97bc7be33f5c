"""Images that are changed on their way to a registry: what is sent, what is said, and what a second run asks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from around import asked, pushed, two_platforms
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import LayoutWriter, config_of, docker_archive, layer
from program import program

from oci_push.model import media
from oci_push.model.digest import Digest

ONE, TWO = layer(1), layer(2)


def tree(sandbox: Sandbox, repository: str, target: str) -> list[dict[str, object]]:
    """Return the manifests of an image in the registry, the root first."""
    root = json.loads(sandbox.store.manifest(repository, target) or b"")
    return [root, *(one for child in root.get("manifests", ()) for one in tree(sandbox, repository, child["digest"]))]


def test_an_image_is_converted_and_the_digest_it_has_then_is_said_and_reported(tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    with Sandbox() as sandbox:
        done = program("push", "oci:image", f"{sandbox.address}/a:1", "--format", "docker", cwd=tmp_path)
        after = str(Digest.of(sandbox.store.manifest("a", "1") or b""))
        words = ("push", "oci:image", f"{sandbox.address}/a:2", "--format", "docker", "--json")
        report = json.loads(program(*words, cwd=tmp_path).stdout)
        kinds = [one["mediaType"] for one in tree(sandbox, "a", "1")]
    assert f"note: converted to docker schema 2: digest {layout.digest} -> {after}" in done.stderr.splitlines()
    assert "note: image: 2 annotations are left out: docker's form has none" in done.stderr.splitlines()
    assert f"a:1@{after}" in done.stdout
    assert report["changed"] == {"before": layout.digest, "after": after, "done": ["converted to docker schema 2"]}
    assert kinds == [media.DOCKER_LIST, media.DOCKER_MANIFEST, media.DOCKER_MANIFEST]


def test_where_nothing_changes_nothing_is_said_nor_reported(tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    with Sandbox() as sandbox:
        words = ("push", "oci:image", f"{sandbox.address}/a:1", "--format", "oci", "--recompress", "gzip:9", "--json")
        done = program(*words, cwd=tmp_path)
    assert "note" not in done.stderr
    report = json.loads(done.stdout)
    assert "changed" not in report
    assert report["targets"][0]["digest"] == layout.digest


@pytest.mark.parametrize("kind", media.FOREIGN_LAYER_GZIP)
def test_layers_that_are_kept_elsewhere_are_told_of_where_all_are_to_be_compressed_anew(
    kind: str, tmp_path: Path
) -> None:
    writer = LayoutWriter(tmp_path / "image")
    config = writer.put(config_of(ONE), media.OCI_CONFIG)
    urls = ["https://far.example/layer"]
    foreign = {"mediaType": kind, "digest": str(Digest.of(b"far")), "size": 9, "urls": urls}
    layout = writer.close(writer.manifest({"config": config, "layers": [foreign]}, media.OCI_MANIFEST))
    with Sandbox() as sandbox:
        done = program("push", "oci:image", f"{sandbox.address}/a:1", "--recompress", "zstd", cwd=tmp_path)
    told = f"note: image: 1 layer stays as it is: {kind} is not compressed anew"
    assert told in done.stderr.splitlines()
    # Docker's type has no place in a manifest of OCI's form, which zstd wants.
    is_of_form = kind == media.FOREIGN_LAYER_GZIP[1]
    assert (layout.digest in done.stdout) is is_of_form
    assert ("note: media types of one form: digest " in done.stderr) is not is_of_form


def test_a_second_run_neither_reads_nor_compresses_nor_sends_a_layer(tmp_path: Path) -> None:
    with Sandbox() as source, Sandbox() as target:
        name = pushed(source, two_platforms(tmp_path / "image"), "1")
        words = ("push", f"{name}:1", f"{target.address}/a:1", "--recompress", "zstd")
        first = program(*words, cwd=tmp_path)
        assert first.stderr.count("compressed to") == 3
        source.traffic.clear()
        target.traffic.clear()
        again = program(*words, cwd=tmp_path)
        assert "compressed to" not in again.stderr
        assert again.stdout == first.stdout
        assert not [one for one in asked(target) if one.startswith(("POST", "PUT", "PATCH"))]
        assert len([one for one in source.traffic.requests if "/blobs/" in one.path]) == 2  # both configs


def test_what_is_not_changed_is_mounted_from_where_it_was(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        name = pushed(sandbox, two_platforms(tmp_path / "image"), "1")
        words = ("push", f"{name}:1", f"{sandbox.address}/other:1", "--annotation", "team=b", "--no-memory")
        program(*words, cwd=tmp_path)
        posts = [one for one in sandbox.traffic.requests if one.method == "POST"]
        assert {one.status for one in posts} == {201}
        assert len(posts) == 5
        notes = [one.get("annotations") for one in tree(sandbox, "other", "1")]
    assert notes == [None, {"team": "b"}, {"team": "b"}]


def test_a_tar_is_compressed_once_however_its_layers_are_stored(tmp_path: Path) -> None:
    stored = docker_archive(("a", gzip.compress(ONE)), ("b", TWO), config=config_of(ONE, TWO), paths=["a", "b"])
    (tmp_path / "mixed.tar").write_bytes(stored)
    with Sandbox() as sandbox:
        program("push", "mixed.tar", f"{sandbox.address}/a:1", "--recompress", "zstd:3", cwd=tmp_path)
        manifest = json.loads(sandbox.store.manifest("a", "1") or b"")
        sent = [one for one in sandbox.traffic.requests if one.method in ("PUT", "POST") and one.status == 201]
        layers = [sandbox.store.blob_path("a", one["digest"]).read_bytes() for one in manifest["layers"]]
    assert [one["mediaType"] for one in manifest["layers"]] == [media.OCI_LAYER_ZSTD] * 2
    assert [zstandard.ZstdDecompressor().decompressobj().decompress(one) for one in layers] == [ONE, TWO]
    assert len([one for one in sent if "/blobs/" in one.path]) == 3


@pytest.mark.parametrize("words", ["--format oci", "--recompress gzip --format oci", "--recompress zstd"])
def test_a_tar_that_has_no_digest_of_its_own_is_made_as_asked_and_not_converted(words: str, tmp_path: Path) -> None:
    (tmp_path / "plain.tar").write_bytes(docker_archive(("a", ONE), config=config_of(ONE), paths=["a"]))
    with Sandbox() as sandbox:
        done = program("push", "plain.tar", f"{sandbox.address}/a:1", *words.split(), cwd=tmp_path)
        (root,) = tree(sandbox, "a", "1")
    assert root["mediaType"] == media.OCI_MANIFEST
    assert "note" not in done.stderr


@pytest.mark.parametrize("takes_it", [True, False])
def test_a_sparse_index_is_sent_or_the_registry_is_what_the_error_is_about(takes_it: bool, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    with Sandbox(options=SandboxOptions(require_manifest_blobs=not takes_it)) as sandbox:
        words = ("push", "oci:image", f"{sandbox.address}/a:1", "--platform", "linux/arm64", "--sparse", "--verify")
        done = program(*words, cwd=tmp_path, code=0 if takes_it else None)
        if takes_it:
            assert f"a:1@{layout.digest}" in done.stdout
        else:
            assert "this registry wants all of an index: leave out --sparse" in done.stderr


def test_a_plan_has_the_digest_that_the_push_has(tmp_path: Path) -> None:
    two_platforms(tmp_path / "image")
    with Sandbox() as sandbox:
        words = ("push", "oci:image", f"{sandbox.address}/a:1", "--source-date-epoch", "0", "--recompress", "zstd")
        planned = json.loads(program(*words, "--plan", "--json", cwd=tmp_path).stdout)
        done = json.loads(program(*words, "--json", cwd=tmp_path).stdout)
    assert planned["digest"] == done["targets"][0]["digest"]
    assert done["changed"]["done"] == ["3 layers recompressed with zstd", "dated"]
