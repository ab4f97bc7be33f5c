"""Which part of an image goes out: one image of an index, several platforms of it, or all, with what is attached."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader
from oci_push.sources.platforms import Bounds, PlatformSearch, is_attached, no_image
from oci_push.sources.rewriting.manifests import REFERENCE

_REF_NAME = "org.opencontainers.image.ref.name"
_ATTACHED = re.compile(r"sha256-([0-9a-f]{64})(?:\.\w+)?")


class Node(Struct, frozen=True, eq=False):
    """A manifest that goes out: `kept` are the places of its children that do, with ``None`` for what is no manifest.

    `about` is the image that it is attached to; `platform` is that of an image.
    """

    manifest: Manifest
    kept: tuple[tuple[int, Node | None], ...] = ()
    platform: Platform | None = None
    is_attached: bool = False
    about: Digest | None = None

    @property
    def is_image(self) -> bool:
        """Return whether it is an image, or an artifact that is not attached to one here."""
        return self.manifest.media_type in media.IMAGES and not self.is_attached

    @property
    def is_less(self) -> bool:
        """Return whether something below is left out."""
        return len(self.kept) < len(self.manifest.children) or any(node.is_less for node in self.nodes())

    def nodes(self) -> Iterator[Node]:
        """Return the children that are manifests."""
        return (node for _, node in self.kept if node is not None)

    def images(self) -> Iterator[Node]:
        """Return the images among the node and all below it, each once."""
        seen: set[Digest] = set()
        for one in self.all():
            if one.is_image and one.manifest.digest not in seen:
                seen.add(one.manifest.digest)
                yield one

    def all(self) -> Iterator[Node]:
        """Return the node and all below it."""
        yield self
        for node in self.nodes():
            yield from node.all()


class Selection:
    """Read the manifests below the root of `source` that are for one of `wanted`, all where none is named.

    With `names_all` every image is told its platform, by its config where its entry does not name one.
    """

    def __init__(
        self, context: Context, source: ImageReader, wanted: Sequence[Platform], *, names_all: bool = False
    ) -> None:
        self._context = context
        self._source = source
        self._wanted = tuple(wanted)
        self._names_all = names_all or bool(wanted)
        self._search = PlatformSearch(context, source, None)
        self._seen: list[Platform] = []
        self._bounds = Bounds(context, source.name)

    def select(self, only: Platform | None = None) -> Node:
        """Return what goes out; `only` is one image alone. Raises `SourceError` where a platform is not there."""
        top = self._source.root(self._context, only)
        if only is not None:
            search = PlatformSearch(self._context, self._source, only)
            found = search.find(top)
            if found is None:
                raise search.missing()
            return Node(self._source.manifest(self._context, found), platform=found.platform or only)
        root = self._read(top, None, 0)
        for platform in self._wanted:
            if not any(one.satisfies(platform) for one in self._seen):
                raise no_image(self._source.name, platform, self._seen)
        if root is None:
            raise no_image(self._source.name, self._wanted[0], self._seen)
        return root

    def _read(self, descriptor: Descriptor, outer: Platform | None, depth: int) -> Node | None:
        """Return an image or index, ``None`` where it is for no platform that is wanted."""
        self._bounds.check(depth)
        platform = descriptor.platform or outer
        if descriptor.media_type not in media.INDEXES:
            if self._names_all and platform is None:
                platform = self._search.of_config(descriptor)
            self._seen += [platform] if platform else []
            if self._wanted and not self._is_wanted(platform):
                return None
            return Node(self._source.manifest(self._context, descriptor), platform=platform)
        manifest = self._source.manifest(self._context, descriptor)
        kept: dict[int, Node | None] = {}
        attached: list[tuple[int, Descriptor]] = []
        for place, child in enumerate(manifest.children):
            if child.media_type not in media.MANIFESTS:
                kept |= {place: None} if not self._wanted else {}
            elif is_attached(child):
                attached.append((place, child))
            elif (node := self._read(child, platform, depth + 1)) is not None:
                kept[place] = node
        images = {node.manifest.digest for node in kept.values() if node is not None}
        for place, child in attached:
            about = self._about(child)
            if not self._wanted or about in images:
                kept[place] = Node(self._source.manifest(self._context, child), is_attached=True, about=about)
        if self._wanted and not kept and depth:
            return None
        return Node(manifest, tuple(sorted(kept.items())), platform)

    def _is_wanted(self, platform: Platform | None) -> bool:
        return platform is not None and any(platform.satisfies(one) for one in self._wanted)

    def _about(self, child: Descriptor) -> Digest | None:
        """Return the image that something is attached to, as its entry or else its manifest says."""
        named = _ATTACHED.fullmatch(child.annotations.get(_REF_NAME, "").rpartition(":")[2])
        text = child.annotations.get(REFERENCE) or (f"sha256:{named[1]}" if named else "")
        if text:
            try:
                return Digest.parse(text)
            except ValueError:
                return None
        subject = self._source.manifest(self._context, child).subject
        return subject.digest if subject is not None else None
