"""Images that Debian's podman has built and pulled: both drivers, as root and as a user without it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from registries import DebianRegistry
from skopeo import Skopeo
from storagebuilds import STORES, Built, build


@pytest.fixture(scope="module", params=STORES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Build an image into a store of its own."""
    with build("podman", request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
def shared(built: Built, tmp_path: Path) -> Path:
    """Give a folder that the one who has built can write to."""
    return Path(built.run("mktemp", "-d").text)


def test_what_was_built_is_pushed_as_podman_pushes_it(
    built: Built, open_registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path, shared: Path
) -> None:
    name = f"{open_registry.host}/podman/{os.urandom(4).hex()}"
    built.tool("push", "--quiet", "--tls-verify=false", "app:1", f"{name}:podman")
    built.tool("push", "--quiet", "--digestfile", shared / "digest", "app:1", f"dir:{shared}/plain")  # as it is stored

    built.push("containers-storage:app:1", f"{name}:ours")
    built.push("containers-storage:app:1", f"{name}:plain", "--compression", "none")

    assert skopeo.digest(f"docker://{name}:plain") == (shared / "digest").read_text()
    ours, theirs = f"docker://{name}:ours", f"docker://{name}:podman"
    assert skopeo.config(ours) == skopeo.config(theirs)
    assert contents(skopeo, ours, tmp_path / "ours") == contents(skopeo, theirs, tmp_path / "theirs")


def test_what_was_pulled_keeps_its_digest_as_with_podman(
    built: Built, open_registry: DebianRegistry, skopeo: Skopeo, shared: Path
) -> None:
    name = f"{open_registry.host}/podman/{os.urandom(4).hex()}"
    built.tool("build", "--quiet", "--label", "pulled=yes", "--tag", "pulled:1", built.context)
    built.tool("push", "--quiet", "--tls-verify=false", "pulled:1", f"{name}/from:1")
    built.tool("rmi", "--force", "pulled:1")
    built.tool("pull", "--quiet", "--tls-verify=false", f"{name}/from:1")

    built.push(f"containers-storage:{name}/from:1", f"{name}/ours:1")
    words = ("push", "--quiet", "--tls-verify=false", "--digestfile", shared / "digest")
    built.tool(*words, f"{name}/from:1", f"{name}/theirs:1")

    assert skopeo.digest(f"docker://{name}/ours:1") == (shared / "digest").read_text()
    assert skopeo.digest(f"docker://{name}/ours:1") == skopeo.digest(f"docker://{name}/from:1")


@pytest.mark.parametrize("built", ["overlay-user"], indirect=True)
def test_what_podman_load_has_left_is_sent_as_what_it_is(
    built: Built, open_registry: DebianRegistry, skopeo: Skopeo, shared: Path
) -> None:
    name = f"{open_registry.host}/podman/{os.urandom(4).hex()}"
    built.tool("build", "--quiet", "--label", "loaded=yes", "--tag", "loaded:1", built.context)
    built.tool("save", "--quiet", "--output", shared / "app.tar", "loaded:1")
    built.tool("rmi", "--force", "loaded:1")
    built.tool("load", "--quiet", "--input", shared / "app.tar")

    built.push("containers-storage:loaded:1", f"{name}:plain", "--compression", "none")

    layers = json.loads(skopeo.raw(f"docker://{name}:plain"))["layers"]
    diff_ids = json.loads(skopeo.config(f"docker://{name}:plain"))["rootfs"]["diff_ids"]
    assert [one["digest"] for one in layers] == diff_ids
    assert {one["mediaType"].rpartition(".")[2] for one in layers} == {"tar"}


def contents(skopeo: Skopeo, reference: str, folder: Path) -> list[str]:
    """Give the digests of an image's layers, unpacked."""
    skopeo.copy(reference, f"dir:{folder}")
    layers = json.loads((folder / "manifest.json").read_bytes())["layers"]
    packed = [(folder / one["digest"].partition(":")[2]).read_bytes() for one in layers]
    return [hashlib.sha256(gzip.decompress(one)).hexdigest() for one in packed]
