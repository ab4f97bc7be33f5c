# ruff: noqa: E501  # the tables of archives are read line by line
"""The dialects of docker-archive, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from images import config_of, docker_archive, layer, link, make_layout, tar_folder, tar_of

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.events import ignore
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.source import SourceSpec
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.sources.settings import SourceSettings
from oci_push.sources.table import open_source

ONE, TWO = layer(1), layer(2, 9000)


def read(path: Path, settings: SourceSettings | None = None, ref: str = "") -> tuple[Manifest, list[bytes]]:
    """Open an archive and give its manifest and the bytes of all layers."""
    context = Context(SystemClock())
    source = open_source(
        SourceSpec("docker-archive", str(path), ref, ""), settings or SourceSettings(), context=context, emit=ignore
    )
    try:
        manifest = source.manifest(context, source.root(context))
        layers = [b"".join(bytes(b) for b in source.blob(context, one).blocks()) for one in manifest.layers]
        return manifest, layers
    finally:
        source.close()


def write(path: Path, content: bytes) -> Path:
    """Write a file and give its path."""
    path.write_bytes(content)
    return path


DIALECTS = {
    "docker save before 25": docker_archive(("a/layer.tar", ONE), ("b/layer.tar", TWO), config=config_of(ONE, TWO), paths=["a/layer.tar", "b/layer.tar"]),
    "podman save": docker_archive((f"{Digest.of(ONE).encoded}.tar", ONE), ("x.tar", TWO), config=config_of(ONE, TWO), paths=[f"{Digest.of(ONE).encoded}.tar", "x.tar"]),
    "dot paths": docker_archive(("./a.tar", ONE), ("./b.tar", TWO), config=config_of(ONE, TWO), paths=["a.tar", "./b.tar"]),
    "symbolic links between layers": docker_archive(("a/layer.tar", ONE), link("c/layer.tar", "../a/layer.tar"), ("b.tar", TWO), config=config_of(ONE, TWO), paths=["c/layer.tar", "b.tar"]),
    "hard links between layers": docker_archive(("a/layer.tar", ONE), link("c.tar", "a/layer.tar", hard=True), ("b.tar", TWO), config=config_of(ONE, TWO), paths=["c.tar", "b.tar"]),
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.case("SR-004", "SR-006")
def test_every_dialect_gives_the_same_image(dialect: str, tmp_path: Path) -> None:
    manifest, layers = read(write(tmp_path / "a.tar", DIALECTS[dialect]))
    assert [gzip.decompress(one) for one in layers] == [ONE, TWO]
    assert manifest.media_type == media.DOCKER_MANIFEST
    assert [one.media_type for one in manifest.layers] == [media.DOCKER_LAYER_GZIP] * 2
    assert [Digest.of(data) for data in layers] == [one.digest for one in manifest.layers]


@pytest.mark.case("SR-011")
def test_layers_that_are_compressed_keep_their_bytes(tmp_path: Path) -> None:
    packed = gzip.compress(ONE, mtime=7)
    content = docker_archive(("sha256:x.tar.gz", packed), config=config_of(ONE), paths=["sha256:x.tar.gz"])
    _, layers = read(write(tmp_path / "kaniko.tar", content))
    assert layers == [packed]


def test_compression_none_sends_the_layer_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", DIALECTS["podman save"])
    manifest, layers = read(path, SourceSettings(compression="none"))
    assert layers == [ONE, TWO]
    assert manifest.layers[0].media_type == media.DOCKER_LAYER


def test_zstd_layers_make_an_oci_manifest(tmp_path: Path) -> None:
    manifest, _ = read(write(tmp_path / "a.tar", DIALECTS["podman save"]), SourceSettings(compression="zstd"))
    assert manifest.media_type == media.OCI_MANIFEST
    assert manifest.layers[0].media_type == media.OCI_LAYER_ZSTD


@pytest.mark.case("SR-003")
def test_the_oci_half_of_a_docker_25_tar_keeps_the_true_digest(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "layout", ONE)
    inner = tar_folder(layout.path)
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        members = [(m.name, archive.extractfile(m).read()) for m in archive.getmembers()]  # type: ignore[union-attr]
    content = docker_archive(("a.tar", ONE), *members, config=config_of(ONE), paths=["a.tar"])
    manifest, _ = read(write(tmp_path / "both.tar", content))
    assert str(manifest.digest) == layout.digest


@pytest.mark.parametrize(("compression", "is_kept"), [("gzip", False), ("none", True)])
def test_an_oci_half_with_uncompressed_layers_is_compressed_unless_told_not_to(
    compression: str, is_kept: bool, tmp_path: Path
) -> None:
    config = config_of(ONE)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": {"mediaType": media.OCI_CONFIG, "digest": str(Digest.of(config)), "size": len(config)},
            "layers": [{"mediaType": media.OCI_LAYER, "digest": str(Digest.of(ONE)), "size": len(ONE)}],
        }
    ).encode()
    entry = {"mediaType": media.OCI_MANIFEST, "digest": str(Digest.of(manifest)), "size": len(manifest)}
    blobs = [(f"blobs/sha256/{Digest.of(data).encoded}", data) for data in (config, manifest, ONE)]
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    content = docker_archive(
        *blobs,
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        ("index.json", index),
        config=config,
        paths=[blobs[2][0]],
    )
    found, _ = read(write(tmp_path / "docker25.tar", content), SourceSettings(compression=compression))
    assert (found.digest == Digest.of(manifest)) is is_kept


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.case("SR-010")
def test_compression_gives_the_same_bytes_for_any_number_of_threads(threads: int, tmp_path: Path) -> None:
    big = layer(5, 9_000_000)
    path = write(tmp_path / "a.tar", docker_archive(("a.tar", big), config=config_of(big), paths=["a.tar"]))
    alone, _ = read(path, SourceSettings(threads=1))
    manifest, layers = read(path, SourceSettings(threads=threads))
    assert manifest.digest == alone.digest
    assert gzip.decompress(layers[0]) == big


class Remembering:
    """A digest cache in memory that counts what is stored."""

    def __init__(self) -> None:
        self.known: dict[tuple[Digest, str], tuple[Digest, int]] = {}
        self.stored = 0

    def find(self, diff_id: Digest, settings_key: str) -> tuple[Digest, int] | None:
        return self.known.get((diff_id, settings_key))

    def store(self, diff_id: Digest, settings_key: str, digest: Digest, size: int) -> None:
        self.known[diff_id, settings_key] = (digest, size)
        self.stored += 1


def test_a_remembered_layer_is_compressed_only_when_its_bytes_are_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", DIALECTS["podman save"])
    cache = Remembering()
    first, layers = read(path, SourceSettings(digest_cache=cache))
    second, again = read(path, SourceSettings(digest_cache=cache))
    assert first.digest == second.digest
    assert layers == again
    assert cache.stored == 2


BROKEN: dict[str, tuple[bytes, str]] = {
    "a layer out of the archive": (docker_archive(config=config_of(ONE), paths=["../x"]), "leads out of the archive"),
    "an absolute layer": (docker_archive(config=config_of(ONE), paths=["/etc/passwd"]), "absolute path"),
    "a link out of the archive": (docker_archive(link("a.tar", "../../x"), config=config_of(ONE), paths=["a.tar"]), "leads out of the archive"),
    "an absolute link": (docker_archive(link("a.tar", "/etc/passwd"), config=config_of(ONE), paths=["a.tar"]), "absolute link"),
    "links in a loop": (docker_archive(link("a.tar", "b.tar"), link("b.tar", "a.tar"), config=config_of(ONE), paths=["a.tar"]), "loop"),
    "a missing layer": (docker_archive(config=config_of(ONE), paths=["a.tar"]), "layer a.tar is missing"),
    "a member twice, the last of them wrong": (docker_archive(("a.tar", ONE), ("./a.tar", TWO), config=config_of(ONE), paths=["a.tar"]), "./a.tar: layer has diff_id"),
    "another number of layers": (docker_archive(("a.tar", ONE), config=config_of(ONE, TWO), paths=["a.tar"]), "1 layers are listed, the config names 2"),
    "no image at all": (tar_of(("readme", b"x")), "holds no image"),
    "not a tar": (b"\x00garbage" * 200, "not a readable tar"),
    "broken json": (tar_of(("manifest.json", b"[{]")), "not JSON"),
    "deep json": (tar_of(("manifest.json", b"[" * 200_000)), "nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_archive_is_one_clear_error(case: str, tmp_path: Path) -> None:
    content, message = BROKEN[case]
    with pytest.raises(SourceError, match=message) as caught:
        read(write(tmp_path / "bad.tar", content))
    assert "bad.tar" in str(caught.value)


def test_a_layer_that_is_not_its_diff_id_is_named(tmp_path: Path) -> None:
    content = docker_archive(("a.tar", ONE), config=config_of(TWO), paths=["a.tar"])
    with pytest.raises(ContentMismatchError, match=r"a\.tar: layer has diff_id"):
        read(write(tmp_path / "a.tar", content))


@pytest.mark.parametrize("keep", [700, 2000, 4000])
def test_a_truncated_tar_is_told_with_what_is_missing(keep: int, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cut short|damaged|holds no image"):
        read(write(tmp_path / "a.tar", DIALECTS["podman save"][:keep]))


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(DIALECTS["podman save"])
    second = 512 + (len(ONE) + 511) // 512 * 512
    content[second + 150] ^= 0xFF
    with pytest.raises(SourceError, match=r"header after member .* is damaged"):
        read(write(tmp_path / "a.tar", bytes(content)))
