"""Descriptors: media type, digest and size of one piece of content (image-spec descriptor.md)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from msgspec import Struct, field

from oci_push.model.digest import Digest
from oci_push.model.platform import Platform

_MAX_SIZE = 1 << 63
"""image-spec descriptor.md: size is an int64."""


class Descriptor(Struct, frozen=True):
    """Point at content; `data` is the content itself where the descriptor embeds it, already checked."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
    data: bytes | None = None
    artifact_type: str = ""

    def __hash__(self) -> int:
        return hash((self.media_type, self.digest, self.size))

    @classmethod
    def from_json(cls, value: object, where: str = "descriptor") -> Descriptor:
        """Read a descriptor object; raise ``ValueError`` naming `where` when a field is missing or wrong."""
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not an object")
        media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
        if not isinstance(media_type, str) or not media_type:
            raise ValueError(f"{where} has no mediaType")
        if not isinstance(digest, str):
            raise ValueError(f"{where} has no digest")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _MAX_SIZE:
            raise ValueError(f"{where} has no valid size")
        try:
            parsed = Digest.parse(digest)
        except ValueError as problem:
            raise ValueError(f"{where}: {problem}") from problem
        platform = value.get("platform")
        urls = value.get("urls")
        artifact_type = value.get("artifactType")
        return cls(
            media_type,
            parsed,
            size,
            _annotations(value.get("annotations"), where),
            Platform.from_json(platform) if isinstance(platform, dict) else None,
            tuple(u for u in urls if isinstance(u, str)) if isinstance(urls, list) else (),
            _embedded(value.get("data"), parsed, size, where),
            artifact_type if isinstance(artifact_type, str) else "",
        )

    def to_json(self) -> dict[str, object]:
        """Return the object form, with the fields that are set."""
        result: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.urls:
            result["urls"] = list(self.urls)
        if self.annotations:
            result["annotations"] = dict(self.annotations)
        if self.platform:
            result["platform"] = self.platform.to_json()
        if self.artifact_type:
            result["artifactType"] = self.artifact_type
        return result


def _annotations(value: object, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ValueError(f"{where}: annotations must map strings to strings")
    return value


def _embedded(value: object, digest: Digest, size: int, where: str) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise ValueError(f"{where}: data is not base64") from problem
    if len(data) != size or Digest.of(data, digest.algorithm) != digest:
        raise ValueError(f"{where}: embedded data does not match its digest and size")
    return data
