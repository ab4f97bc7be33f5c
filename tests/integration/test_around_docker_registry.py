"""The commands around a push against distribution 2.8.2, read beside skopeo."""

from __future__ import annotations

import subprocess
from pathlib import Path

from around import two_platforms
from program import program
from registries import DebianRegistry
from skopeo import Skopeo


def run(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    return program(*words, "--plain-http", cwd=cwd, code=code)


def test_what_is_shown_is_what_skopeo_reads(open_registry: DebianRegistry, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image", Labels={"a": "b"})
    name = f"{open_registry.host}/around/look"
    run("push", f"oci:{layout.path}", f"{name}:1,2", "--no-memory", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    assert run("inspect", f"{name}:1", "--raw", cwd=tmp_path).stdout.encode() == skopeo.raw(f"docker://{name}:1")
    config = run("inspect", f"{name}:1", "--image-config", "--platform", "linux/amd64", cwd=tmp_path).stdout
    child = run("digest", f"{name}:1", "--platform", "linux/amd64", cwd=tmp_path).stdout.strip()
    assert config.encode() == skopeo.config(f"docker://{name}@{child}")
    assert run("tags", name, cwd=tmp_path).stdout.split() == skopeo.tags(f"docker://{name}")
    assert run("digest", f"{name}:1", cwd=tmp_path).stdout.strip() == skopeo.digest(f"docker://{name}:1")
    assert "around/look" in run("repos", open_registry.host, cwd=tmp_path).stdout.split()
    assert ": whole (3 manifests" in run("check", f"{name}:1", cwd=tmp_path).stdout
    assert ": whole (3 manifests" in run("check", f"{name}:1", "--head", cwd=tmp_path).stdout
    run("exists", f"{name}:3", cwd=tmp_path, code=1)


def test_a_tag_is_made_and_deleted_by_what_it_names(open_registry: DebianRegistry, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = f"{open_registry.host}/around/change"
    run("push", f"oci:{layout.path}", f"{name}:1", "--no-memory", cwd=tmp_path)
    run("tag", f"{name}:1", "stable", "latest", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    assert skopeo.tags(f"docker://{name}") == ["1", "latest", "stable"]
    assert skopeo.digest(f"docker://{name}:stable") == layout.digest
    # This registry deletes no tag by its name.
    failed = run("delete", f"{name}:1", "--yes", cwd=tmp_path, code=5).stderr
    assert "cannot delete a tag by its name" in failed
    refused = run("delete", f"{name}:1", "--by-digest", "--yes", cwd=tmp_path, code=2).stderr
    assert "is named by latest, stable, too" in refused
    done = run("delete", f"{name}:*", "--by-digest", "--yes", cwd=tmp_path)
    assert "and with it the tags 1, latest, stable" in done.stderr
    run("exists", f"{name}:1", cwd=tmp_path, code=1)


def test_single_blobs_and_manifests_are_those_that_skopeo_reads(open_registry: DebianRegistry, tmp_path: Path) -> None:
    layout = two_platforms(tmp_path / "image")
    name = f"{open_registry.host}/around/raw"
    run("push", f"oci:{layout.path}", f"{name}:1", "--no-memory", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    assert run("manifest", "get", f"{name}:1", cwd=tmp_path).stdout.encode() == skopeo.raw(f"docker://{name}:1")
    run("manifest", "get", f"{name}:1", "--platform", "linux/arm64", "-o", "child.json", cwd=tmp_path)
    child = run("manifest", "put", f"{name}:arm", "child.json", cwd=tmp_path).stdout.strip()
    assert skopeo.digest(f"docker://{name}:arm") == child
    (tmp_path / "text").write_text("hello\n")
    blob = run("blob", "put", name, "text", cwd=tmp_path).stdout.strip()
    assert run("blob", "head", f"{name}@{blob}", cwd=tmp_path).stdout == f"{name}@{blob}  6 bytes\n"
    run("blob", "get", f"{name}@{blob}", "-o", "back", cwd=tmp_path)
    assert (tmp_path / "back").read_text() == "hello\n"
    run("blob", "delete", f"{name}@{blob}", "--yes", cwd=tmp_path)
    run("blob", "head", f"{name}@{blob}", cwd=tmp_path, code=1)
    # This registry does not take a manifest whose parts are elsewhere, and says of one only.
    lacking = run("manifest", "put", f"{open_registry.host}/around/empty:1", "child.json", cwd=tmp_path, code=5).stderr
    assert lacking.count("blob sha256:") >= 3
