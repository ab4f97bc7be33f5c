"""The sources: which class reads each kind. What a SOURCE text means is `model.source`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from oci_push.errors import SourceError
from oci_push.events import Emit
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.source import SourceSpec
from oci_push.runtime.context import Context
from oci_push.sources import archive_images, docker_archive, layout
from oci_push.sources.base import ImageReader
from oci_push.sources.files import FileBody, SpoolSpace
from oci_push.sources.option_effects import about_form
from oci_push.sources.readers import FolderView, TarView, View, open_tar, read_small
from oci_push.sources.settings import SourceSettings


def open_source(
    spec: SourceSpec, settings: SourceSettings, *, context: Context, emit: Emit, stdin: BinaryIO | None = None
) -> ImageReader:
    """Open a source that is a file, a folder or stdin; ``registry`` is opened by who has connections."""
    spool = SpoolSpace(settings.temp_folder, settings.spool_bytes)
    try:
        view = _view(spec, settings, spool, context, stdin)
        return _by_content(view, spec, settings, spool, emit)
    except BaseException:
        spool.close()
        raise


def _view(
    spec: SourceSpec, settings: SourceSettings, spool: SpoolSpace, context: Context, stdin: BinaryIO | None
) -> View:
    if spec.kind == "registry":
        raise ValueError("a registry source is opened with connections")
    if spec.kind == "stdin":
        stream = stdin or (sys.stdin.buffer if sys.stdin else None)
        if stream is None:
            raise SourceError("source -: stdin is closed", hint="pipe the archive in, or name its file")
        return open_tar("stdin", stream, spool, context, settings.limits)
    path = Path(spec.path)
    if "\0" in spec.path:
        raise SourceError(f"{spec.path!r}: a path cannot hold a zero byte")
    if os.path.isdir(path):
        if spec.kind.endswith("archive"):
            raise SourceError(f"{spec.path}: is a folder, {spec.kind} wants a file", hint=f"write oci:{spec.path}")
        return FolderView(spec.path, path)
    try:
        file = path.open("rb")
    except FileNotFoundError as problem:
        # Other programs write oci://HOST/REPO for a registry.
        hint = f"a registry is written docker:{spec.path}" if spec.text.startswith("oci://") else None
        raise SourceError(f"{spec.path}: no such file or folder", hint=hint) from problem
    except OSError as problem:
        raise SourceError(f"{spec.path}: cannot be read ({problem.strerror})") from problem
    spool.adopt(file)
    if spec.kind == "oci":
        raise SourceError(f"{spec.path}: is a file, oci wants a folder", hint=f"write oci-archive:{spec.path}")
    return open_tar(spec.path, file, spool, context, settings.limits)


def _by_content(view: View, spec: SourceSpec, settings: SourceSettings, spool: SpoolSpace, emit: Emit) -> ImageReader:
    limits = settings.limits
    has_layout = spec.kind != "docker-archive" or isinstance(view, TarView)
    has_layout = has_layout and read_small(view, "oci-layout", limits) is not None
    images = None if spec.kind.startswith("oci") else archive_images.read_images(view, settings)
    if has_layout and (images is None or _is_complete(view, spec.ref, settings=settings)):
        return layout.LayoutSource(view, spec.ref, limits, spool)
    if images is not None:
        chosen = archive_images.choose(images, spec.ref, view.name)
        return docker_archive.DockerArchiveSource(view, chosen, settings, spool, emit)
    if spec.kind.startswith("oci"):
        return layout.LayoutSource(view, spec.ref, limits, spool)
    raise SourceError(
        f"{view.name}: holds no image (neither an OCI layout nor manifest.json)",
        hint="give an OCI layout, an OCI archive or the output of docker save",
    )


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
    """Return whether a file or folder of this name exists; the usual `is_path`."""
    return bool(text) and os.path.exists(text)
