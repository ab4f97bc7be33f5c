"""Small images in every form a source may have, made by hand: the same bytes on every run."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path

from oci_push.model import media
from oci_push.model.digest import Digest


def tar_of(*files: tuple[str, bytes | tarfile.TarInfo]) -> bytes:
    """Make a tar of files (name, bytes) and of ready headers (name, TarInfo)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def link(name: str, target: str, *, hard: bool = False) -> tuple[str, tarfile.TarInfo]:
    """Make a link's header."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
    info.linkname = target
    return name, info


def layer(seed: int, size: int = 3000) -> bytes:
    """Make an uncompressed layer that does not compress to nothing."""
    noise = b"".join(hashlib.sha256(f"{seed}:{n}".encode()).digest() for n in range(size // 64 + 1))
    return tar_of((f"file-{seed}", noise[: size // 2] + b"\0" * (size // 2)))


def config_of(*layers: bytes) -> bytes:
    """Make the image config that names these layers by diff_id."""
    ids = [str(Digest.of(one)) for one in layers]
    value = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}
    return json.dumps(value).encode()


@dataclass(frozen=True, slots=True)
class Layout:
    """Hold a layout's folder, its root digest, and the sizes of its blobs by digest."""

    path: Path
    digest: str
    blobs: dict[str, int]


def noise(size: int, seed: int = 1) -> bytes:
    """Make bytes that are never twice the same inside a blob, so that a piece in the wrong place shows."""
    source = random.Random(seed)
    return b"".join(source.randbytes(min(1 << 20, size - start)) for start in range(0, size, 1 << 20))


class LayoutWriter:
    """Write an OCI layout piece by piece; `sizes` are those of its blobs by digest, manifests left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}
        path.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes, kind: str, algorithm: str = "sha256") -> dict[str, object]:
        """Store content under its digest and describe it."""
        digest = Digest.of(content, algorithm)
        file = self.path / "blobs" / algorithm / digest.encoded
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if kind not in media.MANIFESTS:
            self.sizes[str(digest)] = len(content)
        return {"mediaType": kind, "digest": str(digest), "size": len(content)}

    def image(self, *layers: bytes, algorithm: str = "sha256", **fields: object) -> dict[str, object]:
        """Store an image of gzip layers, with more fields in its manifest, and describe it."""
        described = [self.put(gzip.compress(one, mtime=0), media.OCI_LAYER_GZIP) for one in layers]
        config = self.put(config_of(*layers), media.OCI_CONFIG)
        return self.manifest({"config": config, "layers": described, **fields}, media.OCI_MANIFEST, algorithm)

    def index(self, *children: dict[str, object], **fields: object) -> dict[str, object]:
        """Store an index of what has been described, and describe it."""
        return self.manifest({"manifests": children, **fields}, media.OCI_INDEX)

    def manifest(self, fields: dict[str, object], kind: str, algorithm: str = "sha256") -> dict[str, object]:
        """Store a manifest of these fields and describe it."""
        return self.put(json.dumps({"schemaVersion": 2, "mediaType": kind, **fields}).encode(), kind, algorithm)

    def close(self, root: dict[str, object], tag: str = "latest") -> Layout:
        """Write ``index.json`` with this one image."""
        entry = {**root, "annotations": {"org.opencontainers.image.ref.name": tag}}
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        return Layout(self.path, str(root["digest"]), dict(self.sizes))


def make_layout(path: Path, *layers: bytes, tag: str = "latest") -> Layout:
    """Write an OCI layout with one image of gzip layers."""
    writer = LayoutWriter(path)
    return writer.close(writer.image(*layers), tag)


def make_raw_layout(path: Path, *blobs: bytes) -> Layout:
    """Write an OCI layout with one artifact whose layers are these very bytes."""
    writer = LayoutWriter(path)
    layers = [writer.put(blob, "application/octet-stream") for blob in blobs]
    config = writer.put(b"{}", "application/vnd.oci.empty.v1+json")
    return writer.close(writer.manifest({"config": config, "layers": layers}, media.OCI_MANIFEST))


def tar_folder(folder: Path) -> bytes:
    """Make a tar of a folder's files."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return tar_of(*((str(one.relative_to(folder)), one.read_bytes()) for one in files))


def docker_archive(*files: tuple[str, bytes | tarfile.TarInfo], config: bytes, paths: list[str]) -> bytes:
    """Make a docker-archive whose manifest.json names `paths` as layers; `files` are its other members."""
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["team/app:1"], "Layers": paths}]).encode()
    return tar_of(*files, ("config.json", config), ("manifest.json", manifest))
