"""referrers: all that refers to an image, at any depth, by the registry's list, by clients' and by cosign's tags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from around import asked, pushed, two_platforms
from equipment.faults import Answer, Fault
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, layer, make_layout
from program import program
from published import check_json

from oci_push.engine.looking.referrers import ReferrersTree
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.protocol.referrers import fallback_tag


def attached(name: str, target: str, content: str, kind: str, cwd: Path) -> str:
    """Attach a text; gives the digest of the artifact."""
    (cwd / "file").write_text(content)
    done = program("attach", f"{name}{target}", f"file:{kind}", "--json", cwd=cwd)
    found = json.loads(done.stdout)["attached"][0]["digest"]
    assert isinstance(found, str)
    return found


def kinds(nodes: Sequence[dict[str, object]]) -> list[object]:
    return [(one["artifact_type"], kinds(one["referrers"])) for one in nodes]  # type: ignore[arg-type]


@pytest.mark.parametrize("has_api", [True, False])
def test_the_tree_goes_as_deep_as_there_are_referrers(has_api: bool, image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=has_api)) as sandbox:
        name = pushed(sandbox, image, "1")
        sbom = attached(name, ":1", "sbom", "text/spdx", tmp_path)
        signature = attached(name, f"@{sbom}", "signature", "a/signature", tmp_path)
        attached(name, f"@{signature}", "stamp", "a/stamp", tmp_path)
        attached(name, ":1", "notes", "text/plain", tmp_path)
        done = program("referrers", f"{name}:1", "--json", cwd=tmp_path)
        check_json(done.stdout, ReferrersTree)
        found = json.loads(done.stdout)
        assert found["total"] == 4
        assert sorted(kinds(found["referrers"]), key=str) == [
            ("text/plain", []),
            ("text/spdx", [("a/signature", [("a/stamp", [])])]),
        ]
        by = "api" if has_api else fallback_tag(Digest.parse(image.digest))
        assert {one["found_by"] for one in found["referrers"]} == {by}
        stamps = program("referrers", f"{name}:1", "--type", "a/st*", "--json", cwd=tmp_path)
        assert kinds(json.loads(stamps.stdout)["referrers"]) == [("text/spdx", [("a/signature", [("a/stamp", [])])])]
        lines = program("referrers", f"{name}:1", cwd=tmp_path).stdout.splitlines()
        assert lines[0].startswith(f"{name}:1  {image.digest}")
        assert next(line for line in lines if "a/stamp" in line).startswith(("│     └─ ", "      └─ "))


def test_cosign_s_tags_are_shown(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    signature = make_layout(tmp_path / "signature", layer(9))
    tag = f"{image.digest.replace(':', '-')}.sig"
    pushed(sandbox, signature, tag)
    (one,) = json.loads(program("referrers", f"{name}:1", "--json", cwd=tmp_path).stdout)["referrers"]
    assert (one["artifact_type"], one["found_by"], one["digest"]) == ("cosign signature", tag, signature.digest)


def test_nothing_is_told_as_nothing(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    assert "nothing refers to it" in program("referrers", f"{name}:1", cwd=tmp_path).stdout
    attached(name, ":1", "x", "a/b", tmp_path)
    assert "of that type, and 1 of others" in program("referrers", f"{name}:1", "--type", "c/*", cwd=tmp_path).stdout


def test_lists_that_name_one_another_end_and_are_asked_once(image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        name = pushed(sandbox, image, "1")
        ones = [Descriptor(media.OCI_MANIFEST, Digest.of(bytes([n])), 3, artifact_type=f"a/n{n}") for n in range(6)]
        subjects = [Descriptor(media.OCI_MANIFEST, Digest.parse(image.digest), 1), *ones]
        raw = json.dumps(
            {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [one.to_json() for one in ones]}
        ).encode()
        for one in subjects:
            sandbox.faults.add(
                Fault(
                    "GET",
                    f"/manifests/{fallback_tag(one.digest)}",
                    action=Answer(200, {"Content-Type": media.OCI_INDEX}, raw),
                    times=0,
                )
            )
        done = program("referrers", f"{name}:1", "--json", cwd=tmp_path)
        lists = [one for one in asked(sandbox) if one.startswith("GET team/app/manifests/sha256-")]
        assert len(lists) == len(set(lists)) == 7
        assert json.loads(done.stdout)["total"] == 42


def test_types_that_a_list_of_clients_lacks_are_those_of_the_manifests(image: Layout, tmp_path: Path) -> None:
    """go-containerregistry lists what refers to an image by the type of its empty config; what is gone stays so."""
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        name = pushed(sandbox, image, "1")
        attached(name, ":1", "sbom", "text/spdx", tmp_path)
        tag = fallback_tag(Digest.parse(image.digest))
        entries = json.loads(program("manifest", "get", f"{name}:{tag}", cwd=tmp_path).stdout)["manifests"]
        for one in entries:
            one["artifactType"] = media.OCI_EMPTY
        gone = Descriptor(media.OCI_MANIFEST, Digest.of(b"gone"), 4, artifact_type=media.OCI_EMPTY)
        index = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [*entries, gone.to_json()]}
        answer = Answer(200, {"Content-Type": media.OCI_INDEX}, json.dumps(index).encode())
        sandbox.faults.add(Fault("GET", f"/manifests/{tag}$", action=answer, times=0))
        found = json.loads(program("referrers", f"{name}:1", "--json", cwd=tmp_path).stdout)
        assert kinds(found["referrers"]) == [("text/spdx", []), (media.OCI_EMPTY, [])]


def test_a_list_that_is_damaged_below_the_image_is_a_note(image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        name = pushed(sandbox, image, "1")
        sbom = attached(name, ":1", "sbom", "text/spdx", tmp_path)
        tag = fallback_tag(Digest.parse(sbom))
        pushed(sandbox, image, tag)  # an image lies where the list should
        done = program("referrers", f"{name}:1", "--json", cwd=tmp_path)
        (one,) = json.loads(done.stdout)["referrers"]
        assert "is no list of referrers" in one["problem"]


@pytest.mark.parametrize("is_index", [True, False])
def test_a_subject_under_the_tag_of_its_list_is_no_list(is_index: bool, image: Layout, tmp_path: Path) -> None:
    """``cosign copy`` puts it there, and whoever attaches something afterwards makes a list of it."""
    layout = two_platforms(tmp_path / "index") if is_index else image
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        tag = fallback_tag(Digest.parse(layout.digest))
        name = pushed(sandbox, layout, "1", tag)
        assert json.loads(program("referrers", f"{name}:1", "--json", cwd=tmp_path).stdout)["total"] == 0
        sbom = attached(name, ":1", "sbom", "text/spdx", tmp_path)
        (one,) = json.loads(program("referrers", f"{name}:1", "--json", cwd=tmp_path).stdout)["referrers"]
        assert (one["digest"], one["found_by"]) == (sbom, tag)


def test_a_type_that_a_list_does_not_say_is_read_from_the_manifest(image: Layout, tmp_path: Path) -> None:
    """cosign's entries of a list have the type of the empty config, and no annotations."""
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        name = pushed(sandbox, image, "1")
        (tmp_path / "file").write_text("it")
        words = ("file:text/plain", "--annotation", "by=me", "--type", "text/spdx")
        program("attach", f"{name}:1", *words, cwd=tmp_path)
        tag = fallback_tag(Digest.parse(image.digest))
        value = json.loads(sandbox.store.manifest("team/app", tag) or b"{}")
        del value["manifests"][0]["annotations"]
        value["manifests"][0]["artifactType"] = media.OCI_EMPTY
        (tmp_path / "list.json").write_text(json.dumps(value))
        program("manifest", "put", f"{name}:{tag}", "list.json", cwd=tmp_path)
        (one,) = json.loads(program("referrers", f"{name}:1", "--json", cwd=tmp_path).stdout)["referrers"]
        assert one["artifact_type"] == "text/spdx"
        assert one["annotations"]["by"] == "me"
        with Sandbox() as to:
            done = program("copy", f"{name}:1", f"{to.address}/app", cwd=tmp_path)
            assert "1 referrer: 1 sbom" in done.stderr


def test_what_is_not_there_is_an_error(sandbox: Sandbox, tmp_path: Path) -> None:
    assert "404" in program("referrers", f"{sandbox.address}/team/app:none", cwd=tmp_path, code=5).stderr
