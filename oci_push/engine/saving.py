"""Saving images: what readers give is written to a layout or an archive, each blob once, digests and sizes checked.

An image is walked as for a push; the difference is where its blobs go. In a layout every image is listed as soon as all
of it is there, so that a run which is stopped has saved what it listed. An archive is whole or not there at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine import archive_file
from oci_push.engine.archive_file import Member, Write
from oci_push.engine.graph import ImageGraph, walk
from oci_push.engine.layout_folder import LAYOUT_FILE, LayoutFolder, json_bytes, merge
from oci_push.engine.pusher import Pusher
from oci_push.engine.saving_item import SaveItem, docker_entry, entry_of
from oci_push.engine.saving_place import Place
from oci_push.engine.tree import registry_error
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import BlobSaved, Emit, SaveFinished, SaveProgress, SaveStarted
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import BlobKind
from oci_push.protocol.call import Body, BytesBody
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import first_error, run_all
from oci_push.sources.base import ImageReader
from oci_push.sources.layout import blob_path

_IMAGES_AT_ONCE = 4
_BLOBS_AT_ONCE = 16
_LIST_S = 1.0
"""How often index.json is written while many images come: each time it is written as a whole."""
_SHIELDED_S = 10.0
"""How long a run that was stopped may take to list what it has saved."""
_TELL_S = 0.2

_MOST_WAVES = 8
"""How far what refers to an image is followed: an SBOM has a signature, which may have another."""

R = TypeVar("R")
Attached: TypeAlias = Callable[[Context, SaveItem, Sequence[Manifest]], Sequence[SaveItem]]
"""Returns what refers to an image that is saved, or to one of its manifests, to be saved beside it."""


def nothing_attached(context: Context, item: SaveItem, nodes: Sequence[Manifest]) -> Sequence[SaveItem]:
    """Return nothing: the image is saved alone."""
    return ()


class SavedImage(Struct, frozen=True):
    """What became of one image: `written` counts bytes of its blobs that had to be written, of `size` in all.

    `error` is why it is not saved; `nodes` are its manifests, the root last. `attached` is what is saved beside it.
    """

    item: SaveItem
    root: Manifest | None = None
    nodes: tuple[Manifest, ...] = ()
    blobs: int = 0
    size: int = 0
    written: int = 0
    error: OciPushError | None = None
    attached: tuple[SaveItem, ...] = ()
    is_unchanged: bool = False


def save(
    context: Context,
    pusher: Pusher,
    items: Sequence[SaveItem],
    place: Place,
    emit: Emit,
    *,
    attached: Attached = nothing_attached,
    write: Write | None = None,
    is_verified: bool = False,
) -> tuple[SavedImage, ...]:
    """Save images in one place, and what is `attached` to them, which the result has after them.

    `write` takes an archive for stdout, `is_verified` hashes blobs that are there.

    Raises `ConfigError` where the place cannot be written to at all. In a layout what is wrong with one image is its
    own error and the others are saved; an archive holds all of them, or what is wrong with one is raised.
    """
    check_names(items, place)
    if place.is_folder:
        return _Folder(context, pusher, place, emit, attached, is_verified=is_verified).save(items)
    return _save_archive(context, pusher, items, place, emit, attached, write)


def check_names(items: Sequence[SaveItem], place: Place) -> None:
    """Refuse two images of one name; raises `ConfigError`."""
    seen: dict[str, str] = {}
    for one in items:
        if one.name and seen.setdefault(one.name, one.source) != one.source:
            raise ConfigError(
                f"{place.title}: {seen[one.name]} and {one.source} would both be called {one.name!r} there",
                hint="save them one by one, each with a name of its own after the target",
            )


def _opened(context: Context, pusher: Pusher, item: SaveItem) -> AbstractContextManager[ImageReader]:
    given = pusher.named(item.registry)
    return pusher.open(item.source, context, given=given, changes=item.changes, platform=item.platform)


def _waves(
    items: Sequence[SaveItem],
    act: Callable[[Sequence[SaveItem]], Sequence[R]],
    attached: Callable[[R], Sequence[SaveItem]],
) -> list[R]:
    """Act on items, then on what is attached to them, and so on; on each source once."""
    done: list[R] = []
    seen: set[str] = set()
    wave = list(items)
    for _ in range(_MOST_WAVES):
        seen.update(one.source for one in wave)
        found = act(wave)
        done += found
        new = {one.source: one for each in found for one in attached(each) if one.source not in seen}
        wave = list(new.values())
        if not wave:
            break
    return done


class _Folder:
    """Save images in one layout, several at once."""

    def __init__(
        self,
        context: Context,
        pusher: Pusher,
        place: Place,
        emit: Emit,
        attached: Attached,
        *,
        is_verified: bool,
    ) -> None:
        self._context = context
        self._place = place
        self._pusher = pusher.speaking(emit)
        self._emit = emit
        self._attached = attached
        self._layout = LayoutFolder(place.path, is_verified=is_verified)
        self._lock = threading.Lock()
        self._waiting: list[Mapping[str, object]] = []
        self._listed_at = context.clock.monotonic()

    def save(self, items: Sequence[SaveItem]) -> tuple[SavedImage, ...]:
        self._layout.open(self._context)
        try:
            return tuple(_waves(items, self._all, lambda one: one.attached))
        finally:
            # What has come whole is listed, also by a run that was stopped.
            self._list(self._context.shielded(_SHIELDED_S), ())

    def _all(self, items: Sequence[SaveItem]) -> list[SavedImage]:
        outcomes = run_all(self._context, [partial(self._one, item=one) for one in items], limit=_IMAGES_AT_ONCE)
        error = first_error(outcomes)
        if error is not None:
            raise error
        return [outcome.get() for outcome in outcomes]

    def _one(self, context: Context, item: SaveItem) -> SavedImage:
        self._emit(SaveStarted(self._place.title, item.name))
        try:
            with _opened(context, self._pusher, item) as source:
                graph = walk(context, source, platform=item.platform, emit=self._emit)
                attached = tuple(self._attached(context, item, graph.nodes))
                saved = replace(self._image(context, item, source, graph), attached=attached)
        except OciPushError as problem:
            context.check()
            error = registry_error(problem) or problem
            self._emit(SaveFinished(self._place.title, item.name, None, str(error)))
            return SavedImage(item, error=error)
        self._emit(SaveFinished(self._place.title, item.name, graph.root.digest))
        return saved

    def _image(self, context: Context, item: SaveItem, source: ImageReader, graph: ImageGraph) -> SavedImage:
        kinds = graph.kinds()

        def bring(inner: Context, blob: Descriptor) -> int:
            kind = kinds[blob.digest]
            counter = _Counter(self._place.title, blob, kind, self._emit, inner.clock)
            what = f"{source.name}: {kind} {blob.digest}"
            is_new = self._layout.put(inner, blob, lambda: source.blob(inner, blob), what, counter.count)
            counter.done(was_there=not is_new)
            return blob.size if is_new else 0

        largest_first = sorted(graph.blobs, key=lambda blob: -blob.size)
        jobs = [partial(bring, blob=one) for one in largest_first]
        outcomes = run_all(context, jobs, limit=_BLOBS_AT_ONCE, stop_on_error=True)
        error = first_error(outcomes)
        if error is not None:
            raise error
        for node in graph.nodes:
            self._manifest(context, node)
        self._list(context, (entry_of(item, graph.root, self._place),))
        return _saved(item, graph, sum(outcome.get() for outcome in outcomes))

    def _manifest(self, context: Context, node: Manifest) -> None:
        body = BytesBody(node.raw)
        self._layout.put(context, node.descriptor(), lambda: body, f"manifest {node.digest}", lambda _: None)

    def _list(self, context: Context, entries: Sequence[Mapping[str, object]]) -> None:
        """Have index.json list images, at once where none wait for it; without any, those that do."""
        with self._lock:
            self._waiting += entries
            now = context.clock.monotonic()
            if not self._waiting or (entries and now - self._listed_at < _LIST_S):
                return
            self._layout.list(context, self._waiting)
            self._waiting, self._listed_at = [], now


class _Counter:
    """Tell how far a blob is, a few times a second; for one thread."""

    def __init__(self, place: str, blob: Descriptor, kind: BlobKind, emit: Emit, clock: Clock) -> None:
        self._place = place
        self._blob = blob
        self._kind = kind
        self._emit = emit
        self._clock = clock
        self._told_at = clock.monotonic()

    def count(self, size: int) -> None:
        now = self._clock.monotonic()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            self._emit(SaveProgress(self._place, self._blob.digest, size, self._blob.size, self._kind))

    def done(self, *, was_there: bool) -> None:
        self._emit(BlobSaved(self._place, self._blob.digest, self._blob.size, was_there, self._kind))


class _Read(Struct, frozen=True):
    """One image that an archive will hold, and what is attached to it."""

    item: SaveItem
    source: ImageReader
    graph: ImageGraph
    attached: tuple[SaveItem, ...]


def _save_archive(
    context: Context,
    pusher: Pusher,
    items: Sequence[SaveItem],
    place: Place,
    emit: Emit,
    attached: Attached,
    write: Write | None,
) -> tuple[SavedImage, ...]:
    if not place.is_stdout:
        archive_file.check(place.path)
    elif write is None:
        raise ValueError("an archive for stdout needs who writes it")
    pusher = pusher.speaking(emit)
    with ExitStack() as stack:
        lock = threading.Lock()

        def read(inner: Context, item: SaveItem) -> _Read:
            emit(SaveStarted(place.title, item.name))
            opening = _opened(inner, pusher, item)
            with lock:
                source = stack.enter_context(opening)
            graph = walk(inner, source, platform=item.platform, emit=emit)
            return _Read(item, source, graph, tuple(attached(inner, item, graph.nodes)))

        def read_all(wave: Sequence[SaveItem]) -> list[_Read]:
            jobs = [partial(read, item=one) for one in wave]
            outcomes = run_all(context, jobs, limit=_IMAGES_AT_ONCE, stop_on_error=True)
            error = first_error(outcomes)
            if error is not None:
                raise error
            return [outcome.get() for outcome in outcomes]

        try:
            images = _waves(items, read_all, lambda one: one.attached)
            members = _members(images, place, emit, context.clock)
            if write is not None and place.is_stdout:
                archive_file.write_stream(context, write, members)
            else:
                archive_file.write_file(context, place.path, members)
        except OciPushError as problem:
            raise (registry_error(problem) or problem) from problem
    for one in images:
        emit(SaveFinished(place.title, one.item.name, one.graph.root.digest))
    return tuple(_saved(one.item, one.graph, one.graph.size_bytes) for one in images)


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
    seen: set[Digest] = set(nodes)
    for one in images:
        kinds = one.graph.kinds()
        for blob in one.graph.blobs:
            if blob.digest not in seen:
                seen.add(blob.digest)
                members.append(_blob_member(one.source, blob, kinds[blob.digest], place, emit, clock))
    return members


def _blob_member(
    source: ImageReader, blob: Descriptor, kind: BlobKind, place: Place, emit: Emit, clock: Clock
) -> Member:
    def body(context: Context) -> Body:
        return source.blob(context, blob)

    counter = _Counter(place.title, blob, kind, emit, clock)
    done = partial(counter.done, was_there=False)
    what = f"{source.name}: {kind} {blob.digest}"
    return Member(blob_path(blob.digest), blob.size, body, blob, what, counter.count, done)


def _saved(item: SaveItem, graph: ImageGraph, written: int) -> SavedImage:
    return SavedImage(item, graph.root, graph.nodes, len(graph.blobs), graph.size_bytes, written)
