"""Images made by the programs people make images with: `umoci`, `buildah` and `skopeo`. No base image, no network.

All are small and the same on every run: times are fixed, contents written here.
"""

from __future__ import annotations

import json
import os
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
class ImageStore:
    """Say where buildah keeps images: `root` is the storage folder, `name` an image in it."""

    root: Path
    run_root: Path
    driver: str
    name: str


@dataclass(frozen=True, slots=True)
class RealImages:
    """Hold one image of every form.

    `layout` (two layers by umoci) and `layout_archive` are OCI; `archive` is what `podman save` writes, with two
    layers not compressed; `several` is an index over amd64 and arm64; `store` is buildah's containers-storage.
    """

    layout: RealImage
    layout_archive: RealImage
    archive: RealImage
    several: RealImage
    store: ImageStore

    @property
    def single(self) -> tuple[RealImage, ...]:
        """Give those of one platform."""
        return (self.layout, self.layout_archive, self.archive)


def make_real_images(folder: Path) -> RealImages:
    """Make all of them under `folder`, which is new."""
    folder.mkdir(parents=True, exist_ok=True)
    content = _write_content(folder / "content")
    layout = _make_layout(folder, content)
    builder = _Buildah(folder)
    layout_archive = builder.make_archive(content, "oci-archive", "OCI")
    archive = builder.make_archive(content, "docker-archive", "docker")
    several = builder.make_several(content)
    return RealImages(layout, layout_archive, archive, several, builder.store())


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


def _make_layout(folder: Path, content: Path) -> RealImage:
    env = clean_environment(folder / "home-umoci")
    path, tag = folder / "layout", "v1"
    image = f"{path}:{tag}"
    history = [f"--history.created={_EPOCH}"]
    run(["umoci", "init", "--layout", path], env=env)
    run(["umoci", "new", "--image", image], env=env)
    run(["umoci", "insert", *history, "--image", image, content / "greeting.txt", "/greeting.txt"], env=env)
    run(["umoci", "insert", *history, "--image", image, content / "numbers.txt", "/numbers.txt"], env=env)
    settings = ["--config.cmd=/greeting.txt", "--config.label=made.by=umoci", "--config.env=LANG=C.UTF-8"]
    run(["umoci", "config", *history, f"--created={_EPOCH}", *settings, "--image", image], env=env)
    # Every step above has left its manifest in the folder; only the last is part of the image.
    run(["umoci", "gc", "--layout", path], env=env)
    return RealImage("oci", path, tag, "umoci")


class _Buildah:
    """Build from nothing. The `vfs` driver needs no kernel support and no mounts, so it works in any container."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder / "storage"
        self._run_root = folder / "storage-run"
        self._env = clean_environment(folder / "home-buildah", {"BUILDAH_ISOLATION": "chroot"})
        self._policy = folder / "policy.json"
        self._policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))

    def make_archive(self, content: Path, transport: str, name: str) -> RealImage:
        """Make an image of two layers and write it as an archive."""
        first = f"localhost/{name.lower()}-base:v1"
        self._build("scratch", content / "greeting.txt", first, "amd64")
        second = f"localhost/{name.lower()}:v1"
        self._build(first, content / "numbers.txt", second, "amd64")
        path = self._folder / f"{transport}.tar"
        self._push(
            second, f"{transport}:{path}:{second}" if transport == "docker-archive" else f"{transport}:{path}:v1"
        )
        return RealImage(transport, path, second if transport == "docker-archive" else "v1", "buildah")

    def make_several(self, content: Path) -> RealImage:
        """Make an index over two platforms, as a layout folder."""
        names = {architecture: f"localhost/several-{architecture}:v1" for architecture in ("amd64", "arm64")}
        self._buildah("manifest", "create", "localhost/several:v1")
        for architecture, name in names.items():
            self._build("scratch", content / "greeting.txt", name, architecture)
            self._buildah("manifest", "add", "localhost/several:v1", f"containers-storage:{name}")
        path = self._folder / "several"
        signature = f"--signature-policy={self._policy}"
        self._buildah("manifest", "push", "--quiet", signature, "--all", "localhost/several:v1", f"oci:{path}:v1")
        return RealImage("oci", path, "v1", "buildah")

    def store(self) -> ImageStore:
        """Give the storage that all of the above are kept in."""
        return ImageStore(self._root, self._run_root, "vfs", "localhost/docker:v1")

    def _build(self, base: str, file: Path, name: str, architecture: str) -> None:
        container = self._buildah("from", "--quiet", f"--signature-policy={self._policy}", "--pull-never", base)
        self._buildah("add", "--quiet", container, str(file), f"/{file.name}")
        self._buildah("config", f"--arch={architecture}", "--os=linux", f"--cmd=/{file.name}", container)
        commit = ["--quiet", f"--signature-policy={self._policy}", "--timestamp=0", "--format=oci", "--rm"]
        self._buildah("commit", *commit, container, name)

    def _push(self, name: str, target: str) -> None:
        self._buildah("push", "--quiet", f"--signature-policy={self._policy}", name, target)

    def _buildah(self, *arguments: str) -> str:
        storage = [f"--root={self._root}", f"--runroot={self._run_root}", "--storage-driver=vfs"]
        return run(["buildah", *storage, *arguments], env=self._env).text
