"""Images that Debian's buildah has left in containers-storage: both drivers, as root and as a user without it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bare import PROGRAM
from plainuser import PlainUser
from programs import ProgramError
from registries import DebianRegistry
from skopeo import Skopeo
from storagebuilds import STORES, Built, build, write_context


@pytest.fixture(scope="module", params=STORES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Build an image into a store of its own."""
    with build("buildah", request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


def test_what_was_built_is_pushed_as_buildah_pushes_it(
    built: Built, open_registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/storage/{os.urandom(4).hex()}"

    built.push("containers-storage:app:1", f"{name}:ours")
    built.push("containers-storage:localhost/app:1", f"{name}:plain", "--compression", "none")
    built.tool("push", "--quiet", "--disable-compression", "--tls-verify=false", "app:1", f"docker://{name}:buildah")

    assert skopeo.digest(f"docker://{name}:plain") == skopeo.digest(f"docker://{name}:buildah")
    assert skopeo.config(f"docker://{name}:ours") == skopeo.config(f"docker://{name}:buildah")
    skopeo.copy(f"docker://{name}:ours", f"dir:{tmp_path}/ours")
    layers = json.loads((tmp_path / "ours/manifest.json").read_bytes())["layers"]
    content = [gzip.decompress((tmp_path / "ours" / one["digest"].partition(":")[2]).read_bytes()) for one in layers]
    found = [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in content]
    assert found == json.loads(skopeo.config(f"docker://{name}:buildah"))["rootfs"]["diff_ids"]


def test_what_was_pulled_keeps_its_digest(built: Built, open_registry: DebianRegistry, skopeo: Skopeo) -> None:
    name = f"{open_registry.host}/storage/{os.urandom(4).hex()}"
    built.push("containers-storage:app:1", f"{name}/from:1")
    built.tool("pull", "--quiet", "--tls-verify=false", f"{name}/from:1")
    open_registry.forget()

    built.push(f"containers-storage:{name}/from:1", f"{name}/to:1")

    assert skopeo.digest(f"docker://{name}/to:1") == skopeo.digest(f"docker://{name}/from:1")
    put = [one for one in open_registry.requests() if one.method in ("PATCH", "PUT") and "/blobs/" in one.path]
    assert len(put) <= 2  # the config


def test_without_further_numbers_it_says_where_to_run_it(tmp_path: Path, open_registry: DebianRegistry) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can take them from a user")
    user = PlainUser(tmp_path / "home")
    write_context(user.folder / "context")
    user.own()
    user.run("buildah", "--storage-driver", "vfs", "build", "--quiet", "--tag", "app:1", user.folder / "context")
    words = ("containers-storage:app:1", f"{open_registry.host}/storage/poor:1", "--no-memory")

    user.set_further(0)
    with pytest.raises(ProgramError) as caught:
        user.push(*words)
    user.set_further(65536)
    user.run("buildah", "unshare", PROGRAM, "push", *words)

    assert "no user namespace can be had" in caught.value.said
    assert "buildah unshare oci-push" in caught.value.said
