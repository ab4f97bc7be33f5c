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
    return random.Random(seed).randbytes(size)


def make_layout(path: Path, *layers: bytes, tag: str = "latest", raw: bool = False) -> Layout:
    """Write an OCI layout with one image of gzip layers, or with `raw` of layers as they are given."""
    path.mkdir(parents=True, exist_ok=True)
    sizes: dict[str, int] = {}

    def put(content: bytes, kind: str) -> dict[str, object]:
        digest = Digest.of(content)
        file = path / "blobs" / "sha256" / digest.encoded
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        sizes[str(digest)] = len(content)
        return {"mediaType": kind, "digest": str(digest), "size": len(content)}

    described = [put(one if raw else gzip.compress(one, mtime=0), media.OCI_LAYER_GZIP) for one in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": put(config_of(*layers), media.OCI_CONFIG),
        "layers": described,
    }
    blobs = dict(sizes)
    root = put(json.dumps(manifest).encode(), media.OCI_MANIFEST)
    entry = {**root, "annotations": {"org.opencontainers.image.ref.name": tag}}
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return Layout(path, str(root["digest"]), blobs)


def tar_folder(folder: Path) -> bytes:
    """Make a tar of a folder's files."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return tar_of(*((str(one.relative_to(folder)), one.read_bytes()) for one in files))


def docker_archive(*files: tuple[str, bytes | tarfile.TarInfo], config: bytes, paths: list[str]) -> bytes:
    """Make a docker-archive whose manifest.json names `paths` as layers; `files` are its other members."""
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["team/app:1"], "Layers": paths}]).encode()
    return tar_of(*files, ("config.json", config), ("manifest.json", manifest))
