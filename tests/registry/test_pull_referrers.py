"""pull --referrers: what refers to an image lies beside it in the layout, found by its subject or by cosign's tag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from around import pushed
from equipment.options import SandboxOptions
from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer, make_layout
from program import program
from published import check_json

from oci_push.engine.saving.pull import Pull
from oci_push.model import media
from oci_push.model.artifact import make_artifact
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest

REF_NAME = "org.opencontainers.image.ref.name"


def attach(sandbox: Sandbox, folder: Path, subject: Manifest | Layout, kind: str, **annotations: str) -> Manifest:
    """Push an artifact that refers to a manifest."""
    if isinstance(subject, Layout):
        raw = (subject.path / "blobs/sha256" / subject.digest.partition(":")[2]).read_bytes()
        subject = Manifest.parse(raw)
    about = Descriptor(media.OCI_MANIFEST, subject.digest, subject.size)
    made = make_artifact(
        kind, subject=about, annotations={key.replace("_", "."): value for key, value in annotations.items()}
    )
    writer = LayoutWriter(folder)
    writer.put(b"{}", media.OCI_EMPTY)
    pushed(sandbox, writer.close(writer.put(made.raw, made.media_type)), f"a{made.digest.encoded[:8]}")
    return made


def entries(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())["manifests"]
    return found


@pytest.mark.parametrize("has_api", [True, False])
def test_referrers_those_of_referrers_and_cosigns_tags_come_along(has_api: bool, tmp_path: Path) -> None:
    image = make_layout(tmp_path / "image", layer(1))
    signature = make_layout(tmp_path / "signature", layer(2))
    tag = f"{image.digest.replace(':', '-')}.sig"
    with Sandbox(options=SandboxOptions(referrers=has_api)) as sandbox:
        name = pushed(sandbox, image, "1")
        pushed(sandbox, signature, tag)
        sbom = attach(sandbox, tmp_path / "sbom", image, "application/spdx+json", n="1")
        signed = attach(sandbox, tmp_path / "signed", sbom, "application/x-signature")
        sandbox.traffic.clear()
        program("pull", f"{name}:1", "oci:alone", cwd=tmp_path)
        assert not sandbox.traffic.select(method="GET", path_pattern="referrers|sha256-")
        done = program("pull", f"{name}:1", "oci:out", "--referrers", "--json", cwd=tmp_path)
    check_json(done.stdout, Pull)
    report = json.loads(done.stdout)
    assert [one["digest"] for one in report["images"]] == [image.digest]
    assert {one["digest"]: one["refers_to"] for one in report["referrers"]} == {
        str(sbom.digest): image.digest,
        str(signed.digest): str(sbom.digest),
        signature.digest: image.digest,
    }
    listed = {one["digest"]: one for one in entries(tmp_path / "out")}
    assert listed[image.digest]["annotations"] == {REF_NAME: "1"}
    assert listed[signature.digest]["annotations"] == {REF_NAME: tag}
    assert listed[str(sbom.digest)]["artifactType"] == "application/spdx+json"
    assert listed[str(sbom.digest)]["annotations"] == {"n": "1"}
    assert [one["digest"] for one in entries(tmp_path / "alone")] == [image.digest]
    # They are no images among which one would have to choose.
    assert program("digest", "oci:out", cwd=tmp_path).stdout.strip() == image.digest
    assert ": whole (1 manifest" in program("check", f"oci:out@{sbom.digest}", cwd=tmp_path).stdout


def test_an_archive_holds_them_too(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    sbom = attach(sandbox, tmp_path / "sbom", image, "application/spdx+json")
    told = program("pull", f"{name}:1", "oci-archive:out.tar", "--referrers", cwd=tmp_path)
    assert "with 1 referrer" in told.stderr
    assert program("digest", "oci-archive:out.tar", cwd=tmp_path).stdout.strip() == image.digest
    assert ": whole" in program("check", f"oci-archive:out.tar@{sbom.digest}", cwd=tmp_path).stdout


def test_no_artifact_takes_the_name_of_an_image(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    """What a stranger attaches has annotations of the stranger's; the name in index.json is none of them."""
    name = pushed(sandbox, image, "1")
    attach(
        sandbox,
        tmp_path / "evil",
        image,
        "application/x-evil",
        org_opencontainers_image_ref_name="1",
        io_containerd_image_name="registry.example.com/app:1",
    )
    program("pull", f"{name}:1", "oci:out", "--referrers", cwd=tmp_path)
    named = [one for one in entries(tmp_path / "out") if "annotations" in one]
    assert [(one["digest"], one["annotations"]) for one in named] == [(image.digest, {REF_NAME: "1"})]


def test_referrers_are_asked_for_though_the_tag_has_not_moved(sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    name = pushed(sandbox, image, "1")
    program("pull", f"{name}:1", "oci:out", cwd=tmp_path)
    sbom = attach(sandbox, tmp_path / "sbom", image, "application/spdx+json")
    program("pull", f"{name}:1", "oci:out", "--referrers", cwd=tmp_path)
    program("pull", f"{name}:1", "oci:out", "--referrers", cwd=tmp_path)
    assert [one["digest"] for one in entries(tmp_path / "out")] == [image.digest, str(sbom.digest)]


def test_a_list_that_names_what_is_gone_is_told_and_the_image_is_saved(image: Layout, tmp_path: Path) -> None:
    with Sandbox(options=SandboxOptions(referrers=False)) as sandbox:
        name = pushed(sandbox, image, "1")
        sbom = attach(sandbox, tmp_path / "sbom", image, "application/spdx+json")
        sandbox.store.remove_manifest("team/app", Digest.parse(str(sbom.digest)))
        done = program("pull", f"{name}:1", "oci:out", "--referrers", "--retries", "0", cwd=tmp_path, code=1)
    assert str(sbom.digest) in done.stderr
    assert "404" in done.stderr
    assert [one["digest"] for one in entries(tmp_path / "out")] == [image.digest]


@pytest.mark.parametrize("middle", ["oci:middle", "oci-archive:middle.tar", "oci-archive:./middle.tar"])
def test_they_go_on_from_a_layout_to_another(middle: str, sandbox: Sandbox, image: Layout, tmp_path: Path) -> None:
    tag = f"{image.digest.replace(':', '-')}.sig"
    name = pushed(sandbox, image, "1", tag)
    sbom = attach(sandbox, tmp_path / "sbom", image, "application/spdx+json", n="1")
    attach(sandbox, tmp_path / "signed", sbom, "application/x-signature")
    program("pull", f"{name}:1", "oci:first", "--referrers", cwd=tmp_path)
    program("pull", "oci:first:1", middle, "--referrers", cwd=tmp_path)
    source = middle.removeprefix("oci-archive:").replace("oci:", "")
    program("pull", f"{source}:1", "oci:last", "--referrers", cwd=tmp_path)
    program("pull", f"{source}:1", "oci:alone", cwd=tmp_path)

    def by_digest(one: dict[str, Any]) -> str:
        return json.dumps(one, sort_keys=True)

    assert sorted(entries(tmp_path / "last"), key=by_digest) == sorted(entries(tmp_path / "first"), key=by_digest)
    assert len(entries(tmp_path / "last")) == 4
    assert len(entries(tmp_path / "alone")) == 1
