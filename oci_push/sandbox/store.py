"""What the sandbox holds: blobs, manifests and tags of every repository. Open uploads are in `uploads`.

The disk is the truth (`layout` says in which form); manifests and tags of a repository are read from it once.
One lock guards them. Nothing large happens under it: blobs are hashed elsewhere and renamed or linked here.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.sandbox import layout
from oci_push.sandbox.uploads import UploadInfo, Uploads


class StoredManifest(Struct, frozen=True):
    """A manifest that is held: what a referrers list says of it, and what it is a referrer of."""

    descriptor: Descriptor
    subject: Digest | None = None


class _Contents(Struct):
    manifests: dict[Digest, StoredManifest] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)


class Store:
    """Keep repositories below `root`; every method may be called from any thread.

    Repository names are taken as checked: `routes` does that before anything here sees them.
    """

    def __init__(self, root: Path, uploads: Uploads) -> None:
        self._root = root
        self._uploads = uploads
        self._lock = threading.RLock()
        self._contents: dict[str, _Contents] = {}
        self._repositories = set(layout.find_repositories(root))
        self._holders: dict[str, set[str]] = {}
        for repository in self._repositories:
            for digest in layout.find_blobs(root, repository):
                self._note_holder(digest, repository)

    def repositories(self) -> tuple[str, ...]:
        """Return the names of all repositories, sorted."""
        with self._lock:
            return tuple(sorted(self._repositories))

    def uploads(self) -> tuple[UploadInfo, ...]:
        """Return the uploads that are open."""
        return self._uploads.all()

    def blob_exists(self, repository: str, digest: Digest | str) -> bool:
        """Return whether a repository holds these bytes, as blob or as manifest."""
        return self.blob_size(repository, digest) is not None

    def blob_size(self, repository: str, digest: Digest | str) -> int | None:
        """Return the size of a blob in bytes, or ``None`` where there is none."""
        try:
            return self.blob_path(repository, digest).stat().st_size
        except FileNotFoundError:
            return None

    def blob_path(self, repository: str, digest: Digest | str) -> Path:
        """Return the file that holds a blob, or would."""
        return layout.blob_path(self._root, repository, _digest(digest))

    def add_blob(self, repository: str, digest: Digest, file: Path) -> None:
        """Move a complete, checked file into a repository."""
        with self._lock:
            self._create(repository)
            target = self.blob_path(repository, digest)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
            self._note_holder(str(digest), repository)

    def link_blob(self, source: str, target: str, digest: Digest) -> bool:
        """Put a blob of one repository into another too; return whether it was there."""
        with self._lock:
            if not self.blob_exists(source, digest):
                return False
            self._create(target)
            self._note_holder(str(digest), target)
            there = self.blob_path(target, digest)
            if there.exists():
                return True
            there.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(self.blob_path(source, digest), there)
            except OSError:  # a file system without hard links
                temporary = there.with_name(f"_new-{there.name}")
                shutil.copyfile(self.blob_path(source, digest), temporary)
                temporary.replace(there)
            return True

    def holders(self, digest: str) -> tuple[str, ...]:
        """Return the repositories that may hold a blob, sorted: those that did, and no others."""
        with self._lock:
            return tuple(sorted(self._holders.get(digest, ())))

    def remove_blob(self, repository: str, digest: Digest) -> bool:
        """Delete a blob that is not a manifest; return whether it was there."""
        with self._lock:
            if digest in self._of(repository).manifests:
                return False
            try:
                self.blob_path(repository, digest).unlink()
            except FileNotFoundError:
                return False
            return True

    def manifest(self, repository: str, reference: Digest | str) -> bytes | None:
        """Return the bytes of a manifest named by tag or digest."""
        with self._lock:
            found = self.find_manifest(repository, reference)
            return self.blob_path(repository, found.descriptor.digest).read_bytes() if found else None

    def find_manifest(self, repository: str, reference: Digest | str) -> StoredManifest | None:
        """Return the manifest named by tag or digest."""
        with self._lock:
            contents = self._of(repository)
            if isinstance(reference, str) and ":" not in reference:
                digest = contents.tags.get(reference)
                return contents.manifests.get(digest) if digest else None
            return contents.manifests.get(_digest(reference))

    def add_manifest(self, repository: str, stored: StoredManifest, raw: bytes, tags: tuple[str, ...]) -> None:
        """Keep a checked manifest and point `tags` at it."""
        with self._lock:
            self._create(repository)
            contents = self._of(repository)
            digest = stored.descriptor.digest
            if digest not in contents.manifests:
                layout.replace(self.blob_path(repository, digest), raw)
                self._note_holder(str(digest), repository)
            contents.manifests[digest] = stored
            contents.tags.update(dict.fromkeys(tags, digest))
            self._write(repository)

    def tags(self, repository: str) -> tuple[str, ...]:
        """Return the tags of a repository, sorted."""
        with self._lock:
            return tuple(sorted(self._of(repository).tags))

    def manifests(self, repository: str) -> tuple[StoredManifest, ...]:
        """Return every manifest of a repository, in the order in which they came."""
        with self._lock:
            return tuple(self._of(repository).manifests.values())

    def remove_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag and leave its manifest; return whether it was there."""
        with self._lock:
            contents = self._of(repository)
            if contents.tags.pop(tag, None) is None:
                return False
            self._write(repository)
            return True

    def remove_manifest(self, repository: str, digest: Digest) -> bool:
        """Delete a manifest and every tag of it; return whether it was there."""
        with self._lock:
            contents = self._of(repository)
            if contents.manifests.pop(digest, None) is None:
                return False
            contents.tags = {tag: target for tag, target in contents.tags.items() if target != digest}
            self._write(repository)
            self.blob_path(repository, digest).unlink(missing_ok=True)
            return True

    def _note_holder(self, digest: str, repository: str) -> None:
        self._holders.setdefault(digest, set()).add(repository)

    def _create(self, repository: str) -> None:
        if repository not in self._repositories:
            layout.create(self._root, repository)
            self._repositories.add(repository)

    def _of(self, repository: str) -> _Contents:
        contents = self._contents.get(repository)
        if contents is not None:
            return contents
        contents = _Contents()
        if repository not in self._repositories:
            return contents
        for entry in layout.read_index(self._root, repository):
            digest = entry.descriptor.digest
            if digest not in contents.manifests:
                raw = self.blob_path(repository, digest).read_bytes()
                contents.manifests[digest] = describe(raw, entry.descriptor.media_type, digest)
            if entry.tag:
                contents.tags[entry.tag] = digest
        self._contents[repository] = contents
        return contents

    def _write(self, repository: str) -> None:
        contents = self._of(repository)
        tagged = set(contents.tags.values())
        entries = [layout.Entry(contents.manifests[digest].descriptor, tag) for tag, digest in contents.tags.items()]
        entries += [layout.Entry(m.descriptor) for digest, m in contents.manifests.items() if digest not in tagged]
        layout.write_index(self._root, repository, entries)


def describe(raw: bytes, media_type: str, digest: Digest) -> StoredManifest:
    """Read from manifest bytes what is kept of them; raise ``ValueError`` saying what is wrong.

    Of a media type that is not known only ``subject``, ``artifactType`` and ``annotations`` are looked at.
    """
    if media_type in media.MANIFESTS:
        manifest = Manifest.parse(raw, media_type, digest)
        # distribution-spec, "Listing Referrers": without artifactType an image's config type stands for it.
        artifact_type = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
        annotations: Mapping[str, str] = manifest.annotations
        subject = manifest.subject
    else:
        value = load_json(raw, "manifest")
        said, notes = value.get("artifactType"), value.get("annotations")
        artifact_type = said if isinstance(said, str) else ""
        annotations = {k: v for k, v in notes.items() if isinstance(v, str)} if isinstance(notes, dict) else {}
        subject = Descriptor.from_json(value["subject"], "subject") if value.get("subject") is not None else None
    descriptor = Descriptor(media_type, digest, len(raw), annotations, artifact_type=artifact_type)
    return StoredManifest(descriptor, subject.digest if subject else None)


def _digest(value: Digest | str) -> Digest:
    return value if isinstance(value, Digest) else Digest.parse(value)
