"""Manifests and indexes, with the raw bytes kept: what was hashed is what is sent.

Formats: image-spec manifest.md and image-index.md; docker image manifest version 2, schema 2.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from msgspec import Struct, field

from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest

_STRUCTURE = (b"{", b"[", b",", b":")
_MAX_VALUES = 750_000
"""Braces, commas and colons in one JSON text: twice what a manifest of 4 MiB has that is all descriptors."""


class Manifest(Struct, frozen=True):
    """One manifest or index: its bytes, and what they point at.

    `config` and `layers` are set for images and artifacts, `children` for indexes; `subject` is what a
    referrer refers to and need not exist.
    """

    raw: bytes
    media_type: str
    digest: Digest
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def size(self) -> int:
        """Return the length of the raw bytes."""
        return len(self.raw)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Return config and layers, config last, foreign layers left in."""
        return self.layers + ((self.config,) if self.config else ())

    def descriptor(self) -> Descriptor:
        """Return the descriptor of these bytes."""
        return Descriptor(self.media_type, self.digest, self.size, artifact_type=self.artifact_type)

    @classmethod
    def parse(cls, raw: bytes, media_type: str = "", digest: Digest | None = None) -> Manifest:
        """Read manifest bytes; raise ``ValueError`` saying what is wrong with them.

        `media_type` is what the descriptor or the Content-Type said; the field inside wins, and an older
        manifest without either is told apart by its fields. A `digest` is verified against the bytes.
        """
        if len(raw) > media.MAX_MANIFEST_BYTES:
            raise ValueError(f"manifest has {len(raw)} bytes, over the limit of {media.MAX_MANIFEST_BYTES}")
        actual = Digest.of(raw, digest.algorithm if digest else "sha256")
        if digest and actual != digest:
            raise ValueError(f"manifest bytes have digest {actual}, expected {digest}")
        value = _load(raw)
        kind = _media_type(value, media_type)
        if kind in media.INDEXES:
            children = _descriptors(value, "manifests")
            config = None
            layers: tuple[Descriptor, ...] = ()
        else:
            if "config" not in value:
                raise ValueError("image manifest has no config")
            config = Descriptor.from_json(value["config"], "config")
            children, layers = (), _descriptors(value, "layers")
        subject = value.get("subject")
        artifact_type = value.get("artifactType")
        annotations = value.get("annotations")
        return cls(
            raw,
            kind,
            actual,
            config,
            layers,
            children,
            Descriptor.from_json(subject, "subject") if subject is not None else None,
            artifact_type if isinstance(artifact_type, str) else "",
            {k: v for k, v in annotations.items() if isinstance(v, str)} if isinstance(annotations, dict) else {},
        )


def encode(value: Mapping[str, object]) -> bytes:
    """Serialise a manifest that we build ourselves, always to the same bytes.

    Raises ``ValueError`` where that is no JSON: parts of it may have been written by somebody else.
    """
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except ValueError as problem:
        raise ValueError("it holds a number or half a character that no JSON may hold") from problem


def json_bytes(value: object) -> bytes:
    """Return the bytes of a file of JSON; equal values, equal bytes."""
    return json.dumps(value, separators=(",", ":")).encode()


def load_json(raw: bytes, what: str, *, is_to_change: bool = False) -> dict[str, object]:
    """Parse a JSON object that somebody else wrote; raise ``ValueError`` naming `what`, never anything else.

    What `is_to_change` is written again from the values: what these cannot say as it stands there raises, too.
    """
    # A value costs sixty bytes in memory and may be written in three.
    if sum(map(raw.count, _STRUCTURE)) > _MAX_VALUES:
        raise ValueError(f"{what} holds too many values")
    try:
        hooks: dict[str, Any] = {"object_pairs_hook": _each_once, "parse_float": _same_number} if is_to_change else {}
        value = json.loads(raw, **hooks)
    except _CannotStayError as problem:
        raise ValueError(f"{what} {problem}, and so cannot be changed") from problem
    except RecursionError as problem:
        raise ValueError(f"{what} is nested too deeply") from problem
    except ValueError as problem:
        raise ValueError(f"{what} is not JSON ({problem})") from problem
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")
    return value


class _CannotStayError(ValueError):
    """Say what would be lost where values are written again."""


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object; of a key that is there twice, some readers take the first value, some the last, some both."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _CannotStayError(f"has {twice!r} twice in one object")
    return found


def _same_number(text: str) -> float:
    """Return a number; raises `_CannotStayError` for one with more digits than are kept. `encode` refuses infinity."""
    number = float(text)
    try:
        is_same = not isfinite(number) or Decimal(repr(number)) == Decimal(text)
    except ArithmeticError:  # an exponent beyond all bounds
        is_same = False
    if not is_same:
        raise _CannotStayError(f"holds the number {text[:40]}, of which not all digits can be kept")
    return number


def _load(raw: bytes) -> dict[str, object]:
    value = load_json(raw, "manifest")
    if value.get("schemaVersion") == 1:
        raise ValueError("docker schema 1 manifests cannot be pushed; convert the image first")
    return value


def _media_type(value: Mapping[str, object], said: str) -> str:
    said = said.split(";")[0].strip()
    inside = value.get("mediaType")
    if isinstance(inside, str) and inside:
        if said in media.MANIFESTS and said != inside:
            raise ValueError(f"manifest says it is {inside}, its descriptor says {said}")
        kind = inside
    elif said in media.MANIFESTS:
        kind = said
    elif said in media.SAYS_NOTHING:
        kind = media.OCI_INDEX if "manifests" in value else media.OCI_MANIFEST
    else:
        kind = said
    if kind not in media.MANIFESTS:
        raise ValueError(f"{kind} is not a manifest type that can be pushed")
    if "manifests" in value and ("layers" in value or "config" in value):
        raise ValueError("manifest has both children and layers")
    return kind


def _descriptors(value: Mapping[str, object], key: str) -> tuple[Descriptor, ...]:
    found = value.get(key)
    if found is None and key == "layers":
        return ()
    if not isinstance(found, list):
        raise ValueError(f"{key} is not a list")
    return tuple(Descriptor.from_json(item, f"{key}[{n}]") for n, item in enumerate(found))
