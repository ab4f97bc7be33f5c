"""Compressed archives and layers: what is read, what is named, and what is in them is what the config says."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import struct
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from images import config_of, docker_archive, layer, make_layout, tar_folder, tar_of

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.events import ignore
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.source import SourceSpec
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.sources.compress import Layer, compress, make_compressor
from oci_push.sources.files import SpoolSpace
from oci_push.sources.settings import Limits, SourceSettings, Surroundings
from oci_push.sources.table import open_source

ONE, TWO = layer(1), layer(2, 9000)
MIB = 1024 * 1024
Pack = Callable[[bytes], bytes]


def read(
    content: bytes | Path, settings: SourceSettings | None = None, *, ref: str = ""
) -> tuple[Manifest, list[bytes]]:
    """Open bytes as a pipe does, or a path; give the manifest and the bytes of all layers that are sent."""
    context = Context(SystemClock())
    settings = settings or SourceSettings()
    if isinstance(content, Path):
        source = open_source(SourceSpec("file", str(content), ref, ""), settings, context=context, emit=ignore)
    else:
        stream = io.BytesIO(content)
        stream.seekable = lambda: False  # type: ignore[method-assign]
        source = open_source(
            SourceSpec("stdin", "-", ref, "-"),
            settings,
            context=context,
            emit=ignore,
            around=Surroundings(stdin=stream),
        )
    try:
        manifest = source.manifest(context, source.root(context))
        sent = [one for one in manifest.layers if not one.urls]
        return manifest, [b"".join(bytes(b) for b in source.blob(context, one).blocks()) for one in sent]
    finally:
        source.close()


def zstd(data: bytes, window_log: int = 0) -> bytes:
    """Compress as a stream, whose size nobody knows, as in a pipe."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


def skippable(data: bytes) -> bytes:
    """Put a skippable frame before the first and behind the last, as pzstd and zstd:chunked do."""
    frame = struct.pack("<II", 0x184D2A50, 4) + b"abcd"
    return frame + zstd(data) + frame


PACKS: dict[str, Pack] = {
    "gzip": gzip.compress,
    "gzip, several members": lambda raw: gzip.compress(raw[:700]) + gzip.compress(raw[700:]),
    "gzip, padded": lambda raw: gzip.compress(raw) + bytes(2 * MIB),
    "zstd": zstd,
    "zstd, skippable frames": skippable,
    "zstd, several frames": lambda raw: zstd(raw[:700]) + zstd(raw[700:]),
    "xz": lzma.compress,
    "xz -9": lambda raw: lzma.compress(raw, preset=9),
    "xz, several streams": lambda raw: lzma.compress(raw[:700]) + bytes(8) + lzma.compress(raw[700:]),
    "lzma": lambda raw: lzma.compress(raw, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "bzip2, several streams": lambda raw: bz2.compress(raw[:700]) + bz2.compress(raw[700:]),
}


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
@pytest.mark.parametrize("is_file", [True, False])
def test_a_compressed_archive_is_the_archive(pack: Pack, is_file: bool, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", ONE, layer(7, 400_000))
    packed = pack(tar_folder(layout.path))
    (tmp_path / "image.bin").write_bytes(packed)
    manifest, _ = read(tmp_path / "image.bin" if is_file else packed)
    assert str(manifest.digest) == layout.digest


@pytest.mark.parametrize("kind", [kind for kind in PACKS if kind.startswith(("gzip", "zstd"))])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_layer_in_gzip_or_zstd_is_sent_as_it_is(kind: str, compression: str) -> None:
    stored = PACKS[kind](ONE)
    content = docker_archive(("a", stored), ("b", TWO), config=config_of(ONE, TWO), paths=["a", "b"])
    manifest, layers = read(content, SourceSettings(compression=compression))
    assert layers[0] == stored
    assert kind[:4] in manifest.layers[0].media_type


@pytest.mark.parametrize("kind", [kind for kind in PACKS if not kind.startswith(("gzip", "zstd"))])
@pytest.mark.parametrize(
    ("compression", "unpack"), [("gzip", gzip.decompress), ("zstd", lambda raw: _unzstd(raw)), ("none", bytes)]
)
def test_a_layer_in_another_compression_is_compressed_anew(kind: str, compression: str, unpack: Pack) -> None:
    content = docker_archive(("a", PACKS[kind](ONE)), config=config_of(ONE), paths=["a"])
    manifest, layers = read(content, SourceSettings(compression=compression))
    assert unpack(layers[0]) == ONE
    assert manifest.layers[0].digest == Digest.of(layers[0])


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


@pytest.mark.parametrize("pack", [*PACKS.values(), bytes], ids=[*PACKS, "plain"])
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_layer_that_is_not_what_the_config_says_is_refused(pack: Pack, compression: str) -> None:
    content = docker_archive(("a", pack(TWO)), ("b", pack(ONE)), config=config_of(ONE, TWO), paths=["a", "b"])
    with pytest.raises(
        ContentMismatchError, match=r"stdin: [ab]: layer has diff_id sha256:\w{64}, the image's config"
    ) as e:
        read(content, SourceSettings(compression=compression))
    assert str(Digest.of(ONE)) in str(e.value)
    assert str(Digest.of(TWO)) in str(e.value)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "lzma", "bzip2", "gzip, several members"])
@pytest.mark.parametrize("cut", [1, 20])
def test_a_compressed_layer_that_is_cut_short_is_refused(kind: str, cut: int) -> None:
    stored = PACKS[kind](ONE)[:-cut]
    content = docker_archive(("a", stored), config=config_of(ONE), paths=["a"])
    with pytest.raises(SourceError, match="stdin: a: "):
        read(content)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"LZIP\x01", "lzip"),
        (b"\x89LZO\0\r\n", "lzop"),
        (b"\x1f\x9d\x90", "compress"),
        (b"PK\x03\x04", "zip"),
        (b"7z\xbc\xaf\x27\x1c", "7-zip"),
    ],
)
def test_what_is_not_supported_is_named(head: bytes, name: str, tmp_path: Path) -> None:
    stored = head + bytes(range(256)) * 8
    for content, where in ((stored, "stdin"), (docker_archive(("a", stored), config=config_of(ONE), paths=["a"]), "a")):
        with pytest.raises(SourceError, match=f"{where}: is compressed with {name}, which is not supported") as caught:
            read(content)
        assert "xz" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["LZIP", "BZh91", "PK\x03\x04", "]\0\0"])
def test_a_tar_whose_first_file_is_called_like_a_compression_is_a_tar(name: str) -> None:
    inner = tar_of((name.rstrip("\0"), b"x"))
    _, layers = read(docker_archive(("a", inner), config=config_of(inner), paths=["a"]))
    assert gzip.decompress(layers[0]) == inner


def test_a_window_over_the_limit_is_named_and_one_at_the_limit_is_read() -> None:
    content = docker_archive(("a", ONE), config=config_of(ONE), paths=["a"])
    assert read(zstd(content, 26))
    with pytest.raises(SourceError, match="its zstd window is larger than 64 MiB") as caught:
        read(zstd(content, 27))
    assert "--long=26" in str(caught.value.hint)
    large = lzma.compress(content, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 128 * MIB}])
    with pytest.raises(SourceError, match="its xz dictionary is larger than 64 MiB"):
        read(large)


def test_layers_with_large_windows_are_read_and_those_over_the_limit_named() -> None:
    layers = [zstd(ONE, 25), zstd(TWO, 26), lzma.compress(ONE, preset=9)]
    content = docker_archive(*zip("abc", layers, strict=True), config=config_of(ONE, TWO, ONE), paths=["a", "b", "c"])
    assert read(content)[1][:2] == layers[:2]
    with pytest.raises(SourceError, match="a: its zstd window is larger than 64 MiB"):
        read(docker_archive(("a", zstd(ONE, 27)), config=config_of(ONE), paths=["a"]))


def test_a_layer_that_is_a_bomb_is_refused() -> None:
    limits = Limits(layer_ratio=100, layer_free_bytes=MIB)
    zeros = tar_of(("zeros", bytes(8 * MIB)))
    for pack in (gzip.compress, zstd, lzma.compress, bz2.compress):
        with pytest.raises(SourceError, match="a: grows more than 100 times"):
            read(
                docker_archive(("a", pack(zeros)), config=config_of(zeros), paths=["a"]), SourceSettings(limits=limits)
            )


def test_a_layer_of_zeros_is_no_bomb() -> None:
    zeros = tar_of(("zeros", bytes(80 * MIB)))
    stored = gzip.compress(zeros)
    assert read(docker_archive(("a", stored), config=config_of(zeros), paths=["a"]))[1] == [stored]


def test_the_last_of_several_members_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(docker_archive(("a", ONE), config=config_of(ONE), paths=["a"]))
    renamed = json.dumps([{"Config": "config.json", "RepoTags": ["new:1"], "Layers": ["a"]}]).encode()
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("./manifest.json")
        info.size = len(renamed)
        archive.addfile(info, io.BytesIO(renamed))
    assert read(path, ref="new:1")
    with pytest.raises(SourceError, match="holds no image"):
        read(path, ref="team/app:1")


BASE = layer(9, 5000)
STORED = gzip.compress(BASE, mtime=0)
URL = "https://mcr.example.com/v2/windows/blobs/sha256:1"


def windows(base: bytes | None, **fields: object) -> bytes:
    """Make what docker saves of a Windows image; without `base` its first layer is not there at all."""
    kind = media.FOREIGN_LAYER_GZIP[0]
    elsewhere = {"mediaType": kind, "size": len(STORED), "digest": str(Digest.of(STORED)), "urls": [URL], **fields}
    listed = [{"Config": "c", "Layers": ["base", "app"], "LayerSources": {str(Digest.of(BASE)): elsewhere}}]
    members = [("app", ONE), ("c", config_of(BASE, ONE)), ("manifest.json", json.dumps(listed).encode())]
    return tar_of(*([("base", base)] if base is not None else []), *members)


@pytest.mark.parametrize("base", [b"", None, BASE, STORED, b"stub"])
@pytest.mark.parametrize(("form", "oci"), [("docker", 0), ("oci", 1)])
def test_a_layer_kept_elsewhere_is_referred_to_and_not_sent(base: bytes | None, form: str, oci: int) -> None:
    manifest, layers = read(windows(base), SourceSettings(format=form))
    assert [gzip.decompress(one) for one in layers] == [ONE]
    first = manifest.layers[0]
    assert first.media_type == media.FOREIGN_LAYER_GZIP[oci]
    assert (first.digest, first.size, first.urls) == (Digest.of(STORED), len(STORED), (URL,))


def test_a_layer_kept_elsewhere_is_sent_where_that_is_asked_for() -> None:
    manifest, layers = read(windows(BASE), SourceSettings(foreign_layers=True))
    assert [gzip.decompress(one) for one in layers] == [BASE, ONE]
    assert not manifest.layers[0].urls
    assert manifest.layers[0].media_type == media.DOCKER_LAYER_GZIP


def test_a_stub_cannot_be_sent() -> None:
    with pytest.raises(ContentMismatchError, match="base: layer has diff_id") as caught:
        read(windows(b""), SourceSettings(foreign_layers=True))
    assert URL in str(caught.value.hint)


@pytest.mark.parametrize("fields", [{"urls": []}, {"urls": None}, {"mediaType": media.DOCKER_LAYER_GZIP}])
def test_a_layer_source_that_is_no_foreign_layer_changes_nothing(fields: dict[str, object]) -> None:
    manifest, layers = read(windows(BASE, **fields))
    assert [gzip.decompress(one) for one in layers] == [BASE, ONE]
    assert not manifest.layers[0].urls


@pytest.mark.parametrize("fields", [{"digest": "sha256:1"}, {"size": -1}, {"mediaType": 5}])
def test_a_layer_source_that_is_no_descriptor_is_an_error(fields: dict[str, object]) -> None:
    with pytest.raises(SourceError, match="LayerSources"):
        read(windows(BASE, **fields))


def test_entries_of_one_image_are_one_image_and_others_are_listed() -> None:
    entries = [{"Config": "c", "Layers": ["a"], "RepoTags": [f"app:{n}"]} for n in (1, 2)]
    same = tar_of(("a", ONE), ("c", config_of(ONE)), ("manifest.json", json.dumps(entries).encode()))
    assert len(read(same)[0].layers) == 1
    other = [entries[0], {**entries[1], "Layers": ["b"]}]
    with pytest.raises(SourceError, match="several images"):
        read(tar_of(("a", ONE), ("b", ONE), ("c", config_of(ONE)), ("manifest.json", json.dumps(other).encode())))


def open_below(folder: Path) -> list[str]:
    """Return the open files that lie, or lay before they lost their name, in a folder."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [name for name in found if name.startswith(f"{folder}/")]


def test_an_image_of_many_layers_takes_few_open_files(tmp_path: Path) -> None:
    layers = [layer(n, 64 * (n + 1)) for n in range(300)]
    names = [f"l{n}" for n in range(300)]
    path = tmp_path / "a.tar"
    path.write_bytes(docker_archive(*zip(names, layers, strict=True), config=config_of(*layers), paths=names))
    context = Context(SystemClock())
    settings = SourceSettings(temp_folder=tmp_path)
    source = open_source(SourceSpec("file", str(path), "", ""), settings, context=context, emit=ignore)
    try:
        manifest = source.manifest(context, source.root(context))
        # The archive, and one temporary file; what else the process has open is not the source's.
        assert 1 <= len(open_below(tmp_path)) <= 2
        for described, content in zip(manifest.layers, layers, strict=True):
            body = source.blob(context, described)
            whole = b"".join(bytes(block) for block in body.blocks())
            assert gzip.decompress(whole) == content
            assert b"".join(bytes(block) for block in body.blocks(17)) == whole[17:]
    finally:
        source.close()


def test_layers_written_at_once_keep_their_own_bytes_in_the_file_they_share() -> None:
    layers = [os.urandom(9 * MIB), os.urandom(11 * MIB), os.urandom(5 * MIB)]
    content = docker_archive(*zip("abc", layers, strict=True), config=config_of(*layers), paths=["a", "b", "c"])
    manifest, sent = read(content, SourceSettings(threads=3))
    assert [gzip.decompress(one) for one in sent] == layers
    assert [one.digest for one in manifest.layers] == [Digest.of(one) for one in sent]


@pytest.mark.parametrize("variable", [None, "missing"])
def test_no_usable_temporary_folder_is_one_error_that_names_those_tried(
    variable: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = [str(tmp_path / "one"), str(tmp_path / "two")]
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: tried)
    folder = tmp_path / variable if variable else None
    content = docker_archive(("a", ONE), config=config_of(ONE), paths=["a"])
    with pytest.raises(SourceError, match="no temporary file can be made") as caught:
        read(content, SourceSettings(temp_folder=folder))
    assert all(one in str(caught.value) for one in ([str(folder)] if folder else tried))
    assert "--tmpdir" in str(caught.value.hint)
    path = tmp_path / "image"
    assert len(read(make_layout(path, ONE).path)[0].layers) == 1  # where none is needed nothing fails


def test_zstd_layers_have_no_place_in_a_manifest_of_dockers() -> None:
    content = docker_archive(("a", zstd(ONE)), config=config_of(ONE), paths=["a"])
    with pytest.raises(SourceError, match="zstd, which docker's manifests do not know"):
        read(content, SourceSettings(format="docker"))
    assert read(content)[0].media_type == media.OCI_MANIFEST


def test_a_layer_whose_reading_fails_is_read_no_further_by_any_thread() -> None:
    class Failing:
        reads = 0

        def fill(self, view: memoryview) -> int:
            self.reads += 1
            if self.reads == 2:
                raise SourceError("the disk is broken")
            return len(view) if self.reads == 1 else 0

        def close(self) -> None:
            pass

    for _ in range(20):
        reader = Failing()
        spool = SpoolSpace(None, MIB)
        one = Layer(Digest.of(b"another"), "a", reader)
        with pytest.raises(SourceError, match="the disk is broken"):
            compress(Context(SystemClock()), [one], make_compressor("gzip", 0), spool, 4, lambda of, made: None)
        spool.close()
        assert reader.reads == 2
