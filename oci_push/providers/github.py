"""GitHub's ghcr.io: a ranged PATCH over 4 MiB is answered 416, so pieces, where needed, stay below."""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

_PIECE_BYTES = 4 * 1024 * 1024 - 4096

PROVIDER = Family(
    "github", Quirks(multi_tag=False, chunk_bytes=_PIECE_BYTES, chunk_max_bytes=_PIECE_BYTES), ("ghcr.io",)
)
