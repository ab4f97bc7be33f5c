"""inspect, digest, exists and diff: what they show, and that nothing is asked for that it does not take."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from around import asked, children_of, pushed, short, two_platforms
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import LayoutWriter, layer, make_layout, tar_folder
from program import program
from published import check_json

from oci_push.engine.looking.compare import Diff
from oci_push.engine.looking.existence import Existence, NamedDigest
from oci_push.engine.looking.inspect import Inspection
from oci_push.model import media
from oci_push.model.artifact import make_artifact
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.protocol.referrers import fallback_tag


def run(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    return program(*words, cwd=cwd, code=code)


def test_an_index_is_shown_with_platforms_layers_config_and_history(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image", Entrypoint=["/run", "a b"], Labels={"org.x": "y"})
    name = pushed(sandbox, layout, "1")
    text = run("inspect", f"{name}:1", cwd=tmp_path).stdout
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:2] == [f"{name}:1", f"digest       {layout.digest}"] or lines[1].split() == ["digest", layout.digest]
    for wanted in ("linux/amd64", "linux/arm64", "(none)  ENV PATH=/bin", "layers"):
        assert wanted in lines
    for words in (
        "entrypoint /run 'a b'",
        "env PATH=/bin",
        "labels org.x=y",
        "annotations team=a",
        "user 1000",
        "created 2026-01-02T03:04:05Z",
        "referrers none",
        "signatures none",
    ):
        assert words in [" ".join(line.split()) for line in lines]
    assert sum(line.endswith("RUN step-1") for line in lines) == 2


def test_inspecting_asks_for_each_thing_once(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    run("inspect", f"{name}:1", cwd=tmp_path)
    kinds = asked(sandbox)
    assert len(kinds) == len(set(kinds))
    gets = [one for one in kinds if "/manifests/" in one and one.startswith("GET")]
    assert sorted(gets) == sorted(
        f"GET team/app/manifests/{one}" for one in ("1", *(short(c["digest"]) for c in children_of(layout)))
    )
    assert len([one for one in kinds if "/blobs/" in one]) == 2  # the configs, and no layer
    assert len([one for one in kinds if "/referrers/" in one]) == 3
    assert len([one for one in kinds if one.startswith("HEAD")]) == 9  # .sig, .att and .sbom of each


def test_without_referrers_nothing_is_asked_about_them(sandbox: Sandbox, tmp_path: Path) -> None:
    name = pushed(sandbox, make_layout(tmp_path / "image", layer(1)), "1")
    shown = run("inspect", f"{name}:1", "--no-referrers", cwd=tmp_path).stdout
    assert [one.split("/manifests")[0].split("/blobs")[0] for one in asked(sandbox)] == ["GET team/app"] * 2
    assert "referrers" not in shown


def test_raw_and_image_config_are_the_very_bytes(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    raw = run("inspect", f"{name}:1", "--raw", cwd=tmp_path).stdout
    assert str(Digest.of(raw.encode())) == layout.digest
    child = run("inspect", f"{name}:1", "--raw", "--platform", "linux/arm64", cwd=tmp_path).stdout
    assert str(Digest.of(child.encode())) == children_of(layout)[1]["digest"]
    config = run("inspect", f"{name}:1", "--image-config", "--platform", "linux/arm64", cwd=tmp_path).stdout
    assert str(Digest.of(config.encode())) == json.loads(child)["config"]["digest"]


def test_an_index_has_no_config(tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    failed = run("inspect", f"oci:{layout.path}", "--image-config", cwd=tmp_path, code=3).stderr
    assert "an index has no config" in failed
    assert "--platform" in failed


@pytest.mark.parametrize(("has_api", "found_by"), [(True, "api"), (False, "tag")])
def test_referrers_are_found_by_the_api_or_the_fallback_tag(has_api: bool, found_by: str, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    subject = Digest.parse(layout.digest)
    raw = (layout.path / "blobs/sha256" / subject.encoded).read_bytes()
    about = make_artifact(
        "application/spdx+json", subject=Descriptor(media.OCI_MANIFEST, subject, len(raw)), annotations={"n": "1"}
    )
    writer = LayoutWriter(tmp_path / "about")
    writer.put(b"{}", media.OCI_EMPTY)
    referrer = writer.close(writer.put(about.raw, about.media_type))
    with Sandbox(options=SandboxOptions(referrers=has_api)) as sandbox:
        name = pushed(sandbox, layout, "1", f"sha256-{subject.encoded}.sig")
        pushed(sandbox, referrer, "about")
        printed = run("inspect", f"{name}:1", "--json", cwd=tmp_path).stdout
        lines = run("inspect", f"{name}:1", cwd=tmp_path).stdout.splitlines()
    check_json(printed, Inspection)
    root = json.loads(printed)["image"]
    tag = fallback_tag(subject)
    assert [(one["digest"], one["artifact_type"], one["found_by"]) for one in root["referrers"]] == [
        (str(about.digest), "application/spdx+json", "api" if found_by == "api" else tag)
    ]
    assert [(one["kind"], one["tag"]) for one in root["signatures"]] == [("signature", f"{tag}.sig")]
    assert any(str(about.digest) in line and "application/spdx+json" in line for line in lines)


def test_a_child_that_is_missing_is_shown_as_missing(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    gone = Digest.parse(str(children_of(layout)[0]["digest"]))
    sandbox.store.remove_manifest("team/app", gone)
    nodes = json.loads(run("inspect", f"{name}:1", "--json", cwd=tmp_path).stdout)["image"]["manifests"]
    assert "404" in nodes[0]["problem"]
    assert nodes[1]["problem"] is None


def test_layouts_and_archives_are_inspected_as_registries_are(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    (tmp_path / "image.tar").write_bytes(tar_folder(layout.path))
    trees = [
        json.loads(run("inspect", one, "--json", "--no-referrers", cwd=tmp_path).stdout)["image"]
        for one in (f"{name}:1", "oci:image", "image.tar")
    ]
    assert trees[0] == trees[1] == trees[2]


def test_an_index_that_lists_a_child_many_times_is_opened_once(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    node = writer.image(layer(1))
    for _ in range(6):
        node = writer.index(*[node] * 40)
    writer.close(node)
    text = run("inspect", "oci:image", cwd=tmp_path).stdout
    assert len(text.splitlines()) < 1500


def test_a_digest_is_asked_for_by_head_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = pushed(sandbox, layout, "1")
    assert run("digest", f"{name}:1", cwd=tmp_path).stdout == f"{layout.digest}\n"
    assert asked(sandbox) == ["HEAD team/app/manifests/1"]
    platform = run("digest", f"{name}:1", "--platform", "linux/arm64", cwd=tmp_path).stdout
    assert platform.strip() == children_of(layout)[1]["digest"]
    assert run("digest", "oci:image", cwd=tmp_path).stdout == f"{layout.digest}\n"


def test_a_head_that_says_nothing_is_followed_by_a_get(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox() as sandbox:
        name = pushed(sandbox, layout, "1")
        sandbox.faults.add(Fault(method="HEAD", path="/manifests/1", action=Answer(200)))
        assert run("digest", f"{name}:1", cwd=tmp_path).stdout == f"{layout.digest}\n"
        assert asked(sandbox) == ["HEAD team/app/manifests/1", "GET team/app/manifests/1"]


def test_exists_answers_by_its_exit_code(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    assert run("exists", f"{name}:1", f"{name}@{layout.digest}", "-q", cwd=tmp_path).stdout == ""
    missing = run("exists", f"{name}:1", f"{name}:2", f"{sandbox.address}/none:1", cwd=tmp_path, code=1)
    assert missing.stdout.splitlines()[1:] == [f"{name}:2  does not exist", f"{sandbox.address}/none:1  does not exist"]
    assert {one.split()[0] for one in asked(sandbox)} == {"HEAD"}
    away = run("exists", f"{name}:2", "localhost:1/app:1", cwd=tmp_path, code=6)
    assert "localhost:1/app:1" in away.stderr


def test_digests_and_existence_are_published_as_json(sandbox: Sandbox, tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    name = pushed(sandbox, layout, "1")
    printed = run("digest", f"{name}:1", "--json", cwd=tmp_path).stdout
    check_json(printed, NamedDigest)
    assert json.loads(printed)["digest"] == layout.digest
    printed = run("exists", f"{name}:1", f"{name}:2", "localhost:1/app", "--json", cwd=tmp_path, code=6).stdout
    check_json(printed, Existence)
    assert [one["exists"] for one in json.loads(printed)["images"]] == [True, False, None]


def test_two_images_are_compared_by_platform(sandbox: Sandbox, tmp_path: Path) -> None:
    one = two_platforms(tmp_path / "one", Env=["V=1", "W=1"])
    two = two_platforms(tmp_path / "two", seed=2, Env=["V=2", "W=1"], Labels={"a": "b"})
    name = pushed(sandbox, two, "2")
    done = run("diff", f"oci:{one.path}", f"{name}:2", "--exit-code", cwd=tmp_path, code=1)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for wanted in ("- env V=1", "+ env V=2", "+ label a=b"):
        assert lines.count(wanted) == 2
    assert not any("W=1" in line or "step-0" in line for line in lines)
    assert sum(line.startswith("- layer") for line in lines) == 2
    printed = run("diff", f"oci:{one.path}", f"{name}:2", "--json", cwd=tmp_path).stdout
    check_json(printed, Diff)
    assert [len(i["shared_layers"]) for i in json.loads(printed)["images"]] == [1, 1]


def test_the_same_image_does_not_differ_and_platforms_may_come_and_go(tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    same = run("diff", "oci:image", f"oci:{layout.path}", "--exit-code", cwd=tmp_path).stdout
    assert same.splitlines()[-1] == "the same image, byte for byte"
    writer = LayoutWriter(tmp_path / "half")
    shutil.copytree(layout.path / "blobs", tmp_path / "half" / "blobs")
    writer.close(writer.index(children_of(layout)[0]))
    found = run("diff", "oci:image", "oci:half", cwd=tmp_path).stdout.splitlines()
    assert [line for line in found if "platform" in line] == [
        "- platform linux/arm64",
        "  platform linux/amd64: the same image",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("inspect", "oci:image", "--raw", "--json"), "--json and --raw do not go together"),
        (("inspect", "oci:image", "--platform", "linux"), "--platform"),
        (("exists", "app"), "names no repository"),
        (("tags", "localhost:1/app:1"), "a repository is wanted"),
        (("tags", "localhost:1/app", "--sort", "size"), "name, semver or date"),
        (("tag", "localhost:1/app:1", "other/app:2"), "another repository"),
        (("tag", "localhost:1/app:1", ".x"), "must start with"),
        (("delete", "localhost:1/app"), "neither a tag nor a digest"),
        (("delete", "localhost:1/app:1"), "there is no terminal"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    make_layout(tmp_path / "image", layer(1))
    failed = run(*words, cwd=tmp_path, code=2).stderr
    assert told in failed
    assert "hint: " in failed


def test_attestations_in_an_index_say_what_they_are_about_and_are_not_compared(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    image = writer.image(layer(1))
    about = writer.manifest({"config": writer.put(b"{}", media.OCI_EMPTY), "layers": []}, media.OCI_MANIFEST)
    notes = {"vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest"}
    unknown = {"os": "unknown", "architecture": "unknown"}
    writer.close(writer.index(image, {**about, "annotations": notes, "platform": unknown}))
    lines = [line.strip() for line in run("inspect", "oci:image", cwd=tmp_path).stdout.splitlines()]
    assert f"about {image['digest']}" in lines
    make_layout(tmp_path / "plain", layer(1))
    found = run("diff", "oci:image", "oci:plain", cwd=tmp_path).stdout
    assert "unknown" not in found
    assert "  platform linux/amd64: the same image" in found.splitlines()


def test_a_fallback_tag_that_is_taken_by_an_image_is_a_note(tmp_path: Path) -> None:
    layout = make_layout(tmp_path / "image", layer(1))
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        name = pushed(sandbox, layout, "1")
        pushed(sandbox, make_layout(tmp_path / "other", layer(2)), fallback_tag(Digest.parse(layout.digest)))
        shown = run("inspect", f"{name}:1", cwd=tmp_path).stdout
    assert "note: " in shown
    assert "is no list of referrers" in shown


def test_a_config_that_is_missing_or_no_json_is_a_problem_and_no_end(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    broken = writer.manifest({"config": writer.put(b"[]", media.OCI_CONFIG), "layers": []}, media.OCI_MANIFEST)
    gone = writer.put(b'{"os":"linux"}', media.OCI_CONFIG)
    missing = writer.manifest({"config": gone, "layers": []}, media.OCI_MANIFEST)
    writer.close(writer.index(broken, missing))
    (tmp_path / "image/blobs/sha256" / str(gone["digest"]).partition(":")[2]).unlink()
    nodes = json.loads(run("inspect", "oci:image", "--json", cwd=tmp_path).stdout)["image"]["manifests"]
    assert ["is not a JSON object" in nodes[0]["problem"], "is missing" in nodes[1]["problem"]] == [True, True]


def test_a_child_that_is_listed_again_and_again_is_read_once_and_shown_some_times(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "image")
    config = writer.put(json.dumps({"author": "a" * 100_000}).encode(), media.OCI_CONFIG)
    child = writer.manifest({"config": config, "layers": []}, media.OCI_MANIFEST)
    writer.close(writer.index(*[child] * 400))
    printed = program("inspect", f"oci:{tmp_path}/image", "--json", cwd=tmp_path).stdout
    nodes = json.loads(printed)["image"]["manifests"]
    assert [node["config"] is not None for node in nodes] == [True] * 16 + [False] * 384
    assert nodes[16]["problem"] == "is listed more than 16 times; nothing more is shown of it"
    assert json.loads(printed)["image"]["content_size"] == nodes[0]["content_size"]


def test_images_of_one_platform_are_told_apart_by_a_number_however_many_there_are(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "many")
    config = writer.put(b"{}", media.OCI_CONFIG)
    images = [
        writer.manifest({"config": config, "layers": [], "annotations": {"n": str(number)}}, media.OCI_MANIFEST)
        for number in range(3)
    ]
    writer.close(writer.index(*({**one, "platform": {"os": "linux", "architecture": "arm"}} for one in images)))
    two_platforms(tmp_path / "other")
    printed = program("diff", f"oci:{tmp_path}/many", f"oci:{tmp_path}/other", "--json", cwd=tmp_path).stdout
    assert json.loads(printed)["left_platforms"] == ["linux/arm", "linux/arm (2)", "linux/arm (3)"]
