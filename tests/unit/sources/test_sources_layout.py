"""Layouts in folders and tars, what names them, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import resource
import tarfile
from pathlib import Path

import pytest
import zstandard
from images import LayoutWriter, layer, make_layout, tar_folder

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.events import ignore
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.sources.settings import Limits, SourceSettings, Surroundings
from oci_push.sources.table import GRAMMAR, open_source

SCOPE = Context(SystemClock())


def root_of(text: str, settings: SourceSettings | None = None, stdin: bytes | None = None) -> str:
    """Give the digest of the image that a SOURCE names, all its blobs read."""
    spec = GRAMMAR.parse(text)
    stream = io.BytesIO(stdin) if stdin is not None else None
    if stream is not None:
        stream.seekable = lambda: False  # type: ignore[method-assign]  # as a pipe is
    source = open_source(
        spec, settings or SourceSettings(), context=SCOPE, emit=ignore, around=Surroundings(stdin=stream)
    )
    try:
        manifest = source.manifest(SCOPE, source.root(SCOPE))
        for blob in manifest.blobs:
            assert sum(len(block) for block in source.blob(SCOPE, blob).blocks()) == blob.size
        return str(manifest.digest)
    finally:
        source.close()


@pytest.mark.parametrize("pack", [lambda raw: raw, gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("prefix", ["", "oci-archive:"])
@pytest.mark.case("SR-008", "SR-012")
def test_a_layout_in_a_tar_is_the_layout_in_the_folder(pack: object, prefix: str, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1), layer(2))
    archive = tmp_path / "image.tar"
    archive.write_bytes(pack(tar_folder(layout.path)))  # type: ignore[operator]
    assert root_of(f"{prefix}{archive}") == root_of(f"oci:{layout.path}:latest") == layout.digest


def test_stdin_is_read_once_and_needs_no_seeking(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    assert root_of("-", stdin=gzip.compress(tar_folder(layout.path))) == layout.digest


def test_a_path_with_a_colon_that_exists_wins(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image:v1", layer(1))
    assert root_of(f"oci:{layout.path}") == layout.digest


@pytest.mark.case("SR-013")
def test_several_images_without_a_name_are_listed(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1), tag="one")
    index = json.loads((layout.path / "index.json").read_text())
    other = make_layout(tmp_path / "image", layer(2), tag="two")
    index["manifests"] += json.loads((layout.path / "index.json").read_text())["manifests"]
    (layout.path / "index.json").write_text(json.dumps(index))

    with pytest.raises(SourceError, match="several images") as caught:
        root_of(f"oci:{layout.path}")
    assert caught.value.hint
    assert f"one@{layout.digest} (linux/amd64), two@{other.digest} (linux/amd64)" in caught.value.hint
    assert root_of(f"oci:{layout.path}:two") == root_of(f"oci:{layout.path}@{other.digest}") == other.digest


def test_a_blob_of_another_size_is_named(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    digest = max(layout.blobs, key=lambda d: layout.blobs[d])
    (layout.path / "blobs" / "sha256" / digest.partition(":")[2]).write_bytes(b"short")
    with pytest.raises(ContentMismatchError, match=f"{digest.partition(':')[2]} has 5 bytes"):
        root_of(f"oci:{layout.path}")


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    file = layout.path / "blobs" / "sha256" / layout.digest.partition(":")[2]
    file.write_bytes(file.read_bytes().replace(b"amd64", b"arm64").replace(b"schemaVersion", b"schemaversion"))
    with pytest.raises(ContentMismatchError, match="expected"):
        root_of(f"oci:{layout.path}")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    (tmp_path / "secret").write_text("x")
    (layout.path / "index.json").unlink()
    (layout.path / "index.json").symlink_to(tmp_path / "secret")
    with pytest.raises(SourceError, match="leads out of the folder") as caught:
        root_of(f"oci:{layout.path}")
    assert caught.value.hint == "Bazel writes such layouts: copy it with cp -RL, which puts files in the place of links"


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(b"\0" * 100_000_000))
    with pytest.raises(SourceError, match="refused as a bomb"):
        root_of(str(bomb), SourceSettings(limits=Limits(expansion_ratio=100)))


def test_a_zstd_bomb_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tar.zst"
    pack = zstandard.ZstdCompressor().compressobj()
    bomb.write_bytes(b"".join(pack.compress(bytes(1 << 20)) for _ in range(300)) + pack.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match="refused as a bomb"):
        root_of(str(bomb))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


def test_a_gzip_that_does_not_end_is_cut_short(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    archive = tmp_path / "cut.tar.gz"
    archive.write_bytes(gzip.compress(tar_folder(layout.path))[:-8])
    with pytest.raises(SourceError, match="cut short"):
        root_of(str(archive))


@pytest.mark.parametrize("size", [b"\x80" + b"\xff" * 11, b"77777777777\0"])
def test_a_header_with_an_absurd_size_is_an_error_of_ours(size: bytes, tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("././@LongLink").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[124:136] = b"L", size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive = tmp_path / "absurd.tar"
    archive.write_bytes(bytes(header) + b"\0" * 2048)
    with pytest.raises(SourceError, match=r"absurd\.tar"):
        root_of(str(archive))


def test_a_name_that_no_file_system_takes_is_an_error_of_ours() -> None:
    with pytest.raises(SourceError):
        root_of("oci:" + "x" * 300)


def test_a_familiar_name_finds_containerds_full_one(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1), layer(2))
    index = json.loads((layout.path / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": "docker.io/library/app:1"}
    (layout.path / "index.json").write_text(json.dumps(index))
    assert root_of(f"oci:{layout.path}:app:1") == layout.digest


def test_temporary_space_is_bounded(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1, 50_000))
    with pytest.raises(SourceError, match="temporary space"):
        root_of("-", SourceSettings(spool_bytes=10_000), stdin=tar_folder(layout.path))


def test_no_file_is_left_in_the_temporary_folder(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    layout = make_layout(tmp_path / "image", layer(1))
    root_of("-", SourceSettings(temp_folder=folder), stdin=tar_folder(layout.path))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("text", ["./none.tar", "/nowhere/x", "none.tar.gz", "oci:none", "docker-archive:none.tar"])
def test_a_missing_file_is_said_to_be_missing(text: str) -> None:
    with pytest.raises(SourceError, match="no such file") as caught:
        root_of(text)
    assert caught.value.hint == "check the path"


def test_of_what_cosign_saves_only_the_image_counts(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path)
    entries = [
        {**writer.image(layer(number)), "annotations": {"kind": f"dev.cosignproject.cosign/{kind}"}}
        for number, kind in enumerate(("sigs", "image", "atts"))
    ]
    writer.close(entries[0])
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    assert root_of(f"oci:{tmp_path}") == entries[1]["digest"]
