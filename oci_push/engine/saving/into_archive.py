"""Saving images in one archive: all are read as far as their manifests before the first byte is written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from msgspec import Struct

from oci_push.engine.graph import ImageGraph, walk
from oci_push.engine.looking.tree import registry_error
from oci_push.engine.pusher import Pusher
from oci_push.engine.saving import archive_file
from oci_push.engine.saving.archive_file import Member, Write
from oci_push.engine.saving.item import SaveItem, docker_entry, entry_of
from oci_push.engine.saving.layout_folder import LAYOUT_FILE, merge
from oci_push.engine.saving.place import Place
from oci_push.engine.saving.steps import (
    IMAGES_AT_ONCE,
    Attached,
    Counter,
    SavedImage,
    attached_to,
    opened,
    saved,
    waves,
)
from oci_push.errors import OciPushError, SourceError
from oci_push.events import Emit, SaveFinished, SaveStarted
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.manifest import json_bytes
from oci_push.model.outcomes import BlobKind
from oci_push.protocol.call import Body
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import ImageReader
from oci_push.sources.layout import blob_path


class _Read(Struct, frozen=True):
    """One image that an archive will hold, and what is attached to it."""

    item: SaveItem
    source: ImageReader
    graph: ImageGraph
    attached: tuple[SaveItem, ...]


def save_archive(
    context: Context,
    pusher: Pusher,
    items: Sequence[SaveItem],
    place: Place,
    emit: Emit,
    attached: Attached,
    write: Write | None,
) -> tuple[SavedImage, ...]:
    """Write an archive of all items, and of what is attached to them; raises what is wrong with any."""
    if not place.is_stdout:
        archive_file.check(place.path)
    elif write is None:
        raise ValueError("an archive for stdout needs who writes it")
    pusher = pusher.speaking(emit)
    with ExitStack() as stack:
        lock = threading.Lock()

        def read(inner: Context, item: SaveItem) -> _Read:
            emit(SaveStarted(place.title, item.name))
            opening = opened(inner, pusher, item)
            with lock:
                source = stack.enter_context(opening)
            graph = walk(inner, source, platform=item.platform, emit=emit)
            return _Read(item, source, graph, attached_to(inner, attached, item, source, graph.nodes))

        def read_all(wave: Sequence[SaveItem]) -> list[_Read]:
            jobs = [partial(read, item=one) for one in wave]
            return do_all(context, jobs, limit=IMAGES_AT_ONCE)

        try:
            images = waves(items, read_all, lambda one: one.attached)
            members = _members(images, place, emit, context.clock)
            if write is not None and place.is_stdout:
                archive_file.write_stream(context, write, members)
            else:
                archive_file.write_file(context, place.path, members)
        except OciPushError as problem:
            raise (registry_error(problem) or problem) from problem
    for one in images:
        emit(SaveFinished(place.title, one.item.name, one.graph.root.digest))
    return tuple(saved(one.item, one.graph, one.graph.size_bytes) for one in images)


def _members(images: Sequence[_Read], place: Place, emit: Emit, clock: Clock) -> list[Member]:
    """Return what the tar holds, in the order of its bytes: what names images first, then manifests, then blobs."""
    entries = merge([], [entry_of(one.item, one.graph.root, place) for one in images])
    index = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": entries}
    members = [Member.of("oci-layout", LAYOUT_FILE), Member.of("index.json", json_bytes(index))]
    if place.kind == "docker-archive":
        listed = [docker_entry(one.item, one.source.name, one.graph.root) for one in images]
        members.append(Member.of("manifest.json", json_bytes(listed)))
    nodes = {node.digest: node for one in images for node in one.graph.nodes}
    members += [Member.of(blob_path(digest), node.raw) for digest, node in nodes.items()]
    sizes = {digest: node.size for digest, node in nodes.items()}
    for one in images:
        kinds = one.graph.kinds()
        for blob in one.graph.blobs:
            known = sizes.get(blob.digest, blob.size)
            if known != blob.size:
                raise SourceError(f"{one.source.name}: {blob.digest} is said to have {known} and {blob.size} bytes")
            if blob.digest not in sizes:
                sizes[blob.digest] = blob.size
                members.append(_blob_member(one.source, blob, kinds[blob.digest], place, emit, clock))
    return members


def _blob_member(
    source: ImageReader, blob: Descriptor, kind: BlobKind, place: Place, emit: Emit, clock: Clock
) -> Member:
    def body(context: Context) -> Body:
        return source.blob(context, blob)

    counter = Counter(place.title, blob, kind, emit, clock)
    done = partial(counter.done, was_there=False)
    what = f"{source.name}: {kind} {blob.digest}"
    return Member(blob_path(blob.digest), blob.size, body, blob, what, counter.count, done)
