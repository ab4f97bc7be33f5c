"""Saving images in one layout, several at once; each is listed in index.json when all of it is there."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from oci_push.engine.graph import ImageGraph, walk
from oci_push.engine.looking.tree import registry_error
from oci_push.engine.pusher import Pusher
from oci_push.engine.saving.item import SaveItem, entry_of
from oci_push.engine.saving.layout_folder import LayoutFolder
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
from oci_push.events import Emit, SaveFinished, SaveStarted, ignore
from oci_push.model.changes import NOTHING
from oci_push.model.descriptor import Descriptor
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference
from oci_push.protocol.call import BytesBody
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import ImageReader
from oci_push.sources.files import SpoolSpace
from oci_push.sources.layout import LayoutSource
from oci_push.sources.readers import FolderView
from oci_push.sources.settings import SourceSettings
from oci_push.sources.table import GRAMMAR

_BLOBS_AT_ONCE = 16
_LIST_S = 1.0
"""How often index.json is written while many images come: each time it is written as a whole."""
_SHIELDED_S = 10.0
"""How long a run that was stopped may take to list what it has saved."""


class _Listed(LayoutSource):
    """One image of a layout, whose entry is known: with thousands of them index.json is not read for each."""

    def __init__(self, folder: str, entry: Descriptor) -> None:
        super().__init__(FolderView(folder, Path(folder)), "", SourceSettings().limits, SpoolSpace(None, 0))
        self._entry = entry

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Return the entry."""
        return self._entry


class FolderSaving:
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
        self._is_verified = is_verified
        self._attached = attached
        self._layout = LayoutFolder(place.path, is_verified=is_verified)
        self._lock = threading.Lock()
        self._waiting: list[Mapping[str, object]] = []
        self._listed_at = context.clock.monotonic()

    def save(self, items: Sequence[SaveItem]) -> tuple[SavedImage, ...]:
        """Save images; raises `ConfigError` where the layout cannot be written to at all."""
        self._layout.open(self._context)
        try:
            return tuple(waves(items, self._all, lambda one: one.attached))
        finally:
            # What has come whole is listed, also by a run that was stopped.
            self._list(self._context.shielded(_SHIELDED_S), ())
            self._layout.close()

    def _all(self, items: Sequence[SaveItem]) -> list[SavedImage]:
        jobs = [partial(self._one, item=one) for one in items]
        return do_all(self._context, jobs, limit=IMAGES_AT_ONCE, stop_on_error=False)

    def _one(self, context: Context, item: SaveItem) -> SavedImage:
        self._emit(SaveStarted(self._place.title, item.name))
        try:
            graph = self._unmoved(context, item)
            if graph is not None:
                attached = tuple(self._attached(context, item, graph.nodes))
                done = replace(saved(item, graph, 0), attached=attached, is_unchanged=True)
            else:
                with opened(context, self._pusher, item) as source:
                    graph = walk(context, source, platform=item.platform, emit=self._emit)
                    attached = attached_to(context, self._attached, item, source, graph.nodes)
                    done = replace(self._image(context, item, source, graph), attached=attached)
        except OciPushError as problem:
            context.check()
            error = registry_error(problem) or problem
            self._emit(SaveFinished(self._place.title, item.name, None, str(error)))
            return SavedImage(item, error=error)
        self._emit(SaveFinished(self._place.title, item.name, graph.root.digest, is_unchanged=done.is_unchanged))
        return done

    def _unmoved(self, context: Context, item: SaveItem) -> ImageGraph | None:
        """Return the image that is there if a registry's tag still names it, by one HEAD, and all of it is there."""
        spec = GRAMMAR.parse(item.source)
        is_plain = spec.kind == "registry" and item.platform is None and item.changes == NOTHING
        known = self._layout.find(item.name) if item.name and is_plain and not self._is_verified else None
        if known is None:
            return None
        reference = Reference.parse(spec.path)
        endpoint = self._pusher.endpoint(reference.repository, self._pusher.named(item.registry))
        head = self._pusher.clients.repository(endpoint, reference.repository).head(context, reference.target)
        if head is None or head.digest != known.digest:
            return None
        source = _Listed(self._place.path, known)
        try:
            graph = walk(context, source, emit=ignore)
        except SourceError:
            return None  # a part of it is missing or damaged
        return graph if all(self._layout.has(blob) for blob in graph.blobs) else None

    def _image(self, context: Context, item: SaveItem, source: ImageReader, graph: ImageGraph) -> SavedImage:
        kinds = graph.kinds()

        def bring(inner: Context, blob: Descriptor) -> int:
            kind = kinds[blob.digest]
            counter = Counter(self._place.title, blob, kind, self._emit, inner.clock)
            what = f"{source.name}: {kind} {blob.digest}"
            is_new = self._layout.put(inner, blob, lambda: source.blob(inner, blob), what, counter.count)
            counter.done(was_there=not is_new)
            return blob.size if is_new else 0

        largest_first = sorted(graph.blobs, key=lambda blob: -blob.size)
        jobs = [partial(bring, blob=one) for one in largest_first]
        sent = do_all(context, jobs, limit=_BLOBS_AT_ONCE)
        for node in graph.nodes:
            self._manifest(context, node)
        self._list(context, (entry_of(item, graph.root, self._place),))
        return saved(item, graph, sum(sent))

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
