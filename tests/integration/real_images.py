"""Images made by programs that people make images with: `umoci` and `skopeo`. No base image, no network, no mounts.

All are small and the same on every run: times are fixed, contents written here. What builds in containers (`buildah`)
wants to mount, which a plain chroot and an unprivileged container refuse; its archives are written by the library that
skopeo has, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from programs import clean_environment, run

_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class RealImage:
    """Say where an image is. `transport` is skopeo's word for its form; `made_by` the program that wrote it."""

    transport: str
    path: Path
    tag: str
    made_by: str

    @property
    def reference(self) -> str:
        """Give it as skopeo is told it."""
        return f"{self.transport}:{self.path}:{self.tag}"


@dataclass(frozen=True, slots=True)
class RealImages:
    """Hold one image of every form.

    `layout` (two layers by umoci) and `layout_archive` are OCI; `archive` is what `podman save` writes as well, with
    two layers not compressed; `several` is an index over amd64 and arm64.
    """

    layout: RealImage
    layout_archive: RealImage
    archive: RealImage
    several: RealImage

    @property
    def single(self) -> tuple[RealImage, ...]:
        """Give those of one platform."""
        return (self.layout, self.layout_archive, self.archive)


def make_real_images(folder: Path) -> RealImages:
    """Make all of them under `folder`, which is new."""
    folder.mkdir(parents=True, exist_ok=True)
    content = _write_content(folder / "content")
    layout = _make_layout(folder, "layout", content)
    layout_archive = _convert(folder, layout, "oci-archive", "v1")
    archive = _convert(folder, layout, "docker-archive", "localhost/docker:v1")
    return RealImages(layout, layout_archive, archive, _make_several(folder, content))


def _write_content(folder: Path) -> Path:
    folder.mkdir()
    (folder / "greeting.txt").write_text("hello\n")
    # Too irregular to compress to nothing, and over the size of one read.
    numbers = "".join(f"{number * 2654435761 % 4294967296:08x}\n" for number in range(100_000))
    (folder / "numbers.txt").write_text(numbers)
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)
        os.utime(path, (0, 0))
    return folder


def _make_layout(folder: Path, name: str, content: Path, architecture: str = "amd64") -> RealImage:
    env = clean_environment(folder / "home-umoci")
    path, tag = folder / name, "v1"
    image = f"{path}:{tag}"
    history = [f"--history.created={_EPOCH}"]
    run(["umoci", "init", "--layout", path], env=env)
    run(["umoci", "new", "--image", image], env=env)
    run(["umoci", "insert", *history, "--image", image, content / "greeting.txt", "/greeting.txt"], env=env)
    run(["umoci", "insert", *history, "--image", image, content / "numbers.txt", "/numbers.txt"], env=env)
    settings = ["--config.cmd=/greeting.txt", "--config.label=made.by=umoci", "--config.env=LANG=C.UTF-8"]
    platform = ["--os=linux", f"--architecture={architecture}"]
    run(["umoci", "config", *history, f"--created={_EPOCH}", *settings, *platform, "--image", image], env=env)
    # Every step above has left its manifest in the folder; only the last is part of the image.
    run(["umoci", "gc", "--layout", path], env=env)
    return RealImage("oci", path, tag, "umoci")


def _convert(folder: Path, image: RealImage, transport: str, tag: str) -> RealImage:
    """Write an image as an archive."""
    made = RealImage(transport, folder / f"{transport}.tar", tag, "skopeo")
    env = clean_environment(folder / "home-skopeo")
    run(["skopeo", "--insecure-policy", "copy", "--quiet", image.reference, made.reference], env=env)
    return made


def _make_several(folder: Path, content: Path) -> RealImage:
    """Join an image for each of two platforms under an index, which neither program can write."""
    path, entries = folder / "several", list[dict[str, object]]()
    for architecture in ("amd64", "arm64"):
        one = _make_layout(folder, f"several-{architecture}", content, architecture)
        shutil.copytree(one.path, path, dirs_exist_ok=True)
        (entry,) = json.loads((one.path / "index.json").read_text())["manifests"]
        described = {name: entry[name] for name in ("mediaType", "digest", "size")}
        entries.append({**described, "platform": {"architecture": architecture, "os": "linux"}})
    kind = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
    digest = hashlib.sha256(index).hexdigest()
    (path / "blobs" / "sha256" / digest).write_bytes(index)
    name = {"org.opencontainers.image.ref.name": "v1"}
    top = {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(index), "annotations": name}
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return RealImage("oci", path, "v1", "umoci")
