"""Endpoints of blobs that are there: HEAD, GET with Range (RFC 9110 §14), DELETE (end-2, end-10)."""

from __future__ import annotations

import re

from oci_push.model.digest import Digest
from oci_push.model.media import OCTET_STREAM
from oci_push.sandbox.exchange import Exchange, FileSlice, Response, refuse
from oci_push.sandbox.store import Store

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


class BlobEndpoints:
    """Answer requests about blobs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def fetch(self, exchange: Exchange, repository: str, reference: str) -> Response:
        """Answer end-2, in full or in part."""
        digest = parse_digest(reference)
        size = self._store.blob_size(repository, digest)
        if size is None:
            raise refuse(404, "BLOB_UNKNOWN", "blob unknown to registry", str(digest))
        headers: tuple[tuple[str, str], ...] = (
            ("Content-Type", OCTET_STREAM),
            ("Docker-Content-Digest", str(digest)),
            ("ETag", f'"{digest}"'),
            ("Accept-Ranges", "bytes"),
        )
        path = self._store.blob_path(repository, digest)
        part = find_range(exchange.headers.get("range", ""), size)
        if part is None:
            return Response(200, headers, file=FileSlice(path, 0, size))
        start, length = part
        if not length:
            refusal = refuse(416, "RANGE_INVALID", f"the blob has {size} bytes")
            return refusal.response.with_headers(("Content-Range", f"bytes */{size}"))
        headers += (("Content-Range", f"bytes {start}-{start + length - 1}/{size}"),)
        return Response(206, headers, file=FileSlice(path, start, length))

    def remove(self, repository: str, reference: str) -> Response:
        """Answer end-10."""
        digest = parse_digest(reference)
        if not self._store.remove_blob(repository, digest):
            raise refuse(404, "BLOB_UNKNOWN", "blob unknown to registry", str(digest))
        return Response(202)


def parse_digest(text: str) -> Digest:
    """Read a digest from a request, or refuse it."""
    try:
        return Digest.parse(text)
    except ValueError as problem:
        raise refuse(400, "DIGEST_INVALID", str(problem), text) from problem


def created(exchange: Exchange, repository: str, digest: Digest) -> Response:
    """Make the answer that a blob is now in a repository."""
    location = exchange.location(f"/v2/{repository}/blobs/{digest}")
    return Response(201, (("Location", location), ("Docker-Content-Digest", str(digest))))


def find_range(header: str, size: int) -> tuple[int, int] | None:
    """Read start and length of one range; length 0 cannot be satisfied, ``None`` means the whole.

    What is not understood, several ranges included, counts as absent (RFC 9110 §14.2).
    """
    match = _RANGE.fullmatch(header.strip())
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        return size - length, length
    start = int(match[1])
    end = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < start:
        return None
    return start, max(end - start + 1, 0)
