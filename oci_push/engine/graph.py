"""The graph of one image: every manifest below the root, children before parents, and every blob once."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from oci_push.errors import SourceError
from oci_push.events import Emit, LogMessage, SourceOpened
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.outcomes import BlobKind
from oci_push.model.platform import Platform
from oci_push.runtime.context import Context
from oci_push.runtime.phases import SOURCE, timed
from oci_push.sources.base import ImageReader
from oci_push.sources.platforms import MAX_DEPTH, MAX_MANIFESTS, PlatformSearch


class ImageGraph(Struct, frozen=True):
    """An image: `root` is the manifest that tags will point at; `nodes` end with it.

    `blobs` are the distinct blobs to push, in the order met; foreign layers are among them only where asked for.
    """

    root: Manifest
    nodes: tuple[Manifest, ...]
    blobs: tuple[Descriptor, ...]

    @property
    def size_bytes(self) -> int:
        """Return the sum of all distinct blobs."""
        return sum(blob.size for blob in self.blobs)

    def kinds(self) -> dict[Digest, BlobKind]:
        """Return what each blob is in its manifest; one that is a configuration somewhere is one."""
        found = {blob.digest: BlobKind.OTHER for blob in self.blobs}
        found.update((layer.digest, BlobKind.LAYER) for node in self.nodes for layer in node.layers)
        found.update((node.config.digest, BlobKind.CONFIG) for node in self.nodes if node.config is not None)
        return found


@timed(SOURCE)
def walk(
    context: Context,
    source: ImageReader,
    *,
    platform: Platform | None = None,
    foreign: bool = False,
    beside: Iterable[Descriptor] = (),
    emit: Emit,
) -> ImageGraph:
    """Read every manifest of the image a source names; with `platform` only that image, however deep it lies.

    `foreign` counts layers among the blobs that their manifest says to fetch from elsewhere. `beside` are blobs that go
    along, for whoever is told how much there is to do.
    """
    top = source.root(context, platform)
    if platform is not None:
        search = PlatformSearch(context, source, platform)
        found = search.find(top)
        if found is None:
            raise search.missing()
        top = found
    root = source.manifest(context, top)
    order: dict[Digest, Manifest] = {}
    _visit(context, source, root, order, ())
    nodes = tuple(order.values())
    blobs = _distinct(nodes, source.name, foreign=foreign)
    graph = ImageGraph(root, nodes, blobs)
    for stray in _strays(nodes):
        emit(LogMessage(f"{source.name}: {stray.digest} is of type {stray.media_type}, no manifest: it goes as a blob"))
    sizes = {one.digest: one.size for one in (*blobs, *beside)}
    emit(SourceOpened(source.name, root.digest, len(nodes), len(sizes), sum(sizes.values())))
    return graph


def _visit(
    context: Context, source: ImageReader, node: Manifest, order: dict[Digest, Manifest], path: tuple[Digest, ...]
) -> None:
    if len(path) > MAX_DEPTH:
        raise SourceError(f"{source.name}: indexes are nested more than {MAX_DEPTH} deep")
    if node.digest in path:
        raise SourceError(f"{source.name}: index {node.digest} contains itself")
    for child in node.children:
        context.check()
        if child.digest in order:
            continue
        if len(order) >= MAX_MANIFESTS:
            raise SourceError(f"{source.name}: more than {MAX_MANIFESTS} manifests")
        if child.media_type not in media.MANIFESTS:
            _check_stray(child, node, source.name)
            continue
        _visit(context, source, source.manifest(context, child), order, (*path, node.digest))
    order[node.digest] = node


def _strays(nodes: Iterable[Manifest]) -> tuple[Descriptor, ...]:
    return tuple(child for node in nodes for child in node.children if child.media_type not in media.MANIFESTS)


def _check_stray(child: Descriptor, index: Manifest, name: str) -> None:
    """An index may list anything: what is no manifest is pushed as a blob, but a manifest of another kind is not."""
    if media.is_other_manifest(child.media_type):
        raise SourceError(
            f"{name}: index {index.digest} lists {child.digest} of type {child.media_type}, "
            "a kind of manifest that cannot be pushed"
        )


def _distinct(nodes: Iterable[Manifest], name: str, *, foreign: bool) -> tuple[Descriptor, ...]:
    found: dict[Digest, Descriptor] = {}
    for node in nodes:
        for blob in (*node.blobs, *_strays((node,))):
            if media.is_foreign_layer(blob.media_type) and blob.urls and not foreign:
                continue
            known = found.setdefault(blob.digest, blob)
            if known.size != blob.size:
                raise SourceError(f"{name}: {blob.digest} is said to have {known.size} and {blob.size} bytes")
    return tuple(found.values())
