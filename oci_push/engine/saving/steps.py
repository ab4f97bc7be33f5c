"""What saving in a layout and in an archive share: what is opened, what became of it, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias, TypeVar

from msgspec import Struct

from oci_push.engine.graph import ImageGraph
from oci_push.engine.pusher import Pusher
from oci_push.engine.saving.item import SaveItem
from oci_push.engine.saving.layout_folder import REF_NAME
from oci_push.engine.signing.required import checking
from oci_push.errors import OciPushError
from oci_push.events import BlobSaved, Emit, SaveProgress
from oci_push.model.descriptor import Descriptor
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import BlobKind
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader
from oci_push.sources.layout import LayoutSource
from oci_push.sources.table import GRAMMAR

IMAGES_AT_ONCE = 4
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


def attached_to(
    context: Context, attached: Attached, item: SaveItem, source: ImageReader, nodes: Sequence[Manifest]
) -> tuple[SaveItem, ...]:
    """Return what is saved beside an image: of a layout what is listed there, else what `attached` tells."""
    spec = GRAMMAR.parse(item.source)
    if attached is nothing_attached or not isinstance(source, LayoutSource) or spec.kind in ("registry", "stdin"):
        return tuple(attached(context, item, nodes))
    before = "" if spec.kind == "file" else f"{spec.kind}:"
    return tuple(
        SaveItem(
            f"{before}{spec.path}@{entry.digest}",
            entry.annotations.get(REF_NAME, ""),
            artifact_type=entry.artifact_type,
            annotations=entry.annotations,
            refers_to=about,
        )
        for entry, about in source.referrers(context, [node.digest for node in nodes])
    )


def opened(context: Context, pusher: Pusher, item: SaveItem) -> AbstractContextManager[ImageReader]:
    """Open an item's source as it says; with changes it is read as they leave it. Raises `UntrustedError`."""
    given = pusher.named(item.registry)
    check = checking(context, pusher, item.source, given) if item.refers_to is None else None
    return pusher.open(item.source, context, given=given, changes=item.changes, platform=item.platform, check=check)


def waves(
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


class Counter:
    """Tell how far a blob is, a few times a second; for one thread."""

    def __init__(self, place: str, blob: Descriptor, kind: BlobKind, emit: Emit, clock: Clock) -> None:
        self._place = place
        self._blob = blob
        self._kind = kind
        self._emit = emit
        self._clock = clock
        self._told_at = clock.monotonic()

    def count(self, size: int) -> None:
        """Take how many bytes there are by now."""
        now = self._clock.monotonic()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            self._emit(SaveProgress(self._place, self._blob.digest, size, self._blob.size, self._kind))

    def done(self, *, was_there: bool) -> None:
        """Tell that all of it is there."""
        self._emit(BlobSaved(self._place, self._blob.digest, self._blob.size, was_there, self._kind))


def saved(item: SaveItem, graph: ImageGraph, written: int) -> SavedImage:
    """Return what became of an image that is there."""
    return SavedImage(item, graph.root, graph.nodes, len(graph.blobs), graph.size_bytes, written)
