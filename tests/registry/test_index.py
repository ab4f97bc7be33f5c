"""index create, add, remove, annotate: what is listed, what is sent for it, what stays, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from around import asked, image, pushed, short, two_platforms
from equipment.faults import Answer, Fault, Stall
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, config_of, docker_archive, layer, make_layout, make_raw_layout
from program import program
from published import check_json

from oci_push.engine.editing.index_store import IndexChange
from oci_push.model import media
from oci_push.model.digest import Digest


def one_image(path: Path, architecture: str, *, seed: int = 9, **config: object) -> Layout:
    """Write an image that no index describes."""
    writer = LayoutWriter(path)
    packed = writer.put(layer(seed), media.OCI_LAYER)
    rootfs = {"type": "layers", "diff_ids": [str(Digest.of(layer(seed)))]}
    text = json.dumps({"os": "linux", "architecture": architecture, "rootfs": rootfs, **config})
    stored = writer.put(text.encode(), media.OCI_CONFIG)
    return writer.close(writer.manifest({"config": stored, "layers": [packed]}, media.OCI_MANIFEST))


def attested(path: Path) -> tuple[Layout, dict[str, Any], dict[str, Any]]:
    """Write an index as BuildKit does, with an attestation and fields that nobody knows; give its two children."""
    writer = LayoutWriter(path)
    built = {**image(writer, "amd64", layer(1), created="2026-01-02T03:04:05Z"), "com.example.field": {"a": [1]}}
    about = {"vnd.docker.reference.digest": built["digest"], "vnd.docker.reference.type": "attestation-manifest"}
    proof = {**image(writer, "unknown", layer(5), created="2026-01-02T03:04:05Z"), "annotations": about}
    proof["platform"] = {"os": "unknown", "architecture": "unknown"}
    other = image(writer, "arm64", layer(6), created="2026-01-02T03:04:05Z")
    return writer.close(writer.index(built, proof, other, **{"com.example.index": "kept"})), built, proof


def stored(sandbox: Sandbox, tag: str, repository: str = "team/app") -> dict[str, Any]:
    """Give the manifest that a tag names."""
    found: dict[str, Any] = json.loads(sandbox.store.manifest(repository, tag) or b"")
    return found


def digests(index: dict[str, Any]) -> list[str]:
    return [one["digest"] for one in index["manifests"]]


def test_images_of_the_own_repository_are_read_and_nothing_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    amd, arm = one_image(tmp_path / "amd", "amd64"), one_image(tmp_path / "arm", "arm", seed=8, variant="v7")
    name = pushed(sandbox, amd, "amd")
    pushed(sandbox, arm, "arm")
    done = program("index", "create", f"{name}:1", f"{name}:amd", f"{name}:arm", cwd=tmp_path)
    assert stored(sandbox, "1")["manifests"] == [
        {
            "mediaType": media.OCI_MANIFEST,
            "digest": amd.digest,
            "size": len(sandbox.store.manifest("team/app", "amd") or b""),
            "platform": {"architecture": "amd64", "os": "linux"},
        },
        {
            "mediaType": media.OCI_MANIFEST,
            "digest": arm.digest,
            "size": len(sandbox.store.manifest("team/app", "arm") or b""),
            "platform": {"architecture": "arm", "os": "linux", "variant": "v7"},
        },
    ]
    digest = Digest.of(sandbox.store.manifest("team/app", "1") or b"")
    assert done.stdout.splitlines() == [
        f"{name}:1  {digest}",
        f"  there    linux/amd64   {amd.digest}",
        f"  there    linux/arm/v7  {arm.digest}",
    ]
    requests = asked(sandbox)
    assert [one for one in requests if "manifests" in one] == [
        "GET team/app/manifests/amd",
        "GET team/app/manifests/arm",
        "PUT team/app/manifests/1",
    ]
    assert [one.split()[0] for one in requests if "blobs" in one] == ["GET", "GET"]  # the two configs
    program("index", "create", f"{name}:2,latest", f"{name}:amd", f"{name}:arm", cwd=tmp_path)
    assert stored(sandbox, "2") == stored(sandbox, "latest") == stored(sandbox, "1")


def test_children_of_an_index_of_the_own_repository_cost_one_head_each(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "both")
    program("index", "create", f"{name}:1", f"{name}:both", cwd=tmp_path)
    first, second = digests(stored(sandbox, "1"))
    requests = asked(sandbox)
    assert requests[0] == "GET team/app/manifests/both"
    assert sorted(requests[1:-1]) == sorted(f"HEAD team/app/manifests/{short(one)}" for one in (first, second))
    assert requests[-1] == "PUT team/app/manifests/1"
    assert stored(sandbox, "1")["manifests"] == stored(sandbox, "both")["manifests"]


def test_images_of_another_repository_are_mounted(sandbox: Sandbox, tmp_path: Path) -> None:
    other = pushed(sandbox, two_platforms(tmp_path / "image"), "both", repository="other/app")
    own = pushed(sandbox, one_image(tmp_path / "riscv", "riscv64"), "riscv")
    printed = program("index", "create", f"{own}:1", f"{own}:riscv", f"{other}:both", "--json", cwd=tmp_path).stdout
    check_json(printed, IndexChange)
    outcomes = {one["platform"]: one["outcome"] for one in json.loads(printed)["children"]}
    assert outcomes == {"linux/riscv64": "there", "linux/amd64": "brought", "linux/arm64": "brought"}
    assert not sandbox.traffic.count(method="PATCH")
    assert not [one for one in sandbox.traffic.requests if one.method == "PUT" and "uploads" in one.path]
    assert sandbox.store.tags("team/app") == ("1", "riscv")
    program("check", f"{own}:1", cwd=tmp_path)
    sandbox.traffic.clear()
    again = program("index", "create", f"{own}:1", f"{own}:riscv", f"{other}:both", "--json", cwd=tmp_path).stdout
    assert {one["outcome"] for one in json.loads(again)["children"]} == {"there"}
    assert not sandbox.traffic.count(method="POST")


def test_files_are_brought_and_may_be_said_to_run_on_something(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(docker_archive(("l", layer(2)), config=config_of(layer(2)), paths=["l"]))
    two_platforms(tmp_path / "layout")
    name = f"{sandbox.address}/team/app"
    words = ("oci:layout", "image.tar=linux/arm/v7", "--annotation", "a=b=c", "--artifact-type", "application/x")
    program("index", "create", f"{name}:1", *words, cwd=tmp_path)
    index = stored(sandbox, "1")
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64", "arm"]
    assert index["manifests"][2]["platform"] == {"architecture": "arm", "os": "linux", "variant": "v7"}
    assert (index["annotations"], index["artifactType"]) == ({"a": "b=c"}, "application/x")
    program("check", f"{name}:1", cwd=tmp_path)


def test_what_a_config_says_of_its_system_is_all_in_the_index(sandbox: Sandbox, tmp_path: Path) -> None:
    said = {"os": "windows", "os.version": "10.0.1", "os.features": ["win32k"]}
    one_image(tmp_path / "win", "amd64", **said)
    program("index", "create", f"{sandbox.address}/team/app:1", "oci:win", cwd=tmp_path)
    assert stored(sandbox, "1")["manifests"][0]["platform"] == {"architecture": "amd64", **said}


def test_an_index_goes_in_whole_where_it_is_to_be_nested(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "layout")
    program("index", "create", f"{sandbox.address}/team/app:1", "oci:layout", "--nested", cwd=tmp_path)
    (child,) = stored(sandbox, "1")["manifests"]
    assert (child["mediaType"], child["digest"]) == (media.OCI_INDEX, layout.digest)
    program("check", f"{sandbox.address}/team/app:1", cwd=tmp_path)


def test_of_an_index_only_some_images_with_their_attestations(sandbox: Sandbox, tmp_path: Path) -> None:
    layout, built, proof = attested(tmp_path / "layout")
    name = pushed(sandbox, layout, "all")
    program("index", "create", f"{name}:1", f"{name}:all", "--platform", "linux/amd64", cwd=tmp_path)
    assert stored(sandbox, "1")["manifests"] == [built, proof]
    failed = program("index", "create", f"{name}:1", f"{name}:all", "--platform", "linux/s390x", cwd=tmp_path, code=2)
    assert "--platform linux/s390x: no image that was named is for it" in failed.stderr


def test_an_index_refers_to_an_image_of_its_repository(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "layout")
    name = pushed(sandbox, layout, "all")
    program("index", "create", f"{name}:1", f"{name}:all", "--subject", "all", cwd=tmp_path)
    assert stored(sandbox, "1")["subject"]["digest"] == layout.digest
    shown = json.loads(program("inspect", f"{name}:all", "--json", cwd=tmp_path).stdout)
    assert [one["digest"] for one in shown["image"]["referrers"]] == [
        str(Digest.of(sandbox.store.manifest("team/app", "1") or b""))
    ]
    program("index", "create", f"{name}:2", f"{name}:all", "--subject", "none", cwd=tmp_path, code=5)


def test_a_docker_list_has_docker_images_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(docker_archive(("l", layer(2)), config=config_of(layer(2)), paths=["l"]))
    make_layout(tmp_path / "oci", layer(1))
    name = f"{sandbox.address}/team/app"
    program("index", "create", f"{name}:1", "image.tar", "--docker", cwd=tmp_path)
    assert stored(sandbox, "1")["mediaType"] == media.DOCKER_LIST
    assert stored(sandbox, "1")["manifests"][0]["mediaType"] == media.DOCKER_MANIFEST
    sandbox.traffic.clear()
    for words, message in {
        ("create", f"{name}:2", "oci:oci", "--docker"): "has docker images alone",
        ("create", f"{name}:2", "image.tar", "--docker", "--annotation", "a=b"): "--annotation has no effect",
        ("add", f"{name}:1", "oci:oci=linux/arm64"): "has docker images alone",
        ("annotate", f"{name}:1", "a=b"): "has no annotations",
    }.items():
        assert message in program("index", *words, cwd=tmp_path, code=2).stderr
    assert not sandbox.traffic.count(method="PUT")
    # What is no annotation can be changed, and it stays docker's.
    program("index", "annotate", f"{name}:1", "--child", "linux/amd64", "--os-version", "10", cwd=tmp_path)
    assert stored(sandbox, "1")["mediaType"] == media.DOCKER_LIST
    assert stored(sandbox, "1")["manifests"][0]["platform"]["os.version"] == "10"


def test_two_images_for_one_platform_are_refused_and_the_same_one_is_listed_once(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    one_image(tmp_path / "one", "arm64")
    one_image(tmp_path / "two", "arm64", seed=7, variant="v8")
    name = f"{sandbox.address}/team/app"
    failed = program("index", "create", f"{name}:1", "oci:one", "oci:two", cwd=tmp_path, code=2).stderr
    assert "linux/arm64/v8 is there twice" in failed
    assert not sandbox.traffic.count(method="PUT")
    program("index", "create", f"{name}:1", "oci:one", "oci:one", "oci:two=linux/arm64/v9", cwd=tmp_path)
    assert [one["platform"].get("variant") for one in stored(sandbox, "1")["manifests"]] == [None, "v9"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create", "HOST/a:1", "oci:layout=linux/arm"), "is an index, and linux/arm says what one image runs on"),
        (("create", "HOST/a:1", "-", "-"), "stdin can be read once"),
        (("create", "HOST/a:1", "oci:layout", "--annotation", "a"), "--annotation 'a': has no value"),
        (("create", "HOST/a:1", "oci:layout", "--artifact-type", "a b"), "--artifact-type 'a b' is no media type"),
        (("create", "HOST/a:1", "oci:layout", "--nested", "--platform", "a/b"), "--platform has no effect"),
        (("create", "HOST/a:1", "oci:layout", "--platform", "arm"), "'arm' is not a platform"),
        (("create", "HOST/a:1", "oci:layout", "--subject", "sha256:abc"), "sha256 digest must be 64"),
        (("create", "HOST/a:1", "oci:layout", "--subject", "HOST/b:1"), "lies in another repository than"),
        (("create", "HOST/a:1", "HOST/BAD:1"), "is not a repository name"),
        (("create", "HOST/a:1", "oci:mute"), "its config does not say what it runs on"),
        (("annotate", "HOST/a", "--variant", "v7"), "are about a --child"),
        (("annotate", "HOST/a"), "nothing is to be changed"),
        (("annotate", "HOST/a", "a=b", "a-"), "annotation 'a' is there twice"),
        (("annotate", "HOST/a", "a=b", "--tag", "x:y"), "--tag: tag 'x:y'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(
    words: tuple[str, ...], message: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    two_platforms(tmp_path / "layout")
    one_image(tmp_path / "mute", "")
    failed = program("index", *(one.replace("HOST", sandbox.address) for one in words), cwd=tmp_path, code=2)
    assert message in failed.stderr
    assert not sandbox.traffic.requests


def test_an_image_is_added_and_replaced_in_its_place(sandbox: Sandbox, tmp_path: Path) -> None:
    layout, _, _ = attested(tmp_path / "layout")
    name = pushed(sandbox, layout, "1")
    new, arm = one_image(tmp_path / "new", "amd64"), one_image(tmp_path / "arm", "arm")
    refused = program("index", "add", f"{name}:1", "oci:new", cwd=tmp_path, code=2).stderr
    assert "linux/amd64 is there twice" in refused
    assert "--replace" in refused
    assert not sandbox.traffic.count(method="PUT")
    done = program("index", "add", f"{name}:1", "oci:new", "oci:arm", "--replace", "--json", cwd=tmp_path).stdout
    check_json(done, IndexChange)
    listed = [(one["platform"], one["outcome"]) for one in json.loads(done)["children"]]
    assert listed == [
        ("linux/amd64", "brought"),
        ("linux/arm64", "kept"),
        ("linux/arm", "brought"),
        ("linux/amd64", "removed"),
        (None, "removed"),
    ]
    index = stored(sandbox, "1")
    assert digests(index)[::2] == [new.digest, arm.digest]
    assert index["com.example.index"] == "kept"
    program("check", f"{name}:1", cwd=tmp_path)


def test_what_is_attached_goes_with_its_image_and_all_else_stays_as_it_was(sandbox: Sandbox, tmp_path: Path) -> None:
    layout, built, proof = attested(tmp_path / "layout")
    name = pushed(sandbox, layout, "1")
    other = stored(sandbox, "1")["manifests"][2]
    program("index", "remove", f"{name}:1", "linux/amd64", "--tag", "arm", cwd=tmp_path)
    assert (
        sandbox.store.manifest("team/app", "1")
        == (tmp_path / "layout/blobs" / layout.digest.replace(":", "/")).read_bytes()
    )
    assert stored(sandbox, "arm") == {**stored(sandbox, "1"), "manifests": [other]}
    program("index", "remove", f"{name}:1", str(other["digest"]), cwd=tmp_path)
    assert stored(sandbox, "1")["manifests"] == [built, proof]


def test_one_image_for_two_platforms_may_go_from_one_of_them(sandbox: Sandbox, tmp_path: Path) -> None:
    one_image(tmp_path / "one", "arm64")
    name = f"{sandbox.address}/team/app:1"
    program("index", "create", name, "oci:one", "oci:one=linux/arm", cwd=tmp_path)
    done = program("index", "remove", name, "linux/arm", "--json", cwd=tmp_path).stdout
    assert [(one["platform"], one["outcome"]) for one in json.loads(done)["children"]] == [
        ("linux/arm64", "kept"),
        ("linux/arm", "removed"),
    ]


def test_nothing_is_removed_where_one_thing_is_not_there_or_nothing_would_be_left(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    name = pushed(sandbox, two_platforms(tmp_path / "layout"), "1")
    missing = program("index", "remove", f"{name}:1", "linux/amd64", "linux/arm", cwd=tmp_path, code=2).stderr
    assert "lists nothing for linux/arm" in missing
    assert "it has: linux/amd64, linux/arm64" in missing
    empty = program("index", "remove", f"{name}:1", "linux/amd64", "linux/arm64", cwd=tmp_path, code=2).stderr
    assert "would have no image left" in empty
    assert not sandbox.traffic.count(method="PUT")


def test_annotations_are_set_and_taken_away_and_the_images_stay(sandbox: Sandbox, tmp_path: Path) -> None:
    layout, built, proof = attested(tmp_path / "layout")
    name = pushed(sandbox, layout, "1")
    program("index", "annotate", f"{name}:1", "a=1", "b=", cwd=tmp_path)
    assert stored(sandbox, "1")["annotations"] == {"a": "1", "b": ""}
    words = ("--child", "linux/amd64", "--variant", "v3", "--os-features", "x,y", "c=d")
    program("index", "annotate", f"{name}:1", *words, cwd=tmp_path)
    index = stored(sandbox, "1")
    platform = {"os": "linux", "architecture": "amd64", "variant": "v3", "os.features": ["x", "y"]}
    assert index["manifests"][0] == {**built, "platform": platform, "annotations": {"c": "d"}}
    assert index["manifests"][1] == proof
    program("index", "annotate", f"{name}:1", "a-", "b-", cwd=tmp_path)
    words = ("--child", str(built["digest"]), "--variant", "-", "--os-features", "-", "c-")
    program("index", "annotate", f"{name}:1", *words, cwd=tmp_path)
    raw = (tmp_path / "layout/blobs" / layout.digest.replace(":", "/")).read_bytes()
    assert stored(sandbox, "1") == json.loads(raw)


def test_what_says_it_already_is_neither_stored_nor_another(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "layout")
    name = pushed(sandbox, layout, "1")
    done = program("index", "annotate", f"{name}:1", "a-", cwd=tmp_path)
    assert "nothing to change" in done.stderr
    assert asked(sandbox) == ["GET team/app/manifests/1"]
    program("index", "annotate", f"{name}:1", "a-", "--tag", "2", cwd=tmp_path)
    assert sandbox.store.manifest("team/app", "2") == sandbox.store.manifest("team/app", "1")


def test_what_another_has_written_meanwhile_is_changed_and_not_overwritten(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "layout")
    name = pushed(sandbox, layout, "1")
    moved = {"Docker-Content-Digest": str(Digest.of(b"another")), "Content-Type": media.OCI_INDEX}
    sandbox.faults.add(Fault(method="HEAD", path="manifests/1$", action=Answer(200, headers=moved)))
    program("index", "annotate", f"{name}:1", "a=b", cwd=tmp_path)
    assert [one for one in asked(sandbox) if one.endswith("manifests/1")] == [
        "GET team/app/manifests/1",
        "HEAD team/app/manifests/1",
        "GET team/app/manifests/1",
        "HEAD team/app/manifests/1",
        "PUT team/app/manifests/1",
    ]
    assert stored(sandbox, "1")["annotations"] == {"a": "b"}


def test_an_image_that_was_overwritten_is_added_again_where_the_index_is_shared(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    layout = two_platforms(tmp_path / "layout")
    name = pushed(sandbox, layout, "1")
    arm = one_image(tmp_path / "arm", "arm")
    raw = sandbox.store.manifest("team/app", "1") or b""
    # What is looked at again is what another has written who had read before us.
    said = {"Content-Type": media.OCI_INDEX, "Docker-Content-Digest": layout.digest}
    for method, body in (("GET", raw), ("HEAD", b"")):
        sandbox.faults.add(Fault(method=method, path="manifests/1$", action=Answer(200, said, body), nth=2))
    done = program("index", "add", f"{name}:1", "oci:arm", "--shared", "--json", cwd=tmp_path).stdout
    assert [one["outcome"] for one in json.loads(done)["children"]] == ["kept", "kept", "brought"]
    assert digests(stored(sandbox, "1"))[2] == arm.digest
    tagged = [one.split()[0] for one in asked(sandbox) if one.endswith("manifests/1")]
    assert tagged == ["GET", "HEAD", "PUT", "GET", "HEAD", "PUT", "GET", "GET"]


def test_four_jobs_add_to_one_index_at_once_and_no_image_is_lost(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, two_platforms(tmp_path / "layout"), "1")
    architectures = ("arm", "ppc64le", "riscv64", "s390x")
    made = {one: one_image(tmp_path / one, one, seed=20 + place) for place, one in enumerate(architectures)}
    # Each has looked before the first of them has written.
    sandbox.faults.add(Fault(method="PUT", path="manifests/1$", action=Stall(0.3), times=4))
    words = [sys.executable, "-m", "oci_push", "index", "add", f"{name}:1", "--shared", "-q"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}
    jobs = [subprocess.Popen([*words, f"oci:{one}"], cwd=tmp_path, env=env) for one in architectures]
    assert [job.wait(60) for job in jobs] == [0, 0, 0, 0]
    listed = digests(stored(sandbox, "1"))
    assert len(listed) == 6
    assert set(listed) > {one.digest for one in made.values()}


def test_what_is_about_the_old_digest_is_told_of(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "layout")
    name = pushed(sandbox, layout, "1")
    program("tag", f"{name}:1", f"{layout.digest.replace(':', '-')}.sig", cwd=tmp_path)
    told = program("index", "annotate", f"{name}:1", "a=b", cwd=tmp_path).stderr
    assert f".sig is about {layout.digest}" in told
    assert "became sha256:" in told


def test_an_image_is_no_index_and_a_digest_gets_no_tag(sandbox: Sandbox, tmp_path: Path) -> None:
    one = make_layout(tmp_path / "one", layer(1))
    name = pushed(sandbox, one, "one")
    assert "is one image" in program("index", "add", f"{name}:one", "oci:one", cwd=tmp_path, code=2).stderr
    layout = two_platforms(tmp_path / "layout")
    pushed(sandbox, layout, "1")
    done = program("index", "annotate", f"{name}@{layout.digest}", "a=b", cwd=tmp_path)
    made = done.stdout.split("@")[1].split()[0]
    assert json.loads(sandbox.store.manifest("team/app", made) or b"")["annotations"] == {"a": "b"}
    assert "it has no tag" in done.stderr
    assert sandbox.store.tags("team/app") == ("1", "one")


def test_a_dry_run_prints_the_index_and_writes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, two_platforms(tmp_path / "layout"), "1")
    arm = one_image(tmp_path / "arm", "arm")
    for words, count in {
        ("create", f"{name}:2", f"{name}:1", "oci:arm"): 3,
        ("add", f"{name}:1", "oci:arm"): 3,
        ("remove", f"{name}:1", "linux/amd64"): 1,
        ("annotate", f"{name}:1", "a=b"): 2,
    }.items():
        shown = program("index", *words, "--dry-run", cwd=tmp_path).stdout
        assert len(json.loads(shown)["manifests"]) == count
    assert {one.method for one in sandbox.traffic.requests} == {"GET"}
    shown = program("index", "create", f"{name}:2", "oci:arm", "--dry-run", "-q", cwd=tmp_path).stdout
    done = program("index", "create", f"{name}:2", "oci:arm", "-q", cwd=tmp_path)
    assert f"{name}:2  {Digest.of(shown.encode())}" in done.stdout
    assert arm.digest in done.stdout
    assert done.stderr == ""


def test_what_an_index_lists_and_is_no_manifest_is_brought_as_a_blob(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    stray = writer.put(b"any bytes", "text/plain")
    writer.close(writer.index(image(writer, "amd64", layer(1), created="2026-01-02T03:04:05Z"), stray))
    name = f"{sandbox.address}/team/app:1"
    # The sandbox, as distribution, takes no index that lists it; it is there all the same, and is not sent again.
    for uploads in (3, 0):
        sandbox.traffic.clear()
        failed = program("index", "create", name, "oci:layout", cwd=tmp_path, code=5).stderr
        assert "MANIFEST_BLOB_UNKNOWN" in failed
        assert sandbox.store.blob_exists("team/app", str(stray["digest"]))
        assert sandbox.traffic.count(method="POST") == uploads


def test_a_kind_of_manifest_that_nobody_knows_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    odd = writer.put(b"{}", "application/vnd.example.manifest.v9+json")
    writer.close(writer.index(odd))
    failed = program("index", "create", f"{sandbox.address}/a:1", "oci:layout", cwd=tmp_path, code=2).stderr
    assert "of type application/vnd.example.manifest.v9+json, which cannot be pushed" in failed
    assert not sandbox.traffic.count(method="PUT")


def test_an_artifact_is_listed_without_a_platform(sandbox: Sandbox, tmp_path: Path) -> None:
    one = make_raw_layout(tmp_path / "artifact", b"any")
    program("index", "create", f"{sandbox.address}/team/app:1", "oci:artifact", cwd=tmp_path)
    (child,) = stored(sandbox, "1")["manifests"]
    assert (child["digest"], "platform" in child) == (one.digest, False)


def test_a_child_that_its_own_repository_lost_stops_it_and_so_does_one_that_cannot_be_sent(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    layout = two_platforms(tmp_path / "layout")
    name = pushed(sandbox, layout, "1")
    sandbox.store.remove_manifest("team/app", Digest.parse(stored(sandbox, "1")["manifests"][0]["digest"]))
    lost = program("index", "create", f"{name}:2", f"{name}:1", cwd=tmp_path, code=5).stderr
    assert "is not there, so no index can list it" in lost
    one_image(tmp_path / "arm", "arm")
    sandbox.faults.add(Fault(method="PUT", path="manifests/sha256:", action=Answer(403, code="DENIED"), times=0))
    refused = program("index", "add", f"{name}:1", "oci:arm", cwd=tmp_path, code=5).stderr
    assert "403 DENIED" in refused
    assert program("digest", f"{name}:1", cwd=tmp_path).stdout.strip() == layout.digest


def test_an_entry_is_not_made_one_for_the_platform_of_another(sandbox: Sandbox, tmp_path: Path) -> None:
    one_image(tmp_path / "one", "arm")
    name = f"{sandbox.address}/team/app:1"
    program("index", "create", name, "oci:one=linux/arm/v6", "oci:one=linux/arm/v7", cwd=tmp_path)
    words = ("index", "annotate", name, "--child", "linux/arm/v6", "--variant", "v7")
    assert "linux/arm/v7 would be there twice" in program(*words, cwd=tmp_path, code=2).stderr


def test_what_is_not_there_or_cannot_be_written_again_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, two_platforms(tmp_path / "layout"), "1")
    missing = program("index", "add", f"{name}:none", "oci:layout", cwd=tmp_path, code=5).stderr
    assert "oci-push index create makes an index" in missing
    assert (
        "sha256 digest must be 64" in program("index", "remove", f"{name}:1", "sha256:a", cwd=tmp_path, code=2).stderr
    )
    raw = (sandbox.store.manifest("team/app", "1") or b"")[:-1] + b',"x":"\\ud800"}'
    writer = LayoutWriter(tmp_path / "odd")
    shutil.copytree(tmp_path / "layout" / "blobs", tmp_path / "odd" / "blobs")
    pushed(sandbox, writer.close(writer.put(raw, media.OCI_INDEX)), "odd")
    failed = program("index", "annotate", f"{name}:odd", "a=b", cwd=tmp_path, code=2).stderr
    assert "half a character" in failed
