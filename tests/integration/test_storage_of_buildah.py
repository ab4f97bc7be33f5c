"""Images that Debian's buildah has left in containers-storage: both drivers, as root and as a user without it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bare import PROGRAM
from plainuser import PlainUser
from programs import Output, ProgramError, clean_environment, run
from registries import DebianRegistry
from skopeo import Skopeo

CONTAINERFILE = """
FROM scratch
COPY --chown=1000:1000 --chmod=0600 files /files
COPY --chown=33:33 --chmod=0700 more /more
CMD ["/files/program"]
"""
STORES = ["overlay-root", "overlay-user", "vfs-root", "vfs-user"]


@dataclass(frozen=True, slots=True)
class Built:
    """Hold an image in a store: who runs programs that use it, and the words that buildah needs for it."""

    run: Callable[..., Output]
    driver: str

    def buildah(self, *words: str | Path) -> str:
        """Run buildah on the store."""
        return self.run("buildah", "--storage-driver", self.driver, *words).text

    def push(self, *words: str) -> Output:
        """Push from the store."""
        return self.run(PROGRAM, "push", *words, "--no-memory")


def write_context(folder: Path) -> None:
    """Write what is built: many small files, links, odd names, a hole, and files that only their owner may read."""
    files, more = folder / "files", folder / "more" / "deep"
    files.mkdir(parents=True)
    more.mkdir(parents=True)
    for number in range(150):
        (files / f"small-{number}").write_bytes(hashlib.sha256(str(number).encode()).digest() * number)
    (files / "program").write_bytes(b"#!/bin/sh\n" * 3)
    (files / "hard").hardlink_to(files / "program")
    (files / "soft").symlink_to("program")
    (files / "ünï ©ode").write_text("x")
    (more / ("long" * 40)).write_text("y" * 1000)
    with (more / "hole").open("wb") as file:
        file.truncate(3_000_000)
        file.seek(2_000_000)
        file.write(b"not a hole")
    (folder / "Containerfile").write_text(CONTAINERFILE)


@pytest.fixture(scope="module", params=STORES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Build an image into a store of its own."""
    driver, _, who = request.param.partition("-")
    folder = tmp_path_factory.mktemp(request.param)
    user = PlainUser(folder / "home")
    write_context(user.folder / "context")
    user.own()
    if who == "user":
        made = Built(user.run, driver)
    else:
        conf = folder / "storage.conf"
        conf.write_text(f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n')
        env = clean_environment(folder / "root-home", {"CONTAINERS_STORAGE_CONF": str(conf)})
        # Without root, root of a namespace stands for it.
        before = [] if os.geteuid() == 0 else ["buildah", "unshare"]
        made = Built(lambda *words: run([*before, *words], env=env), driver)
    made.buildah("build", "--quiet", "--tag", "app:1", user.folder / "context")
    yield made
    user.remove()


def test_what_was_built_is_pushed_as_buildah_pushes_it(
    built: Built, open_registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/storage/{os.urandom(4).hex()}"

    built.push("containers-storage:app:1", f"{name}:ours")
    built.push("containers-storage:localhost/app:1", f"{name}:plain", "--compression", "none")
    built.buildah("push", "--quiet", "--disable-compression", "--tls-verify=false", "app:1", f"docker://{name}:buildah")

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
    built.buildah("pull", "--quiet", "--tls-verify=false", f"{name}/from:1")
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
