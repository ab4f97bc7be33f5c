"""The scripts of `docs/recipes/builders`: a builder's words, and a push of what it has written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from bare import PROGRAM
from programs import clean_environment, run
from real_images import RealImages
from registries import DebianRegistry
from skopeo import Skopeo
from workshop import RECIPES, Workshop

WRITES = {
    "bazel-rules-img": "layout_archive",
    "bazel-rules-oci": "layout",
    "buildkit": "layout_archive",
    "jib": "archive",
    "kaniko": "archive",
    "ko": "several",
}
SCRIPTS = sorted(path for path in (RECIPES / "builders").glob("*.sh") if path.stem != "buildah")
"""Those whose builder has a stand-in; buildah itself is run below."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_builder_writes_is_pushed(
    script: Path, open_registry: DebianRegistry, real_images: RealImages, skopeo: Skopeo, tmp_path: Path
) -> None:
    workshop = Workshop(tmp_path, real_images, open_registry.host)
    target = f"{open_registry.host}/builders/{script.stem}"
    shutil.copy(script, workshop.place("work") / "recipe.sh")

    done = workshop.run(["/bin/sh", "recipe.sh"], env={"DESTINATION": f"{target}:1,latest", "TMPDIR": "/work"})

    image = getattr(real_images, WRITES[script.stem])
    assert skopeo.tags(f"docker://{target}") == ["1", "latest"]
    assert done.out == "".join(f"{target}:{tag}@{skopeo.digest(f'docker://{target}:1')}\n" for tag in ("1", "latest"))
    assert skopeo.config(f"docker://{target}:latest") == skopeo.config(image.reference)


def test_what_buildah_itself_writes_is_pushed(open_registry: DebianRegistry, skopeo: Skopeo, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "Containerfile").write_text('FROM scratch\nCOPY greeting.txt /\nCMD ["/greeting.txt"]\n')
    (folder / "greeting.txt").write_text("hello\n")
    target = f"{open_registry.host}/builders/real-buildah"
    storage = tmp_path / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n')
    env = clean_environment(
        tmp_path / "home",
        {
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_STORAGE_CONF": str(storage),
            "DESTINATION": f"{target}:1",
            "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        },
    )
    # Without root, its files need a namespace in which this user is root.
    before = [] if os.geteuid() == 0 else ["buildah", "unshare"]

    run([*before, "sh", RECIPES / "builders" / "buildah.sh"], env=env, cwd=folder)

    assert json.loads(skopeo.config(f"docker://{target}:1"))["config"]["Cmd"] == ["/greeting.txt"]
