"""attach and push --attach: what goes to the registry, in which order, and what does not go twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from around import asked, children_of, pushed, short, two_platforms
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from program import program
from published import check_json

from oci_push.engine.artifacts.push import Attaching
from oci_push.model.digest import Digest
from oci_push.runner.image_plan import ImagePlan
from oci_push.runner.report import PushReport

SPDX = '{"spdxVersion": "SPDX-2.3", "name": "app"}'
EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    (tmp_path / "sbom.json").write_text(SPDX)
    (tmp_path / "notes.md").write_text("notes")
    return make_layout(tmp_path / "image", layer(1))


def manifest(sandbox: Sandbox, digest: str) -> dict[str, object]:
    value = json.loads(sandbox.store.manifest("team/app", digest) or b"{}")
    assert isinstance(value, dict)
    return value


def test_a_file_becomes_an_artifact_about_the_image(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    done = program("attach", f"{name}:1", "sbom.json", "--json", cwd=tmp_path)
    check_json(done.stdout, Attaching)
    (one,) = json.loads(done.stdout)["attached"]
    raw = sandbox.store.manifest("team/app", image.digest) or b""
    assert manifest(sandbox, one["digest"]) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/spdx+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY, "size": 2},
        "layers": [
            {
                "mediaType": "application/spdx+json",
                "digest": str(Digest.of(SPDX.encode())),
                "size": len(SPDX),
                "annotations": {"org.opencontainers.image.title": "sbom.json"},
            }
        ],
        "subject": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": image.digest,
            "size": len(raw),
        },
    }
    assert sandbox.store.tags("team/app") == ("1",)
    assert sandbox.store.manifest("team/app", "1") == raw


def test_the_same_file_again_sends_nothing(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    first = program("attach", f"{name}:1", "sbom.json", cwd=tmp_path).stdout
    sandbox.traffic.clear()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "sbom.json").write_text(SPDX)
    again = program("attach", f"{name}:1", "elsewhere/sbom.json", cwd=tmp_path).stdout
    assert again == first.replace("  sbom.json\n", "  elsewhere/sbom.json  (was there)\n")
    assert {one.partition(" ")[0] for one in asked(sandbox)} == {"GET", "HEAD"}


def test_what_was_stored_and_not_listed_is_listed_by_the_next_try(image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        name = pushed(sandbox, image, "1")
        lists = f"/v2/team/app/manifests/{image.digest.replace(':', '-')}"
        sandbox.faults.add(Fault("PUT", lists, action=Answer(403, code="DENIED")))
        failed = program("attach", f"{name}:1", "sbom.json", cwd=tmp_path, code=5)
        assert "sbom.json" in failed.stderr
        assert "(was there)" in program("attach", f"{name}:1", "sbom.json", cwd=tmp_path).stdout
        assert "application/spdx+json" in program("referrers", f"{name}:1", cwd=tmp_path).stdout


def test_several_files_are_artifacts_of_their_own_and_one_failure_keeps_none_back(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    name = pushed(sandbox, image, "1")
    sandbox.faults.add(Fault("PUT", "/v2/team/app/manifests/", action=Answer(403, code="DENIED")))
    done = program("attach", f"{name}:1", "sbom.json", "notes.md:text/markdown", "--json", cwd=tmp_path, code=1)
    found = json.loads(done.stdout)["attached"]
    assert [(one["file"], one["outcome"], one["error"] is None) for one in found] == [
        ("sbom.json", None, False),
        ("notes.md", "pushed", True),
    ]
    assert manifest(sandbox, found[1]["digest"])["artifactType"] == "text/markdown"


def test_the_subject_may_be_one_image_of_an_index(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "two")
    name = pushed(sandbox, layout, "1")
    (child,) = [one for one in children_of(layout) if one["platform"]["architecture"] == "arm64"]
    done = program("attach", f"{name}:1", "sbom.json", "--platform", "linux/arm64", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["subject"] == child["digest"]
    said = manifest(sandbox, json.loads(done.stdout)["attached"][0]["digest"])["subject"]
    assert said == {key: child[key] for key in ("mediaType", "digest", "size")}


def test_type_annotations_and_time_are_said(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    said = {"$manifest": {"a": "file", "b": "file"}, "$config": {"c": "d"}, "notes.md": {"e": "f"}}
    (tmp_path / "said.json").write_text(json.dumps(said))
    words = ("--type", "application/vnd.example", "-a", "a=line=1", "--annotation-file", "said.json", "--json")
    done = program("attach", f"{name}:1", "notes.md", *words, cwd=tmp_path, SOURCE_DATE_EPOCH="1700000000")
    made = manifest(sandbox, json.loads(done.stdout)["attached"][0]["digest"])
    assert made["artifactType"] == "application/vnd.example"
    created = {"org.opencontainers.image.created": "2023-11-14T22:13:20Z"}
    assert made["annotations"] == {"a": "line=1", "b": "file", **created}
    assert made["config"]["annotations"] == {"c": "d"}  # type: ignore[index]
    assert made["layers"][0]["annotations"] == {"e": "f", "org.opencontainers.image.title": "notes.md"}  # type: ignore[index]
    assert made["layers"][0]["mediaType"] == "application/octet-stream"  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("notes.md",), 2, "notes.md: its content does not tell what it is"),
        (("notes.md:markdown",), 2, "'markdown' is no media type"),
        (("none.json",), 3, "none.json: no such file or folder"),
        (("pipe",), 3, "neither a file nor a folder"),
        (("sbom.json", "--type", "x"), 2, "--type 'x' is no media type"),
        (("sbom.json", "-a", "x"), 2, "--annotation 'x' is no annotation"),
        (("sbom.json", "-a", "x=1", "-a", "x=2"), 2, "is given twice"),
        (("sbom.json", "--annotation-file", "notes.md"), 2, "is not JSON"),
        (("sbom.json", "--annotation-file", "none"), 2, "cannot be read"),
        (("sbom.json", "--annotation-file", "odd.json"), 2, "'notes.md' is none of the files"),
        (("sbom.json", "--platform", "linux/s390x"), 3, "has no image for linux/s390x"),
    ],
)
def test_what_cannot_be_attached_is_refused_before_anything_is_sent(
    words: tuple[str, ...], code: int, error: str, sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "odd.json").write_text('{"notes.md": {}}')
    name = pushed(sandbox, image, "1")
    assert error in program("attach", f"{name}:1", *words, cwd=tmp_path, code=code).stderr
    assert {one.partition(" ")[0] for one in asked(sandbox)} <= {"GET", "HEAD"}


def test_a_hint_names_what_the_command_has(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/app:1"
    own = program("attach", name, "notes.md", cwd=tmp_path, code=2).stderr
    in_push = program("push", "oci:image", name, "--attach", "notes.md", cwd=tmp_path, code=2).stderr
    assert "write notes.md:TYPE/SUBTYPE, or --type;" in own
    assert "write notes.md:TYPE/SUBTYPE;" in in_push


def test_a_time_that_is_none_is_refused(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    done = program("attach", f"{name}:1", "sbom.json", cwd=tmp_path, code=2, SOURCE_DATE_EPOCH="yesterday")
    assert "SOURCE_DATE_EPOCH is 'yesterday'" in done.stderr


def test_nothing_is_attached_to_what_is_not_there(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    done = program("attach", f"{sandbox.address}/team/app:1", "sbom.json", cwd=tmp_path, code=5)
    assert "MANIFEST_UNKNOWN" in done.stderr or "NAME_UNKNOWN" in done.stderr
    assert "PUT" not in " ".join(asked(sandbox))


# While an image is pushed


def test_a_push_attaches_between_the_root_and_its_tags(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = f"{sandbox.address}/team/app"
    words = ("--attach", "sbom.json", "--attach", "notes.md:text/markdown", "--no-memory")
    done = program("push", "oci:image", f"{name}:1,2", *words, "--json", cwd=tmp_path)
    check_json(done.stdout, PushReport)
    attached = json.loads(done.stdout)["targets"][0]["attached"]
    assert [(one["file"], one["outcome"]) for one in attached] == [("sbom.json", "pushed"), ("notes.md", "pushed")]
    digests = [short(one["digest"]) for one in attached]
    puts = [one.partition("manifests/")[2] for one in asked(sandbox) if one.startswith("PUT team/app/manifests")]
    assert puts[:4] == [short(image.digest), *digests, "1"]
    assert sorted(puts[4:]) == ["2"]
    empties = [one for one in asked(sandbox) if one.startswith(("PUT", "PATCH", "POST")) and EMPTY[7:19] in one]
    assert len(empties) <= 1


def test_what_is_attached_counts_in_what_is_shown(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3_000_000))
    words = ("--attach", "large:application/x", "--no-memory", "--progress", "json")
    done = program("push", "oci:image", f"{sandbox.address}/team/app:1", *words, cwd=tmp_path)
    events = [json.loads(line)["event"] for line in done.stderr.splitlines() if line.startswith("{")]
    (opened,) = [one for one in events if one["type"] == "source_opened"]
    blobs = [one for one in events if one["type"] == "blob_done"]
    assert opened["blobs"] == len(blobs) == 4
    assert opened["size_bytes"] == sum(one["size_bytes"] for one in blobs)
    table = program("push", "oci:image", f"{sandbox.address}/team/b:1", *words[:3], cwd=tmp_path).stderr
    assert "3.0 MB" in table.splitlines()[-1]


def test_a_push_again_sends_nothing_and_says_so(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    words = ("push", "oci:image", f"{sandbox.address}/team/app:1", "--attach", "sbom.json", "--no-memory")
    program(*words, cwd=tmp_path)
    sandbox.traffic.clear()
    done = program(*words, cwd=tmp_path)
    assert "sbom.json was attached before as sha256:" in done.stderr
    assert {one.partition(" ")[0] for one in asked(sandbox)} == {"GET", "HEAD"}


@pytest.mark.parametrize("more", [(), ("--all-or-nothing",), ("--verify",)])
def test_no_tag_names_an_image_whose_attachment_failed(more: tuple[str, ...], image: Layout, tmp_path: Path) -> None:
    with Sandbox() as good, Sandbox() as bad:
        # The root is the first manifest that comes, what is attached to it the second.
        bad.faults.add(Fault("PUT", "/v2/team/app/manifests/", 2, Answer(403, code="DENIED"), times=0))
        targets = (f"{good.address}/team/app:1", f"{bad.address}/team/app:1")
        words = ("push", "oci:image", *targets, "--attach", "sbom.json", "--json", "--no-memory", *more)
        done = program(*words, cwd=tmp_path, code=1)
        found = json.loads(done.stdout)["targets"]
        assert "sbom.json is not attached" in found[1]["error"]["message"]
        assert found[1]["attached"][0]["error"] is not None
        assert bad.store.tags("team/app") == ()
        assert good.store.tags("team/app") == (() if more == ("--all-or-nothing",) else ("1",))


def test_a_file_that_is_missing_stops_the_push_before_it_begins(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    words = ("push", "oci:image", f"{sandbox.address}/team/app:1", "--attach", "none.json")
    assert "none.json: no such file or folder" in program(*words, cwd=tmp_path, code=3).stderr
    assert asked(sandbox) == []


def test_a_plan_tells_what_would_be_attached_and_writes_nothing(
    sandbox: Sandbox, image: Layout, tmp_path: Path
) -> None:
    words = ("push", "oci:image", f"{sandbox.address}/team/app:1", "--attach", "sbom.json")
    done = program(*words, "--plan", "--json", cwd=tmp_path)
    check_json(done.stdout, ImagePlan)
    (planned,) = json.loads(done.stdout)["attached"]
    lines = program(*words, "--plan", cwd=tmp_path).stdout
    assert f"attach   sbom.json as {planned['digest']} (application/spdx+json)" in lines
    assert f"attach   sbom.json: new, {planned['size']} B" in lines
    assert {one.partition(" ")[0] for one in asked(sandbox)} == {"HEAD"}
    program(*words, cwd=tmp_path)
    assert "attach   sbom.json: there" in program(*words, "--plan", cwd=tmp_path).stdout
    (target,) = json.loads(program(*words, "--plan", "--json", cwd=tmp_path).stdout)["targets"]
    assert target["attached"] == {planned["digest"]: True}
    assert manifest(sandbox, planned["digest"])["artifactType"] == "application/spdx+json"
