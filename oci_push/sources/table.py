"""The sources, as one table: each form of a SOURCE, and what opens it. A new one is an entry here.

Help texts and errors list the forms as they stand in this table. What needs more than the layout to read is imported
when such a source is opened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from oci_push.errors import SourceError
from oci_push.events import Emit
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Reference
from oci_push.model.source import SourceForm, SourceGrammar, SourceSpec
from oci_push.runtime.context import Context
from oci_push.sources import layout
from oci_push.sources.base import ImageReader
from oci_push.sources.files import FileBody, SpoolSpace, unreadable
from oci_push.sources.option_effects import about_form
from oci_push.sources.readers import FolderView, View, read_small
from oci_push.sources.settings import Connect, Opening, ReadingPlace, SourceSettings, Surroundings


class SourceKind(SourceForm, frozen=True, kw_only=True):
    """One form of a SOURCE and what opens it."""

    open: Callable[[Opening], ImageReader]


def _registry(opening: Opening) -> ImageReader:
    from oci_push.sources.remote import RemoteSource

    if opening.connect is None:
        raise ValueError("a registry source is opened with connections")
    reference = Reference.parse(opening.spec.path)
    if opening.places:
        from oci_push.sources.mirrored import MirroredSource

        return MirroredSource(reference, opening)
    client = opening.connect(reference.repository)
    return RemoteSource(client, reference, opening.spool, keep=opening.keeps, known=opening.settings.known)


def _storage(opening: Opening) -> ImageReader:
    from oci_push.sources.storage.source import open_storage

    return open_storage(opening)


def _layout(opening: Opening, view: View) -> ImageReader:
    return layout.LayoutSource(view, opening.spec.ref, opening.settings.limits, opening.spool)


def by_content(opening: Opening, view: View) -> ImageReader:
    """Open what holds an OCI layout, the ``manifest.json`` of docker save, or both."""
    from oci_push.sources import archive_images, docker_archive

    settings, ref = opening.settings, opening.spec.ref
    has_layout = read_small(view, "oci-layout", settings.limits) is not None
    images = archive_images.read_images(view, settings)
    if has_layout and (images is None or _is_complete(view, ref, settings=settings)):
        return _layout(opening, view)
    if images is not None:
        chosen = archive_images.choose(images, ref, view.name)
        return docker_archive.DockerArchiveSource(view, chosen, settings, opening.spool, opening.emit)
    raise SourceError(
        f"{view.name}: holds no image (neither an OCI layout nor manifest.json)",
        hint="give an OCI layout, an OCI archive or the output of docker save",
    )


def view_of(opening: Opening, wants: str = "") -> View:
    """Return what is named: a ``file``, a ``folder`` or ``stdin`` if `wants` says so, else a file or folder.

    Raises `SourceError` where it is another, not there, or no tar.
    """
    spec = opening.spec
    if "\0" in spec.path:
        raise SourceError(f"{spec.path!r}: a path cannot hold a zero byte")
    if wants != "stdin" and os.path.isdir(spec.path):
        if wants == "file":
            raise SourceError(f"{spec.path}: is a folder, {spec.kind} wants a file", hint=f"write oci:{spec.path}")
        return FolderView(spec.path, Path(spec.path))
    from oci_push.sources.tars import open_tar  # a folder needs none of what reads tars

    limits = opening.settings.limits
    path = Path(spec.path)
    if wants == "stdin":
        stream = opening.around.stdin or (sys.stdin.buffer if sys.stdin else None)
        if stream is None:
            raise SourceError("source -: stdin is closed", hint="pipe the archive in, or name its file")
        return open_tar("stdin", stream, opening.spool, opening.context, limits)
    try:
        file = path.open("rb")
    except FileNotFoundError as problem:
        # Other programs write oci://HOST/REPO for a registry.
        hint = f"a registry is written docker:{spec.path}" if spec.text.startswith("oci://") else "check the path"
        raise SourceError(f"{spec.path}: no such file or folder", hint=hint) from problem
    except OSError as problem:
        raise unreadable(spec.path, problem) from problem
    opening.spool.adopt(file)
    if wants == "folder":
        raise SourceError(f"{spec.path}: is a file, {spec.kind} wants a folder", hint=f"write oci-archive:{spec.path}")
    return open_tar(spec.path, file, opening.spool, opening.context, limits)


def _by(read: Callable[[Opening, View], ImageReader], wants: str = "") -> Callable[[Opening], ImageReader]:
    return lambda opening: read(opening, view_of(opening, wants))


SOURCES = (
    SourceKind("oci:", "oci", "oci:DIR[:REF]", open=_by(_layout, "folder")),
    SourceKind("oci-archive:", "oci-archive", "oci-archive:FILE[:REF]", open=_by(_layout, "file")),
    SourceKind("docker-archive:", "docker-archive", "docker-archive:FILE[:REF]", open=_by(by_content, "file")),
    SourceKind("containers-storage:", "storage", "containers-storage:IMAGE", is_whole=True, open=_storage),
    SourceKind("docker://", "registry", "docker://HOST/REPO[:TAG]", is_image=True, open=_registry),
    SourceKind("", "registry", "HOST/REPO[:TAG] where HOST has a dot, a port or is localhost", open=_registry),
    SourceKind("", "file", "a path (told by its content)", open=_by(by_content)),
    SourceKind("", "stdin", "- for a tar on stdin", open=_by(by_content, "stdin")),
)


def open_source(
    spec: SourceSpec,
    settings: SourceSettings,
    *,
    context: Context,
    emit: Emit,
    connect: Connect | None = None,
    keeps: bool = False,
    around: Surroundings | None = None,
    places: tuple[ReadingPlace, ...] = (),
) -> ImageReader:
    """Open a source. `connect` gives the client of a repository; with `keeps` its blobs are downloaded once and kept.

    `around` is what it is found by on this machine, `places` are where an image of a registry is read in the place of
    that, in the order of trying. Raises `SourceError`.
    """
    spool = SpoolSpace(settings.temp_folder, settings.spool_bytes)
    opening = Opening(spec, settings, spool, context, emit, connect, keeps, places, around or Surroundings())
    try:
        return next(kind for kind in SOURCES if kind.kind == spec.kind).open(opening)
    except BaseException:
        spool.close()
        raise


def _is_complete(view: View, ref: str, *, settings: SourceSettings) -> bool:
    """Return whether the OCI half of a Docker 25+ archive can be used: it keeps the image's true digests.

    Not where its layers lie there uncompressed, as the classic image store writes them: those are compressed,
    unless the user said not to.
    """
    from oci_push.model import media
    from oci_push.model.manifest import Manifest

    seen: set[Digest] = set()

    def check(descriptor: Descriptor, body: FileBody) -> bool:
        if descriptor.digest in seen:
            return True
        seen.add(descriptor.digest)
        if body.size > media.MAX_MANIFEST_BYTES:
            return False
        node = Manifest.parse(body.read(), descriptor.media_type, descriptor.digest)
        if any(about_form(settings, (node,))):
            return False  # the other half can be made into what is asked for
        for child in (*node.children, *node.blobs):
            if media.is_foreign_layer(child.media_type) and child.urls and not settings.foreign_layers:
                continue
            found = view.find(layout.blob_path(child.digest))
            if found is None or found.size != child.size:
                return False
            if child.media_type in (media.OCI_LAYER, media.DOCKER_LAYER) and settings.compression != "none":
                return False
            if child.media_type in media.MANIFESTS and not check(child, found):
                return False
        return True

    try:
        entries = layout.index_entries(view, settings.limits)
        root = layout.only(layout.counted(entries, ref, view.name, lambda entry: False), view.name)
        body = view.find(layout.blob_path(root.digest))
        return body is not None and check(root, body)
    except (SourceError, ValueError):
        return False


def path_exists(text: str) -> bool:
    """Return whether a file or folder of this name exists."""
    return bool(text) and os.path.exists(text)


GRAMMAR = SourceGrammar(SOURCES, path_exists)
"""What a SOURCE text means on this machine."""
