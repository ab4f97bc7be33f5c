"""Images for the commands around a push, and traffic in short: what was asked, in order, as ``METHOD what``."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path

from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer
from program import program

from oci_push.model import media
from oci_push.model.digest import Digest


def image(writer: LayoutWriter, architecture: str, *layers: bytes, created: str, **runs: object) -> dict[str, object]:
    """Store an image with a config that says something, and describe it with its platform."""
    described = [writer.put(gzip.compress(one, mtime=0), media.OCI_LAYER_GZIP) for one in layers]
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {"Env": ["PATH=/bin"], "User": "1000", **runs},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(one)) for one in layers]},
        "history": [
            *({"created_by": f"RUN step-{number}"} for number, _ in enumerate(layers)),
            {"created_by": "ENV PATH=/bin", "empty_layer": True},
        ],
    }
    stored = writer.put(json.dumps(config).encode(), media.OCI_CONFIG)
    node = writer.manifest({"config": stored, "layers": described, "annotations": {"team": "a"}}, media.OCI_MANIFEST)
    return {**node, "platform": {"os": "linux", "architecture": architecture}}


def two_platforms(path: Path, *, seed: int = 1, created: str = "2026-01-02T03:04:05Z", **runs: object) -> Layout:
    """Write an index of two images, whose first layer is shared by all such images."""
    writer = LayoutWriter(path)
    children = [
        image(writer, name, layer(1), layer(100 * seed + number), created=created, **runs)
        for number, name in enumerate(("amd64", "arm64"))
    ]
    return writer.close(writer.index(*children))


def pushed(sandbox: Sandbox, layout: Layout, *tags: str, repository: str = "team/app") -> str:
    """Push a layout and forget the traffic of it; gives the repository with its host."""
    name = f"{sandbox.address}/{repository}"
    program("push", f"oci:{layout.path}", f"{name}:{','.join(tags)}", "-q", "--no-memory", cwd=layout.path.parent)
    sandbox.traffic.clear()
    return name


def asked(sandbox: Sandbox) -> list[str]:
    """Give the requests since the traffic was cleared, digests cut to what they are of."""
    return [f"{one.method} {_short(one.path)}" for one in sandbox.traffic.requests]


def _short(path: str) -> str:
    return re.sub(r"(sha256[:-])([0-9a-f]{4})[0-9a-f]{60}", r"\1\2", path.removeprefix("/v2/"))


def short(digest: object) -> str:
    """Give a digest as `asked` does."""
    return str(digest)[: len("sha256:") + 4]


def children_of(layout: Layout) -> Sequence[dict[str, object]]:
    """Give what a layout's index lists."""
    raw = (layout.path / "blobs/sha256" / layout.digest.partition(":")[2]).read_bytes()
    found: Sequence[dict[str, object]] = json.loads(raw)["manifests"]
    return found
