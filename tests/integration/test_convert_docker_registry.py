"""Converted images in Debian's registry: read by skopeo, compared with what it converts, pulled by buildah."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from around import two_platforms
from buildah import Buildah
from program import program
from registries import DebianRegistry
from skopeo import Skopeo

from oci_push.model.digest import Digest

PLATFORM = "linux/amd64"


@pytest.fixture
def name(open_registry: DebianRegistry, tmp_path: Path) -> str:
    """Push an index of two platforms as tag ``1``, and its amd64 image as ``amd``; give the repository."""
    two_platforms(tmp_path / "image")
    name = f"{open_registry.host}/convert/{tmp_path.name.replace('_', '-').lower()}"
    run("oci:image", f"{name}:1", cwd=tmp_path)
    run("oci:image", f"{name}:amd", "--platform", PLATFORM, cwd=tmp_path)
    return name


@pytest.fixture
def skopeo(tmp_path: Path) -> Skopeo:
    """Read by skopeo."""
    return Skopeo(tmp_path / "skopeo")


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[Buildah]:
    """Pull by buildah."""
    buildah = Buildah(tmp_path / "buildah")
    yield buildah
    buildah.remove()


def run(*words: str, cwd: Path) -> str:
    """Push, and give what was said."""
    return program("push", *words, "--plain-http", cwd=cwd).stderr


def raw(skopeo: Skopeo, reference: str) -> Any:
    """Return a manifest as skopeo reads it."""
    return json.loads(skopeo.raw(f"docker://{reference}"))


@pytest.mark.parametrize(("start", "ours", "theirs"), [("amd", "docker", "v2s2"), ("docker", "oci", "oci")])
def test_a_converted_image_has_the_form_that_skopeo_gives_it(
    start: str, ours: str, theirs: str, name: str, skopeo: Skopeo, tmp_path: Path
) -> None:
    run(f"docker://{name}:amd", f"{name}:docker", "--format", "docker", cwd=tmp_path)
    run(f"docker://{name}:{start}", f"{name}:ours", "--format", ours, cwd=tmp_path)
    skopeo.convert(f"docker://{name}:{start}", f"docker://{name}:theirs", form=theirs)
    made, converted = (raw(skopeo, f"{name}:{tag}") for tag in ("ours", "theirs"))
    assert made["layers"] == converted["layers"]
    assert made["config"]["mediaType"] == converted["config"]["mediaType"]
    assert converted.get("mediaType", made["mediaType"]) == made["mediaType"]  # skopeo 1.9 leaves it out of OCI's form
    # skopeo writes the config anew, and the image ID is another one; here its bytes stay.
    assert skopeo.config(f"docker://{name}:ours") == skopeo.config(f"docker://{name}:amd")


def test_a_converted_index_has_the_form_that_skopeo_gives_it(name: str, skopeo: Skopeo, tmp_path: Path) -> None:
    run(f"docker://{name}:1", f"{name}:ours", "--format", "docker", cwd=tmp_path)
    skopeo.convert(f"docker://{name}:1", f"docker://{name}:theirs", form="v2s2", every_platform=True)
    made, converted = (raw(skopeo, f"{name}:{tag}") for tag in ("ours", "theirs"))
    images = [[raw(skopeo, f"{name}@{child.pop('digest')}") for child in one["manifests"]] for one in (made, converted)]
    assert made == converted
    for ours, theirs in zip(*images, strict=True):
        assert {key: ours[key] for key in ("mediaType", "layers")} == {k: theirs[k] for k in ("mediaType", "layers")}


@pytest.mark.parametrize("how", ["zstd", "zstd:12", "none", "gzip:9"])
def test_recompressed_layers_hold_what_they_held(how: str, name: str, skopeo: Skopeo, tmp_path: Path) -> None:
    said = run(f"docker://{name}:1", f"{name}:new", "--recompress", how, cwd=tmp_path)
    assert ("note: 3 layers" in said) == (not how.startswith("gzip"))
    skopeo.copy(f"docker://{name}:new", f"oci:{tmp_path / 'back'}:x")
    index = raw(skopeo, f"{name}:new")
    for child in index["manifests"]:
        manifest = raw(skopeo, f"{name}@{child['digest']}")
        blobs = [_blob(tmp_path / "back", one["digest"]) for one in manifest["layers"]]
        diff_ids = json.loads(_blob(tmp_path / "back", manifest["config"]["digest"]))["rootfs"]["diff_ids"]
        assert [str(Digest.of(_plain(blob))) for blob in blobs] == diff_ids


def _blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def _plain(blob: bytes) -> bytes:
    if blob.startswith(b"\x1f\x8b"):
        return gzip.decompress(blob)
    is_zstd = blob.startswith(b"\x28\xb5\x2f\xfd")
    return zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(blob) if is_zstd else blob


@pytest.mark.parametrize("words", ["--format docker", "--recompress zstd", "--recompress none"])
def test_buildah_pulls_what_was_converted(words: str, name: str, buildah: Buildah, tmp_path: Path) -> None:
    run(f"docker://{name}:1", f"{name}:new", *words.split(), cwd=tmp_path)
    config = json.loads(program("inspect", f"{name}:amd", "--json", "--plain-http", cwd=tmp_path).stdout)
    pulled = buildah("pull", "--quiet", "--tls-verify=false", "--platform", PLATFORM, f"docker://{name}:new")
    assert f"sha256:{pulled.strip()}" in json.dumps(config)  # the image ID is the digest of the same config


def test_an_index_of_some_platforms_and_a_date_is_read_by_skopeo(name: str, skopeo: Skopeo, tmp_path: Path) -> None:
    words = ("--platform", "linux/arm64", "--platform", "linux/amd64", "--source-date-epoch", "86400")
    run(f"docker://{name}:1", f"{name}:dated", *words, "--annotation", "index:a=b", cwd=tmp_path)
    index = raw(skopeo, f"{name}:dated")
    assert index["annotations"] == {"a": "b"}
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]
    config = json.loads(skopeo.config(f"docker://{name}@{index['manifests'][0]['digest']}"))
    assert config["created"] == "1970-01-02T00:00:00Z"
