"""check: every byte of an image is looked at once, and what is wrong is named with the exit code of its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from around import asked, children_of, pushed, two_platforms
from equipment.faults import Answer, Fault
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, config_of, docker_archive, layer, make_layout, tar_folder
from program import program
from published import check_json

from oci_push.engine.looking.check import Checkup
from oci_push.model import media
from oci_push.model.digest import Digest


def check(what: str, *more: str, cwd: Path, code: int = 0) -> str:
    done = program("check", what, *more, cwd=cwd, code=code)
    return done.stdout if code == 0 else done.stderr


def blobs_of(layout: Layout, least: int = 0) -> list[Path]:
    return [layout.path / "blobs/sha256" / d.partition(":")[2] for d, size in layout.blobs.items() if size > least]


def test_a_whole_image_is_read_once_where_it_is(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    told = check(f"{name}:1", cwd=tmp_path)
    total = sum(layout.blobs.values())
    assert told.startswith(f"{name}:1: whole (3 manifests, 5 blobs; {total / 1000:.1f} kB read, 3 diff_ids compared")
    requests = asked(sandbox)
    assert len(requests) == len(set(requests)) == 3 + 5
    assert all(one.startswith("GET ") for one in requests)


def test_head_reads_manifests_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, two_platforms(tmp_path / "image"), "1")
    assert "sizes asked for" in check(f"{name}:1", "--head", cwd=tmp_path)
    requests = asked(sandbox)
    assert len(requests) == len(set(requests)) == 3 + 5
    assert {one.split()[0] for one in requests if "/blobs/" in one} == {"HEAD"}


def test_layouts_and_archives_are_checked_too(tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    (tmp_path / "image.tar").write_bytes(tar_folder(layout.path))
    one = layer(1)
    (tmp_path / "docker.tar").write_bytes(docker_archive(("a.tar", one), config=config_of(one), paths=["a.tar"]))
    for source in ("oci:image", "image.tar", "docker.tar"):
        assert ": whole (" in check(source, cwd=tmp_path)
        assert ": whole (" in check(source, "--head", cwd=tmp_path)


def _flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(raw)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "told", "is_seen_by_head"),
    [(_flip, "content has digest", False), (_cut, "bytes", True), (Path.unlink, "missing", True)],
)
def test_a_damaged_layer_of_a_layout_is_named(
    damage: Callable[[Path], None], told: str, is_seen_by_head: bool, tmp_path: Path
) -> None:
    layout = two_platforms(tmp_path / "image")
    file = blobs_of(layout, 1000)[1]
    damage(file)
    text = check("oci:image", cwd=tmp_path, code=3)
    assert file.name in text
    assert told in text
    assert "1 thing wrong" in text
    check("oci:image", "--head", cwd=tmp_path, code=3 if is_seen_by_head else 0)


def test_all_that_is_wrong_in_a_registry_is_told_and_the_exit_code_is_5(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    large = [file.name for file in blobs_of(layout, 1000)]
    sandbox.store.blob_path("team/app", f"sha256:{large[0]}").unlink()
    _flip(sandbox.store.blob_path("team/app", f"sha256:{large[1]}"))
    text = check(f"{name}:1", cwd=tmp_path, code=5)
    assert "2 things wrong" in text
    assert all(one in text for one in large[:2])
    assert large[2] not in text
    missing = check(f"{name}:1", "--head", cwd=tmp_path, code=5)
    assert large[0] in missing
    assert "is not there" in missing


def test_content_that_is_not_its_diff_id_is_found(tmp_path: Path) -> None:
    """The digests of the blobs are right; what the layer holds is not what the config names."""
    writer = LayoutWriter(tmp_path / "image")
    stored = writer.put(gzip.compress(layer(2), mtime=0), media.OCI_LAYER_GZIP)
    config = writer.put(config_of(layer(1)), media.OCI_CONFIG)
    writer.close(writer.manifest({"config": config, "layers": [stored]}, media.OCI_MANIFEST))
    text = check("oci:image", cwd=tmp_path, code=3)
    assert f"holds {Digest.of(layer(2))}, the config says {Digest.of(layer(1))}" in text


def test_a_config_that_names_another_number_of_layers_is_found(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    stored = writer.put(gzip.compress(layer(1), mtime=0), media.OCI_LAYER_GZIP)
    config = writer.put(config_of(layer(1), layer(2)), media.OCI_CONFIG)
    writer.close(writer.manifest({"config": config, "layers": [stored]}, media.OCI_MANIFEST))
    assert "it names 2 layers" in check("oci:image", cwd=tmp_path, code=3)


def test_an_artifact_has_no_diff_ids(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    stored = writer.put(b"text", "text/plain")
    writer.close(
        writer.manifest({"config": writer.put(b"{}", media.OCI_EMPTY), "layers": [stored]}, media.OCI_MANIFEST)
    )
    assert "0 diff_ids compared" in check("oci:image", cwd=tmp_path)


def test_a_registry_that_fails_is_no_damage(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), "1")
    sandbox.faults.add(Fault(method="GET", path="/blobs/", action=Answer(403, code="DENIED"), times=0))
    text = check(f"{name}:1", cwd=tmp_path, code=5)
    assert "403 DENIED" in text
    assert "may read" in text
    assert "wrong" not in text


def test_the_result_is_published_as_json(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    check_json(check(f"{name}:1", "--json", cwd=tmp_path), Checkup)
    sandbox.store.blob_path("team/app", next(iter(layout.blobs))).unlink()
    printed = program("check", f"{name}:1", "--json", cwd=tmp_path, code=5).stdout
    check_json(printed, Checkup)
    assert [one["digest"] for one in json.loads(printed)["damage"]] == [next(iter(layout.blobs))]


def test_a_root_that_is_not_its_digest_is_damage(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    _flip(sandbox.store.blob_path("team/app", layout.digest))
    assert "expected" in check(f"{name}:1", cwd=tmp_path, code=5)
    _flip(layout.path / "blobs/sha256" / layout.digest.partition(":")[2])
    assert "1 thing wrong" in check("oci:image", cwd=tmp_path, code=3)


def test_what_is_not_there_at_all_is_no_damage(sandbox: Sandbox, tmp_path: Path) -> None:
    assert "404" in check(f"{sandbox.address}/team/app:1", cwd=tmp_path, code=5)
    assert "wrong" not in check("oci:nowhere", cwd=tmp_path, code=3)


def test_a_manifest_that_is_missing_is_named_and_the_rest_is_checked(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    gone = str(children_of(layout)[0]["digest"])
    sandbox.store.remove_manifest("team/app", Digest.parse(gone))
    text = check(f"{name}:1", cwd=tmp_path, code=5)
    assert gone in text
    assert "1 thing wrong" in text


def test_layers_that_are_kept_elsewhere_are_counted_and_not_looked_for(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    ours, theirs = layer(1), layer(2)
    stored = writer.put(gzip.compress(ours, mtime=0), media.OCI_LAYER_GZIP)
    foreign = {
        "mediaType": media.FOREIGN_LAYER_GZIP[1],
        "digest": str(Digest.of(theirs)),
        "size": len(theirs),
        "urls": ["https://elsewhere.example/layer"],
    }
    config = writer.put(config_of(theirs, ours), media.OCI_CONFIG)
    writer.close(writer.manifest({"config": config, "layers": [foreign, stored]}, media.OCI_MANIFEST))
    assert "1 kept elsewhere, not looked at" in check("oci:image", cwd=tmp_path)


def test_two_manifests_that_say_two_sizes_are_told_of(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    stored = writer.put(b"text", "text/plain")
    config = writer.put(b"{}", media.OCI_EMPTY)
    nodes = [
        writer.manifest({"config": config, "layers": [{**stored, "size": size}]}, media.OCI_MANIFEST) for size in (4, 5)
    ]
    writer.close(writer.index(*nodes))
    assert "is said to have 4 and 5 bytes" in check("oci:image", cwd=tmp_path, code=3)


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_configs_that_would_take_all_memory_are_refused_unread(command: str, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    configs = [
        writer.put(b'{"x":"%d%s"}' % (number, bytes([121]) * 7 * 1024**2), media.OCI_CONFIG) for number in range(5)
    ]
    images = [writer.manifest({"config": config, "layers": []}, media.OCI_MANIFEST) for config in configs]
    writer.close(writer.index(*images))
    refused = program(command, f"oci:{tmp_path}/image", cwd=tmp_path, code=3).stderr
    assert "its configs have 36700" in refused
    assert "--platform" in refused


def test_manifests_that_would_take_all_memory_are_refused_unread(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    empty = writer.put(b"{}", media.OCI_EMPTY)
    images = [
        writer.manifest(
            {"config": empty, "layers": [], "annotations": {"n": f"{n}" + "x" * 3_900_000}}, media.OCI_MANIFEST
        )
        for n in range(9)
    ]
    writer.close(writer.index(*images))
    assert "its manifests have 351" in program("check", f"oci:{tmp_path}/image", cwd=tmp_path, code=3).stderr
