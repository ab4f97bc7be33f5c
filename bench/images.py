"""The images that the bench pushes: OCI layouts with one reference `v1`, and a tar as `docker save` writes it.

Every byte comes from a seeded generator, so two machines push the same. Layers of layouts are valid tars in gzip that
hold noise (no client has a reason to touch them); those of the saved image are plain tars that shrink by about half.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB

PLATFORMS = 100
PIPELINE_IMAGES = 10
_TYPICAL = (MIB // 10, MIB // 2, 2 * MIB, 8 * MIB, 24 * MIB, 50 * MIB, 90 * MIB, 120 * MIB)
_SAVED = (120 * MIB, 80 * MIB, 60 * MIB, 40 * MIB, 20 * MIB)
_SMALLEST_SCALED = MIB
_VERSION = "1"  # a new one makes the images of older versions again


class Images:
    """The folder of all images; `scale` shrinks layers of a mebibyte and more, the number of layers stays."""

    def __init__(self, folder: Path, scale: float) -> None:
        self.folder = folder
        self._scale = scale

    def layout(self, name: str) -> Path:
        """Return the folder of an OCI layout."""
        return self.folder / name

    def pipeline(self) -> tuple[Path, ...]:
        """Return the layouts of ten different images."""
        return tuple(self.folder / f"pipeline-{number}" for number in range(PIPELINE_IMAGES))

    @property
    def saved(self) -> Path:
        """The tar of `docker save`."""
        return self.folder / "saved.tar"

    def make(self, names: Iterable[str]) -> None:
        """Write the images of these names, but for those that an earlier run has written."""
        for name in names:
            done = self.folder / f"{name}.made"
            stamp = f"{_VERSION} {self._scale}"
            if not done.exists() or done.read_text() != stamp:
                self._make(name)
                done.write_text(stamp)

    def _make(self, name: str) -> None:
        for old in self.folder.glob(f"{name}*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        match name:
            case "big":
                _Layout(self.layout(name)).finish_image([self._sized(256 * MIB)] * 4)
            case "typical":
                _Layout(self.layout(name)).finish_image([self._sized(size) for size in _TYPICAL])
            case "many":
                _Layout(self.layout(name)).finish_image([256 * KIB] * 60)
            case "small":
                _Layout(self.layout(name)).finish_image([20 * KIB] * 3)
            case "index":
                _Layout(self.layout(name)).finish_index(4, [self._sized(size * MIB) for size in (1, 6, 24)])
            case "platforms":
                _Layout(self.layout(name)).finish_index(PLATFORMS, [20 * KIB] * 3)
            case "pipeline":
                for path in self.pipeline():
                    _Layout(path).finish_image([300 * KIB] * 3)
            case "saved":
                _write_saved(self.saved, [self._sized(size) for size in _SAVED])
            case _:
                raise ValueError(f"no image is called {name}")

    def _sized(self, size: int) -> int:
        return size if size < _SMALLEST_SCALED else max(int(size * self._scale), 64 * KIB)


class _Layout:
    """An OCI layout that is being written; layouts of different names share no layer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        self._noise = random.Random(folder.name)

    def finish_image(self, sizes: Sequence[int], *, shared: int = 0) -> None:
        """Write an image; a layer of `shared` bytes is the same in every image that has one of that size."""
        own, self._noise = self._noise, random.Random("shared")
        first = [self._layer(shared)] if shared else []
        self._noise = own
        self._finish(self._image(sizes, "amd64", "", first))

    def finish_index(self, platforms: int, sizes: Sequence[int]) -> None:
        children = []
        for number in range(platforms):
            platform = {"architecture": "arm", "os": "linux", "variant": f"v{number}"}
            children.append({**self._image(sizes, "arm", f"v{number}"), "platform": platform})
        media_type = "application/vnd.oci.image.index.v1+json"
        self._finish(self._write(media_type, {"schemaVersion": 2, "mediaType": media_type, "manifests": children}))

    def _image(
        self, sizes: Sequence[int], architecture: str, variant: str, first: Sequence[tuple[dict[str, object], str]] = ()
    ) -> dict[str, object]:
        layers, diff_ids = [layer for layer, _ in first], [diff_id for _, diff_id in first]
        for size in sizes:
            layer, diff_id = self._layer(size)
            layers.append(layer)
            diff_ids.append(diff_id)
        config = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        if variant:
            config["variant"] = variant
        media_type = "application/vnd.oci.image.manifest.v1+json"
        described = self._write("application/vnd.oci.image.config.v1+json", config)
        manifest = {"schemaVersion": 2, "mediaType": media_type, "config": described, "layers": layers}
        return self._write(media_type, manifest)

    def _layer(self, size: int) -> tuple[dict[str, object], str]:
        """Write a layer of about `size` bytes: gzip at level 0, which takes no time and is as long as its content."""
        unfinished = self._blobs / "unfinished"
        packer = zlib.compressobj(0, wbits=31)
        packed, plain, length = hashlib.sha256(), hashlib.sha256(), 0
        with unfinished.open("wb") as out:

            def put(data: bytes) -> None:
                nonlocal length
                packed.update(data)
                length += out.write(data)

            for piece in _tar_of_one_file(size, self._noise.randbytes):
                plain.update(piece)
                put(packer.compress(piece))
            put(packer.flush())
        unfinished.rename(self._blobs / packed.hexdigest())
        media_type = "application/vnd.oci.image.layer.v1.tar+gzip"
        described = {"mediaType": media_type, "digest": f"sha256:{packed.hexdigest()}", "size": length}
        return described, f"sha256:{plain.hexdigest()}"

    def _write(self, media_type: str, value: object) -> dict[str, object]:
        data = json.dumps(value).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def _finish(self, root: dict[str, object]) -> None:
        root["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
        (self._folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
        (self._folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def write_images(folder: Path, count: int, *, shared: int, own: int) -> list[Path]:
    """Write layouts with one layer in common and one of their own; sizes in bytes."""
    folders = [folder / f"image{number}" for number in range(count)]
    for one in folders:
        _Layout(one).finish_image([own], shared=shared)
    return folders


class _Text:
    """Bytes that deflate shrinks to about half, as it does with programs: words and noise in turn."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        words = [self._random.randbytes(self._random.randint(2, 6)).hex().encode() for _ in range(4096)]
        parts: list[bytes] = []
        for _ in range(8 * MIB // (2 * KIB)):
            parts.append(b" ".join(self._random.choices(words, k=220)))
            parts.append(self._random.randbytes(300))
        self._pool = b"".join(parts)

    def read(self, size: int) -> bytes:
        pieces, length = [], 0
        while length < size:
            start = self._random.randrange(len(self._pool) - 256 * KIB)
            pieces.append(self._pool[start : start + 256 * KIB])
            length += 256 * KIB
        return b"".join(pieces)[:size]


def _tar_of_one_file(size: int, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield a tar with one file of `size` bytes, a mebibyte at a time; `read` takes a number of bytes."""
    entry = tarfile.TarInfo("data")
    entry.size = size
    yield entry.tobuf(tarfile.GNU_FORMAT)
    left = size
    while left:
        yield read(min(left, MIB))
        left -= min(left, MIB)
    yield bytes(-size % 512 + 1024)


def _write_saved(path: Path, sizes: Sequence[int]) -> None:
    """Write what `docker save` does: `manifest.json`, a config, and each layer as an uncompressed tar."""
    text = _Text(seed=7)
    layers, diff_ids = [], []
    with tarfile.open(path, "w") as archive:

        def add(name: str, size: int, data: io.BufferedIOBase) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, data)

        for size in sizes:
            unfinished = path.with_name("unfinished")
            running = hashlib.sha256()
            with unfinished.open("wb") as out:
                for piece in _tar_of_one_file(size, text.read):
                    running.update(piece)
                    out.write(piece)
            with unfinished.open("rb") as data:
                add(f"{running.hexdigest()}/layer.tar", unfinished.stat().st_size, data)
            unfinished.unlink()
            layers.append(f"{running.hexdigest()}/layer.tar")
            diff_ids.append(f"sha256:{running.hexdigest()}")
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        ).encode()
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = json.dumps([{"Config": name, "RepoTags": ["bench/saved:v1"], "Layers": layers}]).encode()
        add(name, len(config), io.BytesIO(config))
        add("manifest.json", len(manifest), io.BytesIO(manifest))
