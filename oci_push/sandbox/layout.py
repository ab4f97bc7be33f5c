"""Where the sandbox keeps things on disk: one valid OCI image layout per repository (image-spec image-layout.md).

::

    <root>/_uploads/<id>                    data of open uploads, renamed into a repository when complete
    <root>/team/app/oci-layout              repository team/app
    <root>/team/app/index.json              every manifest, a tag as org.opencontainers.image.ref.name
    <root>/team/app/blobs/sha256/<hex>      blobs and manifests
    <root>/team/app/tools/oci-layout        repository team/app/tools, inside the folder of team/app

A repository's folder holds the three names of the layout and the folders of repositories below it, and a
repository may be called ``team/app/blobs``. So a component that equals one of the three names is stored with a
leading underscore, which the grammar of repository names does not allow: no two things have the same path.
Which manifest is tagged is `store`'s business.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import json_bytes, load_json
from oci_push.model.reference import is_tag

REF_NAME = "org.opencontainers.image.ref.name"
UPLOADS = "_uploads"
_RESERVED = frozenset({"blobs", "index.json", "oci-layout"})
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class Entry(Struct, frozen=True):
    """One line of an index.json: a manifest, and its tag or nothing."""

    descriptor: Descriptor
    tag: str = ""


def folder(root: Path, repository: str, *below: str) -> Path:
    """Return the folder of a repository whose name has been checked, or what is `below` it."""
    return root.joinpath(*(f"_{part}" if part in _RESERVED else part for part in repository.split("/")), *below)


def blob_path(root: Path, repository: str, digest: Digest) -> Path:
    """Return the file of a blob or manifest."""
    return folder(root, repository, "blobs", digest.algorithm, digest.encoded)


def find_blobs(root: Path, repository: str) -> Iterator[str]:
    """Find the digests of every blob and manifest of a repository; other files there may be among them."""
    for path in folder(root, repository, "blobs").glob("*/*"):
        yield f"{path.parent.name}:{path.name}"


def find_repositories(root: Path) -> Iterator[str]:
    """Find every repository below `root`."""
    for place, folders, files in os.walk(root):
        relative = Path(place).relative_to(root)
        # A folder called `blobs` is a layout's own: a repository's component of that name has an underscore.
        folders[:] = sorted(
            name for name in folders if name != "blobs" and not (name == UPLOADS and place == str(root))
        )
        if "oci-layout" in files and relative.parts:
            yield "/".join(part.removeprefix("_") for part in relative.parts)


def create(root: Path, repository: str) -> None:
    """Make the folder of a repository unless it exists; ``oci-layout`` comes last and makes it count."""
    mark = folder(root, repository, "oci-layout")
    if mark.exists():
        return
    folder(root, repository, "blobs", "sha256").mkdir(parents=True, exist_ok=True)
    write_index(root, repository, ())
    replace(mark, _VERSION)


def read_index(root: Path, repository: str) -> tuple[Entry, ...]:
    """Read the manifests of a repository; lines that are no descriptors of manifests here are passed over."""
    path = folder(root, repository, "index.json")
    try:
        listed = load_json(path.read_bytes(), str(path)).get("manifests")
    except FileNotFoundError:
        return ()
    entries = []
    for value in listed if isinstance(listed, list) else ():
        try:
            descriptor = Descriptor.from_json(value)
        except ValueError:
            continue
        name = descriptor.annotations.get(REF_NAME, "")
        if blob_path(root, repository, descriptor.digest).is_file():
            entries.append(Entry(descriptor, name if is_tag(name) else ""))
    return tuple(entries)


def write_index(root: Path, repository: str, entries: Iterable[Entry]) -> None:
    """Write the manifests of a repository."""
    manifests = []
    for entry in entries:
        value = entry.descriptor.to_json()
        value.pop("annotations", None)
        if entry.tag:
            value["annotations"] = {REF_NAME: entry.tag}
        manifests.append(value)
    index = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": manifests}
    replace(folder(root, repository, "index.json"), json_bytes(index))


def replace(path: Path, data: bytes) -> None:
    """Write a small file so that a reader sees the old or the new one; callers see to it that they are alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The grammar allows no leading underscore in repository names, so this is nobody's folder.
    temporary = path.with_name(f"_new-{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)
