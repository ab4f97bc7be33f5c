"""Which image below a manifest or index is for a platform, and what does not count as an image.

image-spec image-index.md: where several manifests match, the first one listed is used. An image whose descriptor names
no platform has that of its config, which is read then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from oci_push.errors import SourceError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import load_json
from oci_push.model.platform import Platform
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader

MAX_DEPTH = 8
"""How deep indexes may lie in indexes."""
MAX_MANIFESTS = 10_000
_MAX_CONFIG_BYTES = 8 * 1024 * 1024
_REFERENCE_TYPE = "vnd.docker.reference.type"
_REF_NAME = "org.opencontainers.image.ref.name"
_COSIGN_KIND, _COSIGN_IMAGES = "kind", ("dev.cosignproject.cosign/image", "dev.cosignproject.cosign/imageIndex")
"""What ``cosign save`` says of each entry of its layouts (sigstore/cosign, pkg/oci/layout)."""
_ATTACHED = r"sha256-[0-9a-f]{64}(?:\.\w+)?"


def is_attached(descriptor: Descriptor) -> bool:
    """Return whether this is about an image and none itself: an attestation, a signature, another artifact."""
    platform = descriptor.platform
    kind = descriptor.annotations.get(_COSIGN_KIND, "")
    return bool(
        (kind.startswith("dev.cosignproject.cosign/") and kind not in _COSIGN_IMAGES)
        or _REFERENCE_TYPE in descriptor.annotations
        or descriptor.artifact_type
        or re.fullmatch(_ATTACHED, descriptor.annotations.get(_REF_NAME, "").rpartition(":")[2])
        or (platform is not None and (platform.os, platform.architecture) == ("unknown", "unknown"))
    )


def read_platform(config: bytes) -> Platform | None:
    """Return from an image's config which platform it is for; ``None`` where it does not say."""
    try:
        platform = Platform.from_json(load_json(config, "config"))
    except ValueError:
        return None
    return platform if platform.os and platform.architecture else None


def no_image(name: str, wanted: Platform | None, seen: Iterable[Platform]) -> SourceError:
    """Return the error for a platform that was not found among those `seen`."""
    listed = ", ".join(dict.fromkeys(str(platform) for platform in seen))
    hint = f"it has: {listed}" if listed else "nothing in it says which platform it is for; leave out --platform"
    return SourceError(f"{name}: has no image for {wanted}", hint=hint)


class Bounds:
    """Counts the manifests that are read below the root of the source `name`."""

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self._name = name
        self._count = 0

    def check(self, depth: int) -> None:
        """Count one more, `depth` indexes below the root; raises `SourceError` for too many or one too deep."""
        self._context.check()
        self._count += 1
        if depth > MAX_DEPTH:
            raise SourceError(f"{self._name}: indexes are nested more than {MAX_DEPTH} deep")
        if self._count > MAX_MANIFESTS:
            raise SourceError(f"{self._name}: more than {MAX_MANIFESTS} manifests")


class PlatformSearch:
    """Look for the image of one platform below descriptors; `seen` are the platforms that were met."""

    def __init__(self, context: Context, source: ImageReader, wanted: Platform | None) -> None:
        self._context = context
        self._source = source
        self._wanted = wanted
        self._indexes: set[Digest] = set()
        self._bounds = Bounds(context, source.name)
        self._unread: SourceError | None = None
        self.seen: list[Platform] = []

    def find(self, top: Descriptor) -> Descriptor | None:
        """Return the image; ``None`` where there is none. Raises `SourceError` where what may hold it is not there."""
        found = self._find(top, None, 0)
        if found is None and self._unread is not None:
            raise self._unread
        return found

    def missing(self) -> SourceError:
        """Return the error for a platform that was not found."""
        return no_image(self._source.name, self._wanted, self.seen)

    def _find(self, node: Descriptor, outer: Platform | None, depth: int) -> Descriptor | None:
        self._bounds.check(depth)
        platform = node.platform or outer
        if node.media_type not in media.INDEXES:
            platform = platform or self.of_config(node)
            self.seen += [platform] if platform else []
            return node if platform and self._wanted and platform.satisfies(self._wanted) else None
        if node.digest in self._indexes:
            return None
        self._indexes.add(node.digest)
        try:
            children = self._source.manifest(self._context, node).children
        except SourceError as problem:
            if depth == 0:
                raise
            self._unread = self._unread or problem  # a copy of some platforms only; the one wanted may be there
            return None
        for child in children:
            if child.media_type in media.MANIFESTS and not is_attached(child):
                found = self._find(child, platform, depth + 1)
                if found is not None:
                    return found
        return None

    def of_config(self, image: Descriptor) -> Platform | None:
        """Return from an image's config which platform it is for."""
        try:
            config = self._source.manifest(self._context, image).config
            if config is None or config.size > _MAX_CONFIG_BYTES:
                return None
            raw = b"".join(bytes(block) for block in self._source.blob(self._context, config).blocks())
        except SourceError as problem:
            self._unread = self._unread or problem
            return None
        return read_platform(raw)
