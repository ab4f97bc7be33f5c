"""Indexes that are made and changed in distribution 2.8.2, read back by skopeo and buildah."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from around import image, two_platforms
from buildah import Buildah
from images import LayoutWriter, config_of, docker_archive, layer
from program import program
from registries import DebianRegistry
from skopeo import Skopeo


def run(*words: str, cwd: Path) -> None:
    program(*words, "--plain-http", cwd=cwd)


def test_an_index_that_is_made_and_changed_is_what_others_read(open_registry: DebianRegistry, tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "arm")
    writer.close(image(writer, "arm", layer(1), layer(8), created="2026-01-02T03:04:05Z"))
    two_platforms(tmp_path / "both")
    (tmp_path / "s390x.tar").write_bytes(docker_archive(("l", layer(2)), config=config_of(layer(2)), paths=["l"]))
    name, other = f"{open_registry.host}/indexes/app", f"{open_registry.host}/indexes/other"
    run("push", "oci:both", f"{name}:both", "--no-memory", cwd=tmp_path)
    run("push", "oci:arm", f"{other}:arm", "--no-memory", cwd=tmp_path)
    run("index", "create", f"{name}:1", f"{name}:both", f"{other}:arm=linux/arm/v7", cwd=tmp_path)
    run("index", "add", f"{name}:1", "s390x.tar=linux/s390x", cwd=tmp_path)
    run("index", "remove", f"{name}:1", "linux/amd64", cwd=tmp_path)
    run("index", "annotate", f"{name}:1", "a=b", cwd=tmp_path)
    run("index", "annotate", f"{name}:1", "--child", "linux/arm/v7", "--os-features", "neon", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    index: dict[str, Any] = json.loads(skopeo.raw(f"docker://{name}:1"))
    assert [one["platform"] for one in index["manifests"]] == [
        {"os": "linux", "architecture": "arm64"},
        {"os": "linux", "architecture": "arm", "variant": "v7", "os.features": ["neon"]},
        {"os": "linux", "architecture": "s390x"},
    ]
    assert index["annotations"] == {"a": "b"}
    skopeo.copy(f"docker://{name}:1", f"dir:{tmp_path / 'copied'}")  # every blob of every image is there
    run("check", f"{name}:1", cwd=tmp_path)

    buildah = Buildah(tmp_path / "buildah")
    buildah("manifest", "create", "listed")
    buildah("manifest", "add", "--tls-verify=false", "--all", "listed", f"docker://{name}:1")
    listed = json.loads(buildah("manifest", "inspect", "listed"))["manifests"]
    assert [(one["digest"], one["platform"]) for one in listed] == [
        (one["digest"], one["platform"]) for one in index["manifests"]
    ]
    buildah.remove()


def test_a_docker_list_is_one_for_others(open_registry: DebianRegistry, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(docker_archive(("l", layer(2)), config=config_of(layer(2)), paths=["l"]))
    name = f"{open_registry.host}/indexes/docker"
    run("index", "create", f"{name}:1", "image.tar", "image.tar=linux/arm64", "--docker", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    index = json.loads(skopeo.raw(f"docker://{name}:1"))
    assert index["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    skopeo.copy(f"docker://{name}:1", f"dir:{tmp_path / 'copied'}")


def test_what_is_annotated_and_mutated_is_what_others_read(open_registry: DebianRegistry, tmp_path: Path) -> None:
    two_platforms(tmp_path / "both", Labels={"a": "b"})
    name = f"{open_registry.host}/edits/app"
    run("push", "oci:both", f"{name}:1", "--no-memory", cwd=tmp_path)
    run("annotate", f"{name}:1", "com.example.a=1", "--images", cwd=tmp_path)
    run("mutate", f"{name}:1", "--label", "c=d", "--cmd", "serve --all", "--expose", "80", "--tag", "2", cwd=tmp_path)
    skopeo = Skopeo(tmp_path / "skopeo")
    index: dict[str, Any] = json.loads(skopeo.raw(f"docker://{name}:2"))
    assert index["annotations"] == {"com.example.a": "1"}
    for child in index["manifests"]:
        reference = f"docker://{name}@{child['digest']}"
        assert json.loads(skopeo.raw(reference))["annotations"]["com.example.a"] == "1"
        said = json.loads(skopeo.config(reference))["config"]
        assert (said["Labels"], said["Cmd"], said["ExposedPorts"]) == (
            {"a": "b", "c": "d"},
            ["serve", "--all"],
            {"80/tcp": {}},
        )
    skopeo.copy(f"docker://{name}:2", f"dir:{tmp_path / 'copied'}")
    run("mutate", f"{name}:2", f"{open_registry.host}/edits/other:1", "--user", "7", cwd=tmp_path)
    skopeo.copy(f"docker://{open_registry.host}/edits/other:1", f"dir:{tmp_path / 'other'}")

    (tmp_path / "image.tar").write_bytes(docker_archive(("l", layer(2)), config=config_of(layer(2)), paths=["l"]))
    run("push", "image.tar", f"{name}:docker", "--format", "docker", cwd=tmp_path)
    run("mutate", f"{name}:docker", "--env", "A=1", "--created", "1000000000", cwd=tmp_path)
    kept = json.loads(skopeo.raw(f"docker://{name}:docker"))
    assert kept["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    inspected = json.loads(skopeo.config(f"docker://{name}:docker"))
    assert (inspected["created"], inspected["config"]) == ("2001-09-09T01:46:40Z", {"Env": ["A=1"]})
