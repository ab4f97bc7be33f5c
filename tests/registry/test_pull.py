"""pull: what a registry has, saved byte for byte in a layout or an archive, each blob fetched once and checked."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from around import asked, pushed, short, two_platforms
from equipment.faults import Answer, Fault, TruncateReply
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, config_of, layer, make_layout, make_raw_layout, noise
from program import program
from published import check_json

from oci_push.engine.saving.pull import Pull
from oci_push.model import media
from oci_push.model.digest import Digest

REF_NAME = "org.opencontainers.image.ref.name"


def index_of(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())["manifests"]
    return found


def names_of(folder: Path) -> dict[str, str]:
    """Give the digests that a layout lists, by their names."""
    return {one["annotations"][REF_NAME]: one["digest"] for one in index_of(folder) if "annotations" in one}


def blobs_in(folder: Path) -> dict[str, int]:
    """Give the sizes of a layout's blobs, each of which has the digest that is its name."""
    files = list((folder / "blobs").rglob("*"))
    for one in files:
        if one.is_file():
            assert hashlib.new(one.parent.name, one.read_bytes()).hexdigest() == one.name
    return {f"{one.parent.name}:{one.name}": one.stat().st_size for one in files if one.is_file()}


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name not in ("blobs", "index.json", "oci-layout")]


def pulled(*words: str, cwd: Path) -> list[str]:
    return program("pull", *words, cwd=cwd).stdout.splitlines()


def refused(*words: str, cwd: Path, code: int) -> str:
    """Give what is said of a pull that fails."""
    return program("pull", *words, "--retries", "0", cwd=cwd, code=code).stderr


def start_of(header: str | None) -> int:
    """Give the first byte that a Range asks for."""
    assert header is not None
    return int(header.removeprefix("bytes=").removesuffix("-"))


def members(archive: Path) -> Mapping[str, bytes]:
    with tarfile.open(archive) as opened:
        files = {one.name: opened.extractfile(one) for one in opened if one.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


class TestLayout:
    def test_an_index_comes_with_all_that_is_below_it(self, sandbox: Sandbox, tmp_path: Path) -> None:
        image = two_platforms(tmp_path / "image")
        name = pushed(sandbox, image, "1.4")
        assert pulled(f"{name}:1.4", "oci:out", cwd=tmp_path) == [f"oci:out:1.4  {image.digest}"]
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)
        assert names_of(tmp_path / "out") == {"1.4": image.digest}
        assert leftovers(tmp_path / "out") == []

    def test_what_was_pulled_is_pushed_elsewhere_with_the_same_digest(self, sandbox: Sandbox, tmp_path: Path) -> None:
        image = two_platforms(tmp_path / "image")
        name = pushed(sandbox, image, "1")
        program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
        program("pull", f"{name}:1", "oci-archive:out.tar", cwd=tmp_path)
        with Sandbox() as other:
            for source in ("oci:out:1", "oci-archive:out.tar"):
                told = program("push", source, f"{other.address}/a:1", "--no-memory", cwd=tmp_path).stdout
                assert image.digest in told

    def test_a_layout_is_added_to_and_a_name_moves(self, sandbox: Sandbox, tmp_path: Path) -> None:
        first, second = make_layout(tmp_path / "a", layer(1), layer(2)), make_layout(tmp_path / "b", layer(1), layer(3))
        name = pushed(sandbox, first, "1", "old")
        program("pull", f"{name}:1", f"{name}:old", "oci:out", cwd=tmp_path)
        entries = json.loads((tmp_path / "out/index.json").read_text())
        entries["annotations"] = {"kept": "yes"}
        entries["manifests"].append({**index_of(first.path)[0], "annotations": {"x": "y"}, "unknown": [1]})
        (tmp_path / "out/index.json").write_text(json.dumps(entries))
        pushed(sandbox, second, "1")
        pulled(f"{name}:1", "oci:out", cwd=tmp_path)
        after = json.loads((tmp_path / "out/index.json").read_text())
        assert {one["annotations"].get(REF_NAME): one["digest"] for one in after["manifests"]} == {
            "1": second.digest,
            "old": first.digest,
            None: first.digest,
        }
        assert after["annotations"] == {"kept": "yes"}
        assert after["manifests"][2]["unknown"] == [1]

    def test_blobs_that_are_there_are_not_fetched_again(self, sandbox: Sandbox, tmp_path: Path) -> None:
        first, second = make_layout(tmp_path / "a", layer(1), layer(2)), make_layout(tmp_path / "b", layer(1), layer(3))
        name = pushed(sandbox, first, "1")
        pushed(sandbox, second, "2")
        program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
        sandbox.traffic.clear()
        done = program("pull", f"{name}:2", "oci:out", cwd=tmp_path)
        new = set(second.blobs) - set(first.blobs)
        assert set(asked(sandbox)) == {"GET team/app/manifests/2", *(f"GET team/app/blobs/{short(one)}" for one in new)}
        assert "there already" in done.stderr

    def test_a_tag_that_has_not_moved_costs_one_head_and_writes_nothing(self, sandbox: Sandbox, tmp_path: Path) -> None:
        image = two_platforms(tmp_path / "image")
        name = pushed(sandbox, image, "1")
        program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
        before = {one: one.stat().st_mtime_ns for one in (tmp_path / "out").rglob("*")}
        sandbox.traffic.clear()
        done = program("pull", f"{name}:1", "oci:out", "--json", cwd=tmp_path)
        assert asked(sandbox) == ["HEAD team/app/manifests/1"]
        assert {one: one.stat().st_mtime_ns for one in (tmp_path / "out").rglob("*")} == before
        (one,) = json.loads(done.stdout)["images"]
        assert (one["unchanged"], one["digest"], one["written"]) == (True, image.digest, 0)

    @pytest.mark.parametrize("damage", ["gone", "cut"])
    def test_what_is_missing_is_fetched_though_the_tag_has_not_moved(
        self, damage: str, sandbox: Sandbox, image: Layout, tmp_path: Path
    ) -> None:
        name = pushed(sandbox, image, "1")
        program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
        file = tmp_path / "out/blobs/sha256" / min(image.blobs).partition(":")[2]
        file.unlink() if damage == "gone" else file.write_bytes(file.read_bytes()[:-1])
        program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)

    def test_verify_reads_what_is_there_and_mends_it(self, sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
        name = pushed(sandbox, image, "1")
        program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
        file = tmp_path / "out/blobs/sha256" / min(image.blobs).partition(":")[2]
        file.write_bytes(bytes(file.stat().st_size))
        program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
        assert not any(file.read_bytes())
        sandbox.traffic.clear()
        program("pull", f"{name}:1", "oci:out", "--verify", cwd=tmp_path)
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)
        assert len([one for one in asked(sandbox) if "/blobs/" in one]) == 1

    def test_images_of_several_repositories_are_called_by_their_references(
        self, sandbox: Sandbox, image: Layout, tmp_path: Path
    ) -> None:
        names = [f"{pushed(sandbox, image, '1', repository=one)}:1" for one in ("a", "b")]
        lines = pulled(*names, "oci:out", cwd=tmp_path)
        assert lines == [f"oci:out:{one}  {image.digest}" for one in names]
        assert set(names_of(tmp_path / "out")) == set(names)
        for one in names:  # and they are found by these names
            program("digest", f"oci:out:{one}", cwd=tmp_path)

    def test_all_tags_or_a_glob_of_them(self, sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
        name = pushed(sandbox, image, "1.1", "1.2", "2.0")
        pulled(f"{name}:1.*", "oci:some", cwd=tmp_path)
        pulled(name, "--all-tags", "oci:all", cwd=tmp_path)
        assert set(names_of(tmp_path / "some")) == {"1.1", "1.2"}
        assert set(names_of(tmp_path / "all")) == {"1.1", "1.2", "2.0"}
        blobs = [one for one in asked(sandbox) if "/blobs/" in one]
        assert len(blobs) == 2 * len(image.blobs)

    def test_one_platform_several_or_some_of_an_index_that_stays(self, sandbox: Sandbox, tmp_path: Path) -> None:
        image = two_platforms(tmp_path / "image")
        name = pushed(sandbox, image, "1")
        pulled(f"{name}:1", "oci:one", "--platform", "linux/arm64", cwd=tmp_path)
        pulled(f"{name}:1", "oci:both", "--platform", "linux/arm64,linux/amd64", cwd=tmp_path)
        pulled(f"{name}:1", "oci:part", "--platform", "linux/arm64", "--sparse", cwd=tmp_path)
        arm = names_of(tmp_path / "one")["1"]
        assert arm != image.digest
        assert names_of(tmp_path / "both")["1"] == image.digest
        assert names_of(tmp_path / "part")["1"] == image.digest
        assert set(blobs_in(tmp_path / "part")) == {*blobs_in(tmp_path / "one"), image.digest}

    def test_a_digest_has_no_name_and_a_name_may_be_given(
        self, sandbox: Sandbox, image: Layout, tmp_path: Path
    ) -> None:
        name = pushed(sandbox, image, "1")
        assert pulled(f"{name}@{image.digest}", "oci:out", cwd=tmp_path) == [f"oci:out  {image.digest}"]
        assert pulled(f"{name}:1", "oci:named:stable", cwd=tmp_path) == [f"oci:named:stable  {image.digest}"]
        assert index_of(tmp_path / "out")[0].keys() == {"mediaType", "digest", "size"}
        assert set(names_of(tmp_path / "named")) == {"stable"}

    def test_a_layout_is_made_of_an_archive(self, image: Layout, tmp_path: Path) -> None:
        pulled(f"oci:{image.path}", "oci-archive:image.tar", cwd=tmp_path)
        pulled("image.tar", "oci:out:x", cwd=tmp_path)
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)


class TestArchive:
    def test_an_archive_has_the_same_bytes_each_time_and_on_stdout(self, sandbox: Sandbox, tmp_path: Path) -> None:
        image = two_platforms(tmp_path / "image")
        name = pushed(sandbox, image, "1")
        for target in ("oci-archive:a.tar", "oci-archive:b.tar"):
            assert pulled(f"{name}:1", target, cwd=tmp_path) == [f"{target}:1  {image.digest}"]
        first = (tmp_path / "a.tar").read_bytes()
        assert first == (tmp_path / "b.tar").read_bytes()
        assert sorted(os.listdir(tmp_path)) == ["a.tar", "b.tar", "home", "image"]
        files = members(tmp_path / "a.tar")
        assert {one.replace("blobs/sha256/", "sha256:"): len(raw) for one, raw in files.items() if "blobs" in one} == (
            blobs_in(image.path)
        )

    def test_docker_archive_holds_what_docker_load_reads_beside_the_layout(
        self, sandbox: Sandbox, image: Layout, tmp_path: Path
    ) -> None:
        name = pushed(sandbox, image, "1")
        pulled(f"{name}:1", "docker-archive:d.tar", cwd=tmp_path)
        files = members(tmp_path / "d.tar")
        (entry,) = json.loads(files["manifest.json"])
        assert entry["RepoTags"] == [f"{name}:1"]
        assert hashlib.sha256(files[entry["Config"]]).hexdigest() == entry["Config"].rpartition("/")[2]
        assert all(one in files for one in entry["Layers"])
        (listed,) = json.loads(files["index.json"])["manifests"]
        assert listed["annotations"] == {"io.containerd.image.name": f"{name}:1", REF_NAME: "1"}
        told = program("digest", "docker-archive:d.tar", cwd=tmp_path).stdout
        assert told.strip() == image.digest

    def test_docker_archive_takes_one_platform(self, sandbox: Sandbox, tmp_path: Path) -> None:
        name = pushed(sandbox, two_platforms(tmp_path / "image"), "1")
        told = refused(f"{name}:1", "docker-archive:d.tar", cwd=tmp_path, code=3)
        assert "--platform OS/ARCH" in told
        assert not (tmp_path / "d.tar").exists()
        pulled(f"{name}:1", "docker-archive:d.tar:team/app:x", "--platform", "linux/amd64", cwd=tmp_path)
        assert json.loads(members(tmp_path / "d.tar")["manifest.json"])[0]["RepoTags"] == ["team/app:x"]

    def test_an_artifact_is_no_image_for_docker(self, sandbox: Sandbox, tmp_path: Path) -> None:
        name = pushed(sandbox, make_raw_layout(tmp_path / "image", b"text"), "1")
        assert "is no image but an artifact" in refused(f"{name}:1", "docker-archive:d.tar", cwd=tmp_path, code=3)

    def test_a_layer_that_is_kept_elsewhere_is_left_out_of_a_layout_and_refused_for_docker(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        writer = LayoutWriter(tmp_path / "image")
        foreign = {
            "mediaType": media.FOREIGN_LAYER_GZIP[1],
            "digest": str(Digest.of(layer(2))),
            "size": len(layer(2)),
            "urls": ["https://elsewhere.example/layer"],
        }
        config = writer.put(config_of(layer(2)), media.OCI_CONFIG)
        image = writer.close(writer.manifest({"config": config, "layers": [foreign]}, media.OCI_MANIFEST))
        name = pushed(sandbox, image, "1")
        pulled(f"{name}:1", "oci:out", cwd=tmp_path)
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)
        assert "is kept elsewhere" in refused(f"{name}:1", "docker-archive:d.tar", cwd=tmp_path, code=3)

    def test_a_digest_has_no_name_in_a_docker_archive(self, sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
        name = pushed(sandbox, image, "1")
        pulled(f"{name}@{image.digest}", "docker-archive:d.tar", cwd=tmp_path)
        assert json.loads(members(tmp_path / "d.tar")["manifest.json"])[0]["RepoTags"] == []

    def test_sha512_names_are_too_long_for_a_plain_header_and_read_back(self, tmp_path: Path) -> None:
        writer = LayoutWriter(tmp_path / "image")
        described = [writer.put(gzip.compress(layer(1), mtime=0), media.OCI_LAYER_GZIP, "sha512")]
        config = writer.put(config_of(layer(1)), media.OCI_CONFIG)
        writer.close(writer.manifest({"config": config, "layers": described}, media.OCI_MANIFEST))
        pulled("oci:image", "oci-archive:a.tar", cwd=tmp_path)
        assert ": whole (" in program("check", "oci-archive:a.tar", cwd=tmp_path).stdout

    def test_an_archive_that_is_there_stays_where_a_new_one_fails(
        self, sandbox: Sandbox, image: Layout, tmp_path: Path
    ) -> None:
        name = pushed(sandbox, image, "1")
        (tmp_path / "a.tar").write_text("before")
        sandbox.faults.add(Fault(method="GET", path="/blobs/", action=Answer(404, code="BLOB_UNKNOWN"), times=0))
        assert "BLOB_UNKNOWN" in refused(f"{name}:1", "oci-archive:a.tar", cwd=tmp_path, code=5)
        assert (tmp_path / "a.tar").read_text() == "before"
        assert sorted(os.listdir(tmp_path)) == ["a.tar", "home", "image"]


class TestBreaks:
    def test_a_download_that_breaks_goes_on_where_it_stopped(self, sandbox: Sandbox, tmp_path: Path) -> None:
        image = make_raw_layout(tmp_path / "image", noise(3_000_000))
        name = pushed(sandbox, image, "1")
        large = max(image.blobs, key=image.blobs.__getitem__)
        sandbox.faults.add(Fault(method="GET", path=large, action=TruncateReply(1_000_000)))
        pulled(f"{name}:1", "oci:out", cwd=tmp_path)
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)
        ranges = [one.headers.get("range") for one in sandbox.traffic.select(method="GET", path_pattern=large)]
        assert ranges[0] is None
        assert [start_of(one) > 500_000 for one in ranges[1:]] == [True]

    def test_the_next_run_goes_on_with_what_one_has_left(self, sandbox: Sandbox, tmp_path: Path) -> None:
        image = make_raw_layout(tmp_path / "image", noise(3_000_000))
        name = pushed(sandbox, image, "1")
        large = max(image.blobs, key=image.blobs.__getitem__)
        broken = [
            Fault(method="GET", path=large, action=TruncateReply(1_000_000)),
            Fault(method="GET", path=large, action=Answer(403, code="DENIED"), nth=2),
        ]
        for one in broken:
            sandbox.faults.add(one)
        refused(f"{name}:1", "oci:out", cwd=tmp_path, code=5)
        assert not (tmp_path / "out/index.json").exists()
        sandbox.traffic.clear()
        pulled(f"{name}:1", "oci:out", cwd=tmp_path)
        (again,) = sandbox.traffic.select(method="GET", path_pattern=large)
        assert start_of(again.headers.get("range")) > 500_000
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)
        assert leftovers(tmp_path / "out") == []

    def test_what_was_left_and_is_damaged_is_fetched_anew(
        self, sandbox: Sandbox, image: Layout, tmp_path: Path
    ) -> None:
        name = pushed(sandbox, image, "1")
        large = max(image.blobs, key=image.blobs.__getitem__)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / f".oci-push-{large.replace(':', '-')}").write_bytes(b"x" * 1000)
        pulled(f"{name}:1", "oci:out", cwd=tmp_path)
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)
        assert leftovers(tmp_path / "out") == []

    @pytest.mark.parametrize("is_damaged", [False, True])
    def test_what_was_left_when_all_of_it_had_come_is_not_in_the_way(
        self, sandbox: Sandbox, image: Layout, tmp_path: Path, is_damaged: bool
    ) -> None:
        name = pushed(sandbox, image, "1")
        large = max(image.blobs, key=image.blobs.__getitem__)
        content = (image.path / "blobs" / large.replace(":", "/")).read_bytes()
        (tmp_path / "out").mkdir()
        part = tmp_path / "out" / f".oci-push-{large.replace(':', '-')}"
        part.write_bytes(content[:-1] + b"x" if is_damaged else content)
        pulled(f"{name}:1", "oci:out", cwd=tmp_path)
        assert sandbox.traffic.count(method="GET", path_pattern=large) == is_damaged
        assert blobs_in(tmp_path / "out") == blobs_in(image.path)
        assert leftovers(tmp_path / "out") == []

    def test_what_was_left_beside_a_whole_blob_is_cleared_away(
        self, sandbox: Sandbox, image: Layout, tmp_path: Path
    ) -> None:
        name = pushed(sandbox, image, "1")
        pulled(f"{name}:1", "oci:out", cwd=tmp_path)
        large = max(image.blobs, key=image.blobs.__getitem__)
        (tmp_path / "out" / f".oci-push-{large.replace(':', '-')}").touch()
        pulled(f"{name}:1", "oci:out", cwd=tmp_path)
        assert leftovers(tmp_path / "out") == []

    def test_one_of_several_that_fails_is_told_and_the_others_are_saved(
        self, sandbox: Sandbox, image: Layout, tmp_path: Path
    ) -> None:
        name = pushed(sandbox, image, "1")
        done = program("pull", f"{name}:gone", f"{name}:1", "oci:out", "--json", cwd=tmp_path, code=1)
        check_json(done.stdout, Pull)
        assert [bool(one["error"]) for one in json.loads(done.stdout)["images"]] == [True, False]
        assert set(names_of(tmp_path / "out")) == {"1"}

    @pytest.mark.parametrize("there", ["", "some", "some/where"])
    def test_one_that_fails_leaves_no_folder_that_was_not_there(
        self, there: str, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        (tmp_path / there).mkdir(parents=True, exist_ok=True)
        told = refused(f"{sandbox.address}/team/app:gone", "oci:some/where", cwd=tmp_path, code=5)
        assert "hint: see what there is with oci-push tags" in told
        left = [name for name in ("some", "some/where") if (tmp_path / name).exists()]
        assert left == [name for name in ("some", "some/where") if there.startswith(name)]
        assert not list(tmp_path.glob("some/where/*"))


class TestRefusals:
    def test_without_a_target_the_forms_are_told(self, tmp_path: Path) -> None:
        for words in (["registry.example.com/app:1"], ["registry.example.com/app:1", "registry.example.com/app:2"]):
            told = refused(*words, cwd=tmp_path, code=2)
            assert "there is no TARGET" in told
            assert "oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]" in told
        assert "write oci:out" in refused("registry.example.com/app:1", "out", cwd=tmp_path, code=2)
        assert "nothing is named" in refused("oci:out", cwd=tmp_path, code=2)

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["oci:file"], "is a file"),
            (["oci:file/below"], "a part of the path is a file"),
            (["oci:full"], "holds other files"),
            (["oci:/proc/nowhere"], "cannot be written"),
            (["oci:broken"], "index.json manifests[0] has no digest"),
            (["oci:old"], "layout version '2.0.0' is not supported"),
            (["oci-archive:full"], "is a folder"),
            (["oci-archive:nowhere/a.tar"], "there is no folder"),
            (["oci-archive:/dev/null"], "is no file"),
            (["oci:-"], "write oci-archive:-"),
            (["oci://registry.example.com/app"], "for a registry write"),
            (["oci:out:a b"], "cannot be a name"),
            (["docker-archive:a.tar:Team/app"], "did you mean 'team/app'"),
            (["docker-archive:a.tar", "--referrers"], "no effect"),
            (["oci-archive:a.tar", "--verify"], "no effect"),
            (["oci-archive:-", "--json"], "cannot both go to stdout"),
            (["oci:out", "--sparse"], "needs --platform"),
        ],
    )
    def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(
        self, words: list[str], told: str, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        for name, entries in (("full", ""), ("broken", '{"manifests":[{"mediaType":"a"}]}'), ("old", "")):
            (tmp_path / name).mkdir()
            (tmp_path / name / ("index.json" if entries else "x")).write_text(entries)
        (tmp_path / "broken/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (tmp_path / "old/oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}')
        before = sorted(tmp_path.rglob("*"))
        assert told in refused(f"{sandbox.address}/team/app:1", *words, cwd=tmp_path, code=2)
        assert asked(sandbox) == []
        assert sorted(tmp_path.rglob("*")) == before

    def test_two_images_cannot_have_one_name(self, sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
        name = pushed(sandbox, image, "1", "2")
        assert "names one image" in refused(f"{name}:1", f"{name}:2", "oci:out:x", cwd=tmp_path, code=2)
        told = refused("oci:image:latest", f"{name}:latest", "oci:out", cwd=tmp_path, code=2)
        assert "would both be called 'latest'" in told

    def test_all_tags_is_of_repositories(self, sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
        name = pushed(sandbox, image, "1")
        assert "which names tags" in refused(f"{name}:1", "--all-tags", "oci:out", cwd=tmp_path, code=2)
        assert "no repository of a registry" in refused("oci:image", "--all-tags", "oci:out", cwd=tmp_path, code=2)
        assert "has no tags that match 3.*" in refused(f"{name}:3.*", "oci:out", cwd=tmp_path, code=5)
