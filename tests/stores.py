"""A small store of containers-storage, made by hand: as podman's library writes it, and as it never would."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from images import config_of

from oci_push.model import media
from oci_push.model.digest import Digest


@dataclass
class StoreWriter:
    """Write a store into `root`; `images` and `layers` are what its JSON files hold, written by `write`."""

    root: Path
    driver: str = "overlay"
    images: list[dict[str, Any]] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Give what stands before an image's name."""
        return f"containers-storage:[{self.driver}@{self.root}]"

    def content(self, layer: str) -> Path:
        """Give the folder of a layer's files."""
        return (
            self.root
            / ("vfs/dir" if self.driver == "vfs" else "overlay")
            / layer
            / ("" if self.driver == "vfs" else "diff")
        )

    def split(self, layer: str) -> Path:
        """Give a layer's tar-split."""
        return self.root / f"{self.driver}-layers" / f"{layer}.tar-split.gz"

    def data(self, image: str, key: str) -> Path:
        """Give the file of what is kept with an image."""
        plain = key.isascii() and all(letter.islower() or letter.isdigit() or letter == "." for letter in key)
        return (
            self.root
            / f"{self.driver}-images"
            / image
            / (key if plain else f"={base64.b64encode(key.encode()).decode()}")
        )

    def add(self, *tars: bytes, names: tuple[str, ...] = (), pulled: bool = False, **fields: object) -> str:
        """Add an image of these layers and give its ID; one that was `pulled` names its layers as gzip."""
        config = config_of(*tars)
        identity = Digest.of(config).encoded
        listed = []
        above = ""
        for number, tar in enumerate(tars):
            layer = Digest.of(f"{above}{number}".encode() + tar).encoded
            self._layer(layer, above, tar)
            packed = gzip.compress(tar, mtime=7)
            kind, content = (media.OCI_LAYER_GZIP, packed) if pulled else (media.OCI_LAYER, tar)
            listed.append({"mediaType": kind, "digest": str(Digest.of(content)), "size": len(content)})
            above = layer
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": media.OCI_MANIFEST,
                "config": {"mediaType": media.OCI_CONFIG, "digest": f"sha256:{identity}", "size": len(config)},
                "layers": listed,
                "annotations": {"made": "here"},
            },
            separators=(",", ":"),
        ).encode()
        self.keep(identity, "manifest", manifest)
        self.keep(identity, f"sha256:{identity}", config)
        record = {"id": identity, "digest": str(Digest.of(manifest)), "names": list(names), "layer": above}
        self.images.append({**record, **fields})
        self.write()
        return identity

    def keep(self, image: str, key: str, content: bytes) -> None:
        """Keep something with an image."""
        path = self.data(image, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def write(self) -> None:
        """Write the JSON files."""
        for kind, found in (("images", self.images), ("layers", self.layers)):
            folder = self.root / f"{self.driver}-{kind}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{kind}.json").write_text(json.dumps(found))
            (folder / f"{kind}.lock").touch()

    def write_split(self, layer: str, *entries: dict[str, object]) -> None:
        """Write a tar-split of these lines."""
        lines = b"".join(json.dumps(one).encode() + b"\n" for one in entries)
        path = self.split(layer)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(lines, mtime=0))

    def _layer(self, layer: str, parent: str, tar: bytes) -> None:
        if any(one["id"] == layer for one in self.layers):
            return
        self.layers.append({"id": layer, "parent": parent, "diff-digest": str(Digest.of(tar)), "diff-size": len(tar)})
        folder = self.content(layer)
        folder.mkdir(parents=True)
        entries: list[dict[str, object]] = []
        at = 0
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            for member in archive.getmembers():
                self._unpack(folder, archive, member)
                if member.isreg() or member.islnk():
                    head = tar[at : member.offset_data]
                    size = member.size if member.isreg() else 0
                    entries += [raw(head), {"type": 1, "name": member.name, "size": size, "payload": "AAAAAAAAAAA="}]
                    at = member.offset_data + size
        self.write_split(layer, *entries, raw(tar[at:]))

    def _unpack(self, folder: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.isdir():
            path.mkdir(exist_ok=True)
        elif member.issym():
            path.symlink_to(member.linkname)
        elif member.islnk():
            path.hardlink_to(folder / member.linkname)
        elif not path.name.startswith(".wh."):
            taken = archive.extractfile(member)
            path.write_bytes(taken.read() if taken else b"")


def raw(content: bytes) -> dict[str, object]:
    """Make the line of a tar-split for bytes that are no file's."""
    return {"type": 2, "payload": base64.b64encode(content).decode(), "position": 0}
