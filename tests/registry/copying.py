"""Repositories to copy from: many small images that share layers, and images with what refers to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from equipment.sandbox import Sandbox
from images import Layout, LayoutWriter, layer
from program import program

from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, encode
from oci_push.sandbox.store import describe

SBOM, SIGNATURE = "application/spdx+json", "application/vnd.cncf.notary.signature"


def put(sandbox: Sandbox, repository: str, value: dict[str, object], *tags: str) -> Manifest:
    """Store a manifest, and an empty blob for each that it names, without a request."""
    raw = encode({"schemaVersion": 2, **value})
    manifest = Manifest.parse(raw, str(value["mediaType"]))
    sandbox.store.add_manifest(repository, describe(raw, manifest.media_type, manifest.digest), raw, tags)
    return manifest


def blob(sandbox: Sandbox, repository: str, content: bytes, folder: Path, kind: str) -> dict[str, object]:
    """Store a blob and describe it."""
    digest = Digest.of(content)
    file = folder / f"{repository.replace('/', '-')}-{digest.short}"
    file.write_bytes(content)
    sandbox.store.add_blob(repository, digest, file)
    return {"mediaType": kind, "digest": str(digest), "size": len(content)}


def many(sandbox: Sandbox, count: int, folder: Path, repository: str = "src", created: str = "2026-01-02") -> list[str]:
    """Store images 0 to `count` of two shared layers and a config each; gives their digests."""
    layers = [blob(sandbox, repository, layer(n), folder, media.OCI_LAYER_GZIP) for n in (1, 2)]
    found = []
    for number in range(count):
        content = json.dumps(
            {"architecture": "amd64", "os": "linux", "created": f"{created}T00:00:{number % 60:02}Z", "n": number}
        )
        config = blob(sandbox, repository, content.encode(), folder, media.OCI_CONFIG)
        value = {"mediaType": media.OCI_MANIFEST, "config": config, "layers": layers}
        found.append(str(put(sandbox, repository, value, f"1.{number}").digest))
    return found


def referrer(
    sandbox: Sandbox,
    subject: Manifest,
    kind: str,
    folder: Path,
    *tags: str,
    repository: str = "src",
    refers: bool = True,
) -> Manifest:
    """Store an artifact about a manifest; `refers` says that it names it as its subject."""
    content = blob(sandbox, repository, f"{kind} of {subject.digest}".encode(), folder, "text/plain")
    empty = blob(sandbox, repository, b"{}", folder, media.OCI_EMPTY)
    about = {"subject": subject.descriptor().to_json()} if refers else {}
    value = {"mediaType": media.OCI_MANIFEST, "artifactType": kind, "config": empty, "layers": [content], **about}
    return put(sandbox, repository, value, *tags)


def lists(sandbox: Sandbox, subject: Digest, referrers: Sequence[Manifest], repository: str = "src") -> Manifest:
    """Store the list that clients keep of what refers to a manifest."""
    children = [one.descriptor().to_json() for one in referrers]
    value = {"mediaType": media.OCI_INDEX, "manifests": children}
    return put(sandbox, repository, value, f"{subject.algorithm}-{subject.encoded}")


def referring(sandbox: Sandbox, subject: Digest, repository: str = "dst") -> set[str]:
    """Give the digests of what a registry with its own lists says refers to a manifest."""
    found = (one for one in sandbox.store.manifests(repository) if one.subject == subject)
    return {str(one.descriptor.digest) for one in found}


def listed(sandbox: Sandbox, subject: Digest, repository: str = "dst") -> set[str]:
    """Give the digests that the list which clients keep has."""
    raw = sandbox.store.manifest(repository, f"{subject.algorithm}-{subject.encoded}")
    return {str(one.digest) for one in Manifest.parse(raw).children} if raw else set()


def rooted(sandbox: Sandbox, layout: Layout, *tags: str, repository: str = "src") -> Manifest:
    """Push a layout; gives its root, and forgets the traffic."""
    name = f"{sandbox.address}/{repository}:{','.join(tags)}"
    program("push", f"oci:{layout.path}", name, "-q", "--no-memory", cwd=layout.path.parent)
    sandbox.traffic.clear()
    raw = sandbox.store.manifest(repository, tags[0])
    assert raw is not None
    return Manifest.parse(raw)


def one_image(folder: Path, seed: int = 1) -> Layout:
    """Write a layout of one image."""
    writer = LayoutWriter(folder)
    return writer.close(writer.image(layer(seed)))
