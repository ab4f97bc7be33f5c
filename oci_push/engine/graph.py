"""The graph of one image: every manifest below the root, children before parents, and every blob once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from oci_push.errors import SourceError
from oci_push.events import Emit, SourceOpened
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.runtime.scope import Scope
from oci_push.sources.base import Source

_MAX_DEPTH = 8
_MAX_MANIFESTS = 10_000


@dataclass(frozen=True, slots=True)
class ImageGraph:
    """Hold an image: `root` is the manifest that tags will point at; `nodes` end with it.

    `blobs` are the distinct blobs to push, in the order met; foreign layers are among them only where asked for.
    """

    root: Manifest
    nodes: tuple[Manifest, ...]
    blobs: tuple[Descriptor, ...]

    @property
    def size_bytes(self) -> int:
        """Give the sum of all distinct blobs."""
        return sum(blob.size for blob in self.blobs)


def walk(
    scope: Scope, source: Source, *, platform: Platform | None = None, foreign: bool = False, emit: Emit
) -> ImageGraph:
    """Read every manifest of the image a source names; with `platform` only that child of an index.

    `foreign` counts layers among the blobs that their manifest says to fetch from elsewhere.
    """
    root = source.manifest(scope, source.root(scope))
    if platform is not None:
        root = _choose(root, platform, lambda child: source.manifest(scope, child), source.name)
    order: dict[Digest, Manifest] = {}
    _visit(scope, source, root, order, ())
    nodes = tuple(order.values())
    blobs = _distinct(nodes, source.name, foreign=foreign)
    graph = ImageGraph(root, nodes, blobs)
    emit(SourceOpened(source.name, root.digest, len(nodes), len(blobs), graph.size_bytes))
    return graph


def _visit(
    scope: Scope, source: Source, node: Manifest, order: dict[Digest, Manifest], path: tuple[Digest, ...]
) -> None:
    if len(path) > _MAX_DEPTH:
        raise SourceError(f"{source.name}: indexes are nested more than {_MAX_DEPTH} deep")
    if node.digest in path:
        raise SourceError(f"{source.name}: index {node.digest} contains itself")
    for child in node.children:
        scope.check()
        if child.digest in order:
            continue
        if len(order) >= _MAX_MANIFESTS:
            raise SourceError(f"{source.name}: more than {_MAX_MANIFESTS} manifests")
        if child.media_type not in media.MANIFESTS:
            continue  # an index may list anything; what is no manifest is pushed as a blob
        _visit(scope, source, source.manifest(scope, child), order, (*path, node.digest))
    order[node.digest] = node


def _distinct(nodes: Iterable[Manifest], name: str, *, foreign: bool) -> tuple[Descriptor, ...]:
    found: dict[Digest, Descriptor] = {}
    for node in nodes:
        strays = [child for child in node.children if child.media_type not in media.MANIFESTS]
        for blob in (*node.blobs, *strays):
            if media.is_foreign_layer(blob.media_type) and blob.urls and not foreign:
                continue
            known = found.setdefault(blob.digest, blob)
            if known.size != blob.size:
                raise SourceError(f"{name}: {blob.digest} is said to have {known.size} and {blob.size} bytes")
    return tuple(found.values())


def _choose(root: Manifest, platform: Platform, read: Callable[[Descriptor], Manifest], name: str) -> Manifest:
    if not root.is_index:
        return root
    seen = [child for child in root.children if child.platform is not None]
    for child in seen:
        if child.platform is not None and child.platform.satisfies(platform):
            return read(child)
    listed = ", ".join(str(child.platform) for child in seen) or "none"
    raise SourceError(f"{name}: has no image for {platform}", hint=f"it has: {listed}")
