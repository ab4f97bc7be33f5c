"""What an archive can be made to do to us, and the odd but honest archives that must not be refused."""

from __future__ import annotations

import gzip
import io
import json
import resource
import tarfile
from pathlib import Path

import pytest
import zstandard
from images import config_of, docker_archive, layer, tar_of

from oci_push.errors import ConfigError, ContentMismatchError, SourceError
from oci_push.events import ignore
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.source import SourceSpec
from oci_push.runtime.clock import SystemClock
from oci_push.runtime.context import Context
from oci_push.sources import table
from oci_push.sources.settings import SourceSettings

ONE, TWO = layer(1), layer(2, 9000)
OCI_LAYOUT = ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
NO_IMAGE = ("manifest.json", b'[{"Config":"missing","Layers":[]}]')
PLAIN = docker_archive(("a.tar", ONE), config=config_of(ONE), paths=["a.tar"])


def read(path: Path, settings: SourceSettings | None = None, ref: str = "") -> tuple[Manifest, list[bytes]]:
    """Open a file or folder and give its manifest and the bytes of all layers."""
    context = Context(SystemClock())
    spec = SourceSpec("file", str(path), ref, "")
    source = table.open_source(spec, settings or SourceSettings(), context=context, emit=ignore)
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


def member(content: bytes) -> tuple[str, bytes]:
    """Give content its place in a layout."""
    return f"blobs/sha256/{Digest.of(content).encoded}", content


def entry(content: bytes, kind: str, name: str = "") -> dict[str, object]:
    """Describe content as docker save does."""
    described: dict[str, object] = {"mediaType": kind, "digest": str(Digest.of(content)), "size": len(content)}
    if name:
        described["annotations"] = {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        }
    return described


def index(*entries: dict[str, object]) -> bytes:
    """Make an index of entries."""
    return json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": entries}).encode()


def two_images() -> bytes:
    """Make what Docker 25 saves of `app:latest` and `db:16`."""
    blobs, entries, listed = [], [], []
    for name, content in (("app:latest", ONE), ("db:16", TWO)):
        config, packed = config_of(content), gzip.compress(content, mtime=0)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": media.OCI_MANIFEST,
                "config": entry(config, media.OCI_CONFIG),
                "layers": [entry(packed, media.OCI_LAYER_GZIP)],
            }
        ).encode()
        blobs += [member(config), member(packed), member(manifest)]
        entries.append(entry(manifest, media.OCI_MANIFEST, f"docker.io/library/{name}"))
        listed.append({"Config": member(config)[0], "RepoTags": [name], "Layers": [member(packed)[0]]})
    return tar_of(OCI_LAYOUT, ("index.json", index(*entries)), ("manifest.json", json.dumps(listed).encode()), *blobs)


@pytest.mark.case("SR-001")
def test_of_several_images_the_one_tagged_latest_is_not_taken_unasked(tmp_path: Path) -> None:
    path = write(tmp_path / "two.tar", two_images())
    with pytest.raises(SourceError, match="several images") as caught:
        read(path)
    assert "app:latest, db:16" in str(caught.value.hint)


@pytest.mark.parametrize(("ref", "content"), [("app:latest", ONE), ("db:16", TWO), ("@0", ONE), ("@1", TWO)])
@pytest.mark.case("SR-001")
def test_one_of_several_images_is_found_by_name_or_place(ref: str, content: bytes, tmp_path: Path) -> None:
    _, layers = read(write(tmp_path / "two.tar", two_images()), ref=ref)
    assert [gzip.decompress(one) for one in layers] == [content]


@pytest.mark.parametrize("ref", ["@²", "@" + "9" * 5000, "@7", "@-1"])
def test_a_place_that_is_none_is_an_error_of_ours(ref: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no image"):
        read(write(tmp_path / "a.tar", PLAIN), ref=ref)


def test_layers_that_claim_one_diff_id_and_differ_are_both_kept(tmp_path: Path) -> None:
    first, second = gzip.compress(ONE, mtime=0), gzip.compress(ONE, mtime=1)
    content = docker_archive(("a", first), ("b", second), config=config_of(ONE, ONE), paths=["a", "b"])
    _, layers = read(write(tmp_path / "a.tar", content))
    assert layers == [first, second]


@pytest.mark.parametrize("paths", [["a", "b"], ["b", "a"]])
def test_each_member_that_claims_a_diff_id_is_checked(paths: list[str], tmp_path: Path) -> None:
    content = docker_archive(("a", TWO), ("b", ONE), config=config_of(ONE, ONE), paths=paths)
    with pytest.raises(ContentMismatchError, match="a: layer has diff_id"):
        read(write(tmp_path / "a.tar", content))


@pytest.mark.case("SR-010")
def test_a_layer_listed_twice_is_compressed_once(tmp_path: Path) -> None:
    content = docker_archive(("a", ONE), config=config_of(ONE, ONE), paths=["a", "a"])
    events: list[object] = []
    context = Context(SystemClock())
    spec = SourceSpec("file", str(write(tmp_path / "a.tar", content)), "", "")
    source = table.open_source(spec, SourceSettings(), context=context, emit=events.append)
    try:
        assert len(source.manifest(context, source.root(context)).layers) == 2
    finally:
        source.close()
    assert len(events) == 1


@pytest.mark.parametrize("listed", [b"null", b"[]"])
@pytest.mark.parametrize("rootfs", [b'{"type":"layers"}', b'{"type":"layers","diff_ids":null}'])
def test_an_image_without_layers_is_an_image(listed: bytes, rootfs: bytes, tmp_path: Path) -> None:
    manifest = b'[{"Config":"c.json","RepoTags":null,"Layers":' + listed + b"}]"
    content = tar_of(("c.json", b'{"os":"linux","rootfs":' + rootfs + b"}"), ("manifest.json", manifest))
    assert read(write(tmp_path / "a.tar", content))[0].layers == ()


@pytest.mark.parametrize("tags", [b"5", b"[3]", b'"team/app:1"', b"{}"])
def test_tags_that_are_no_list_of_names_are_no_names(tags: bytes, tmp_path: Path) -> None:
    manifest = b'[{"Config":"c.json","RepoTags":' + tags + b',"Layers":["a.tar"]}]'
    path = write(tmp_path / "a.tar", tar_of(("a.tar", ONE), ("c.json", config_of(ONE)), ("manifest.json", manifest)))
    assert len(read(path)[0].layers) == 1
    with pytest.raises(SourceError, match="holds no image"):
        read(path, ref="team/app:1")


def test_an_index_that_lists_one_child_many_times_is_read_once(tmp_path: Path) -> None:
    node, blobs = index(), []
    for _ in range(12):  # 20 to the 12th: without memory this does not end
        blobs.append(member(node))
        node = index(*[entry(node, media.OCI_INDEX)] * 20)
    root = index(entry(node, media.OCI_INDEX))
    content = tar_of(OCI_LAYOUT, ("index.json", root), *blobs, member(node), NO_IMAGE)
    assert read(write(tmp_path / "a.tar", content))[0].digest == Digest.of(node)


def test_a_child_manifest_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    digest, size = "b" * 64, 300 * 1024 * 1024
    huge = {"mediaType": media.OCI_INDEX, "digest": f"sha256:{digest}", "size": size}
    node = index(huge)
    head = tar_of(OCI_LAYOUT, ("index.json", index(entry(node, media.OCI_INDEX))), member(node), NO_IMAGE)
    info = tarfile.TarInfo(f"blobs/sha256/{digest}")
    info.size = size
    path = tmp_path / "big.tar"
    _sparse(path, head.rstrip(b"\0"), info, size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"big\.tar"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_an_extension_header_of_absurd_size_is_not_read(kind: bytes, tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 300 * 1024 * 1024
    path = tmp_path / "big.tar"
    _sparse(path, b"", info, info.size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"a header of 314572800 bytes, the limit is 16384"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


def test_long_names_below_the_limit_are_read(tmp_path: Path) -> None:
    name = "/".join(["x" * 200] * 20)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        manifest = json.dumps([{"Config": "c.json", "Layers": [name]}]).encode()
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            for path, content in ((name, ONE), ("c.json", config_of(ONE)), ("manifest.json", manifest)):
                info = tarfile.TarInfo(path)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        assert len(read(write(tmp_path / "a.tar", stream.getvalue()))[1]) == 1


def test_a_name_that_no_file_can_have_is_missing_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'[{"Config":"\\ud800","Layers":[]}]')
    with pytest.raises(SourceError, match="is missing"):
        read(tmp_path)


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "file"])
def test_a_zero_byte_in_a_path_is_an_error_of_ours(kind: str) -> None:
    spec = SourceSpec(kind, "a\0b", "", "")
    with pytest.raises(SourceError, match="zero byte"):
        table.open_source(spec, SourceSettings(), context=Context(SystemClock()), emit=ignore)


@pytest.mark.parametrize(("compression", "level"), [("zstd", 23), ("zstd", -1), ("gzip", 10), ("gzip", -3)])
def test_a_compression_level_that_does_not_exist_is_a_usage_error(compression: str, level: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"compression level {level} does not exist for {compression}"):
        read(write(tmp_path / "a.tar", PLAIN), SourceSettings(compression=compression, level=level))


def test_an_empty_layer_is_still_a_zstd_frame(tmp_path: Path) -> None:
    content = docker_archive(("a", b""), config=config_of(b""), paths=["a"])
    _, layers = read(write(tmp_path / "a.tar", content), SourceSettings(compression="zstd"))
    assert layers[0].startswith(zstandard.FRAME_HEADER)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(layers[0]) == b""


def _sparse(path: Path, head: bytes, info: tarfile.TarInfo, size: int) -> None:
    """Write a tar whose last member is a hole, so that it costs no disk."""
    head += b"\0" * (-len(head) % tarfile.BLOCKSIZE)
    with path.open("wb") as file:
        file.write(head + info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(len(head) + size + 4 * tarfile.BLOCKSIZE)
