"""Images made to harm who reads them: one clear error each, within the memory that is promised."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from equipment.sandbox import Sandbox
from images import LayoutWriter, config_of, docker_archive, layer, make_layout, noise, tar_of
from measured import oci_push

from oci_push.model import media
from oci_push.model.digest import Digest

MIB = 1024 * 1024
VERSION = ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')


def layout_tar(path: Path, index: bytes) -> None:
    """Write an OCI archive with this ``index.json``."""
    path.write_bytes(tar_of(VERSION, ("index.json", index)))


def device(path: Path) -> None:
    """Write an archive whose index is a device, a FIFO its layer."""
    index, blob = tarfile.TarInfo("index.json"), tarfile.TarInfo("blobs/sha256/" + "a" * 64)
    index.type, index.devmajor, index.devminor, blob.type = tarfile.CHRTYPE, 1, 5, tarfile.FIFOTYPE
    path.write_bytes(tar_of(VERSION, ("index.json", index), ("blob", blob)))


def climbing(path: Path) -> None:
    """Write an archive whose index is a link to the world outside."""
    info = tarfile.TarInfo("index.json")
    info.type, info.linkname = tarfile.SYMTYPE, "../../../../etc/passwd"
    path.write_bytes(tar_of(VERSION, ("index.json", info)))


def going_round(path: Path) -> None:
    """Write an archive whose index is a link to itself, by way of another one."""
    one, two = tarfile.TarInfo("index.json"), tarfile.TarInfo("other")
    one.type = two.type = tarfile.SYMTYPE
    one.linkname, two.linkname = "other", "index.json"
    path.write_bytes(tar_of(VERSION, ("index.json", one), ("other", two)))


def gzip_bomb(path: Path) -> None:
    """Write 512 MiB of zeros as half a megabyte, in 32 members."""
    path.write_bytes(gzip.compress(bytes(16 * MIB), mtime=0) * 32)


def zstd_bomb(path: Path) -> None:
    """Write 1 GiB of zeros as 100 KB."""
    with path.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as packer:
        for _ in range(64):
            packer.write(bytes(16 * MIB))


def long_header(path: Path) -> None:
    """Write a name of 1 GiB, as a hole."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1024 * MIB
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(1025 * MIB)


def many_members(path: Path) -> None:
    """Write 50,200 members, some with a record of their own in a PAX header."""
    info = tarfile.TarInfo("x" * 80)
    info.pax_headers = {"comment": "y" * 50}
    raw = [info.tobuf(tarfile.PAX_FORMAT)]
    with path.open("wb") as file:
        for number in range(50_200):
            if number < 100:
                info.name = f"{number:0110d}"
                raw.append(info.tobuf(tarfile.PAX_FORMAT))
            else:
                plain = tarfile.TarInfo(f"{number:080d}")
                raw.append(plain.tobuf(tarfile.GNU_FORMAT))
            if len(raw) == 1000:
                file.write(b"".join(raw))
                raw.clear()
        file.write(b"".join(raw) + bytes(1024))


def same_descriptors(count: int) -> bytes:
    """Make an index of so many children that are not there."""
    one = {"mediaType": media.OCI_MANIFEST, "digest": f"sha256:{'a' * 64}", "size": 2}
    return json.dumps({"schemaVersion": 2, "manifests": [one] * count}, separators=(",", ":")).encode()


ARCHIVES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link out of the archive": (climbing, "leads out of the archive"),
    "links that go round": (going_round, "a link in a loop"),
    "devices and pipes": (device, "neither a file nor a link"),
    "a gzip bomb": (gzip_bomb, "refused as a bomb"),
    "a zstd bomb": (zstd_bomb, "refused as a bomb"),
    "a name of a gibibyte": (long_header, "the limit is 16384"),
    "fifty thousand members and more": (many_members, "more than 50000 members"),
    "lists in lists": (lambda path: layout_tar(path, b'{"manifests":' + b"[" * 4 * MIB), "too many values"),
    "lists in lists, just deep enough": (lambda path: layout_tar(path, b'{"a":' + b"[" * 90_000), "nested too deeply"),
    "millions of tiny values": (
        lambda path: layout_tar(path, b'{"a":[' + b"{}," * 2 * MIB + b"{}]}"),
        "too many values",
    ),
    "as many values as are allowed": (
        lambda path: layout_tar(path, b"{" + b",".join(b'"%d":{}' % n for n in range(240_000)) + b"}"),
        "no list of manifests",
    ),
    "a number of a million digits": (lambda path: layout_tar(path, b'{"a":' + b"9" * MIB + b"}"), "is not JSON"),
    "a text with one wide character": (
        lambda path: layout_tar(path, b'{"a":"' + b"x" * 7 * MIB + '\U0001f600"}'.encode()),
        "no list of manifests",
    ),
    "a hundred thousand descriptors": (lambda path: layout_tar(path, same_descriptors(100_000)), "more than 8388608"),
    "fifty thousand descriptors": (lambda path: layout_tar(path, same_descriptors(50_000)), "is missing"),
    "an index of eight mebibytes of nothing": (lambda path: layout_tar(path, b" " * 8 * MIB), "is not JSON"),
}


@pytest.mark.parametrize("case", list(ARCHIVES))
def test_a_hostile_archive_is_one_clear_error_in_bounded_memory(case: str, tmp_path: Path) -> None:
    write, message = ARCHIVES[case]
    write(tmp_path / "image.tar")
    done = oci_push("push", f"oci-archive:{tmp_path / 'image.tar'}", "127.0.0.1:1/a:1", home=tmp_path)
    assert done.code == 3, done.errors
    assert message in done.errors
    assert len(done.errors) < 2000


def linked_file(path: Path) -> None:
    """Make the index a link to a file outside."""
    (path / "index.json").symlink_to("/etc/passwd")


def linked_folder(path: Path) -> None:
    """Make a folder of the layout a link to a folder outside."""
    outside = path.parent / "outside"
    make_layout(outside, layer(1))
    (path / "blobs").symlink_to(outside / "blobs")
    (path / "index.json").write_bytes((outside / "index.json").read_bytes())


def pipe(path: Path) -> None:
    """Make the index a pipe: opening one waits for ever."""
    os.mkfifo(path / "index.json")


FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link to a file outside": (linked_file, "leads out of the folder"),
    "a link to a folder outside": (linked_folder, "leads out of the folder"),
    "a pipe": (pipe, "no index.json"),
}


@pytest.mark.parametrize("case", list(FOLDERS))
def test_a_hostile_folder_is_one_clear_error(case: str, tmp_path: Path) -> None:
    make, message = FOLDERS[case]
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "oci-layout").write_bytes(VERSION[1])
    make(folder)
    done = oci_push("push", f"oci:{folder}", "127.0.0.1:1/a:1", home=tmp_path)
    assert done.code == 3, done.errors
    assert message in done.errors


def test_an_index_cannot_contain_itself_without_its_digest_being_wrong(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    inner = writer.index()
    outer = writer.index(inner)
    raw = (writer.path / "blobs/sha256" / str(outer["digest"]).partition(":")[2]).read_bytes()
    (writer.path / "blobs/sha256" / str(inner["digest"]).partition(":")[2]).write_bytes(raw)
    writer.close({**outer, "size": len(raw)})
    done = oci_push("push", f"oci:{writer.path}", "127.0.0.1:1/a:1", home=tmp_path)
    assert done.code == 3
    assert "digest" in done.errors or "bytes" in done.errors


def test_an_index_in_an_index_in_an_index_ends_somewhere(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    node = writer.image(layer(1))
    for _ in range(50):
        node = writer.index(node)
    writer.close(node)
    done = oci_push("push", f"oci:{writer.path}", "127.0.0.1:1/a:1", home=tmp_path)
    assert done.code == 3
    assert "nested more than 8 deep" in done.errors


def test_a_manifest_of_four_mebibytes_of_layers_is_read_in_bounded_memory(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    one = {"mediaType": media.OCI_LAYER_GZIP, "digest": f"sha256:{'b' * 64}", "size": 7}
    config = writer.put(b"{}", media.OCI_CONFIG)
    writer.close(writer.manifest({"config": config, "layers": [one] * 26_000}, media.OCI_MANIFEST))
    done = oci_push("push", f"oci:{writer.path}", "127.0.0.1:1/a:1", "--retries", "0", home=tmp_path)
    assert done.code == 6, done.errors


def test_a_config_with_a_hundred_thousand_layers_is_read_in_bounded_memory(tmp_path: Path) -> None:
    ids = json.dumps({"rootfs": {"diff_ids": [f"sha256:{'c' * 64}"] * 100_000}}).encode()
    names = json.dumps([{"Config": "c", "Layers": ["l"] * 100_000}]).encode()
    (tmp_path / "x.tar").write_bytes(tar_of(("c", ids), ("l", layer(1)), ("manifest.json", names)))
    done = oci_push("push", f"docker-archive:{tmp_path / 'x.tar'}", "127.0.0.1:1/a:1", "--retries", "0", home=tmp_path)
    assert done.code in (3, 6), done.errors


def test_a_device_is_no_archive(tmp_path: Path) -> None:
    done = oci_push("push", "oci-archive:/dev/zero", "127.0.0.1:1/a:1", home=tmp_path)
    assert done.code == 3, done.errors


@pytest.mark.case("CO-007")
@pytest.mark.parametrize("kind", ["layout", "archive"])
def test_memory_does_not_grow_with_the_blob(kind: str, tmp_path: Path) -> None:
    size = 256 * MIB
    zeros = Digest("sha256", _hash_of_zeros(size))
    if kind == "layout":
        writer = LayoutWriter(tmp_path / "image")
        config = writer.put(b"{}", media.OCI_CONFIG)
        hole = {"mediaType": media.OCI_LAYER, "digest": str(zeros), "size": size}
        writer.close(writer.manifest({"config": config, "layers": [hole]}, media.OCI_MANIFEST))
        with (writer.path / "blobs/sha256" / zeros.encoded).open("wb") as file:
            file.truncate(size)
        source = f"oci:{writer.path}"
    else:
        config_raw = json.dumps({"rootfs": {"diff_ids": [str(zeros)]}}).encode()
        listed = json.dumps([{"Config": "c", "Layers": ["l"]}]).encode()
        info = tarfile.TarInfo("l")
        info.size = size
        with (tmp_path / "x.tar").open("wb") as file:
            file.write(tar_of(("c", config_raw), ("manifest.json", listed)).rstrip(b"\0"))
            file.write(bytes(-file.tell() % 512) + info.tobuf(tarfile.GNU_FORMAT))
            file.truncate(file.tell() + size + 1024)
        source = f"docker-archive:{tmp_path / 'x.tar'}"
    with Sandbox() as sandbox:
        done = oci_push("push", source, f"{sandbox.address}/a:1", home=tmp_path)
        assert done.code == 0, done.errors
        assert sandbox.store.tags("a") == ("1",)


@pytest.mark.parametrize("where", ["archive", "layers"])
def test_the_largest_window_that_is_read_keeps_to_the_memory_promised(where: str, tmp_path: Path) -> None:
    raw = noise(70 * MIB)
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=26)
    packer = zstandard.ZstdCompressor(compression_params=parameters)
    stored = _streamed(packer, raw)
    layers = {"archive": [("l", raw)], "layers": [("l", stored), ("m", stored)]}[where]
    names = [name for name, _ in layers]
    content = docker_archive(*layers, config=config_of(*[raw] * len(layers)), paths=names)
    (tmp_path / "x.tar").write_bytes(content if where == "layers" else _streamed(packer, content))
    with Sandbox() as sandbox:
        done = oci_push("push", f"docker-archive:{tmp_path / 'x.tar'}", f"{sandbox.address}/a:1", home=tmp_path)
    assert done.code == 0, done.errors


def _streamed(packer: zstandard.ZstdCompressor, raw: bytes) -> bytes:
    stream = packer.compressobj()
    return stream.compress(raw) + stream.flush()


def _hash_of_zeros(size: int) -> str:
    running = hashlib.sha256()
    for _ in range(size // MIB):
        running.update(bytes(MIB))
    return running.hexdigest()
