"""Endpoints of blob uploads: open, mount, chunk, status, close, cancel (end-4 to end-6, end-11, end-13, end-14).

A Location carries the upload's secret and its offset in ``_state``, as distribution's does, so that a client that
builds the URL itself, or uses an old one, is found out: a wrong secret is no upload, an old offset is 416.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from oci_push.model.digest import Digest
from oci_push.model.media import OCTET_STREAM
from oci_push.sandbox.blobs import created, parse_digest
from oci_push.sandbox.exchange import Complaint, Exchange, Refusal, Response, refuse
from oci_push.sandbox.store import Store
from oci_push.sandbox.uploads import Upload, Uploads

_CONTENT_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_BUSY_WAIT_S = 5.0


class UploadEndpoints:
    """Answer requests about uploads; a body is hashed and written while it is read."""

    def __init__(self, store: Store, uploads: Uploads) -> None:
        self._store = store
        self.uploads = uploads

    def start(self, exchange: Exchange, repository: str, mount_from: tuple[str, ...]) -> Response:
        """Answer end-4 and end-11; `mount_from` are the repositories a blob may be mounted from."""
        wanted = exchange.first("mount")
        if "from" in exchange.query and not wanted:
            raise refuse(400, "BLOB_UPLOAD_INVALID", "from without mount")
        mounted = self.mount(exchange, repository, wanted, mount_from) if wanted else None
        if mounted:
            return mounted
        given = exchange.first("digest")
        if given and not wanted:
            return self._single(exchange, repository, parse_digest(given))
        algorithm = exchange.first("digest-algorithm") or "sha256"
        if algorithm not in ("sha256", "sha512"):
            raise refuse(400, "DIGEST_INVALID", f"digest algorithm {algorithm} is not supported")
        exchange.body.discard()
        upload = self.uploads.start(repository, algorithm)
        return self._progress(exchange, upload, 202)

    def append(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        """Answer end-5: one chunk, or a stream without Content-Range."""
        with self.alone(self.find(exchange, repository, identifier)) as upload:
            self.check_offset(exchange, upload)
            self.check_chunk(exchange, upload)
            self.write(exchange, upload)
            return self._progress(exchange, upload, 202)

    def status(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        """Answer end-13."""
        with self.alone(self.find(exchange, repository, identifier)) as upload:
            return self._progress(exchange, upload, 204)

    def finish(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        """Answer end-6: the last bytes, or none, and the digest of the whole."""
        upload = self.find(exchange, repository, identifier)
        digest = parse_digest(exchange.first("digest"))
        with self.alone(upload):
            self.check_offset(exchange, upload)
            upload.announce(digest)
            self.write(exchange, upload)
            return self._complete(exchange, upload, digest)

    def cancel(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        """Answer end-14."""
        with self.alone(self.find(exchange, repository, identifier)) as upload:
            self.uploads.close(upload)
        return Response(204)

    def mount(self, exchange: Exchange, repository: str, wanted: str, sources: tuple[str, ...]) -> Response | None:
        """Answer end-11, or ``None`` where no source has the blob."""
        try:
            digest = Digest.parse(wanted)
        except ValueError:
            return None  # distribution-spec, "Mounting a blob": what cannot be mounted falls back to an upload
        for source in sources:
            if self._store.link_blob(source, repository, digest):
                return created(exchange, repository, digest)
        return None

    def _single(self, exchange: Exchange, repository: str, digest: Digest) -> Response:
        upload = self.uploads.start(repository, digest.algorithm)
        try:
            with self.alone(upload):
                self.write(exchange, upload)
                return self._complete(exchange, upload, digest)
        finally:
            self.uploads.close(upload)

    def _complete(self, exchange: Exchange, upload: Upload, digest: Digest) -> Response:
        if not upload.matches(digest):
            self.uploads.close(upload)
            raise refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content", str(digest))
        self._store.add_blob(upload.repository, digest, upload.path)
        self.uploads.close(upload)
        return created(exchange, upload.repository, digest)

    def find(self, exchange: Exchange, repository: str, identifier: str) -> Upload:
        """Return the open upload that a URL names, or refuse."""
        upload = self.uploads.find(repository, identifier)
        if upload is None:
            raise refuse(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload", identifier)
        if exchange.first("_state").partition(".")[0] != upload.secret:
            raise refuse(404, "BLOB_UPLOAD_INVALID", "the upload's state is not the one of its newest Location")
        return upload

    @contextmanager
    def alone(self, upload: Upload) -> Iterator[Upload]:
        """Keep other requests off an upload that is still open, or refuse."""
        with upload.alone(_BUSY_WAIT_S) as held:
            if not held:
                raise refuse(409, "BLOB_UPLOAD_INVALID", "another request is writing to this upload")
            if self.uploads.find(upload.repository, upload.id) is not upload:
                raise refuse(404, "BLOB_UPLOAD_UNKNOWN", "another request has just closed this upload", upload.id)
            yield upload

    def check_offset(self, exchange: Exchange, upload: Upload) -> None:
        """Refuse a request that does not go on at the upload's end."""
        text = exchange.headers.get("content-range")
        begin = exchange.first("_state").partition(".")[2]
        if text is not None:
            match = _CONTENT_RANGE.fullmatch(text)
            if not match or int(match[2]) < int(match[1]):
                raise refuse(400, "BLOB_UPLOAD_INVALID", "Content-Range is not of the form first-last", text)
            length = exchange.body.length
            if length is not None and length != int(match[2]) - int(match[1]) + 1:
                raise refuse(400, "SIZE_INVALID", "Content-Range and Content-Length do not agree", text)
            begin = match[1]
        if begin != str(upload.size):
            headers = self._progress(exchange, upload, 416).headers
            complaint = Complaint("RANGE_INVALID", f"the upload goes on at byte {upload.size}, not at {begin}")
            raise Refusal(416, complaint, headers=headers)

    def check_chunk(self, exchange: Exchange, upload: Upload) -> None:
        """Refuse a chunk that this upload cannot take."""
        if exchange.headers.get("content-type", OCTET_STREAM).partition(";")[0].strip() != OCTET_STREAM:
            raise refuse(415, "UNSUPPORTED", f"the Content-Type of a chunk is {OCTET_STREAM}")

    def write(self, exchange: Exchange, upload: Upload) -> None:
        """Add the request's body to an upload. Raises `body.BodyBrokenError`."""
        upload.append(exchange.body.blocks())

    def _progress(self, exchange: Exchange, upload: Upload, status: int) -> Response:
        path = f"/v2/{upload.repository}/blobs/uploads/{upload.id}?_state={upload.secret}.{upload.size}"
        headers = (
            ("Location", exchange.location(path)),
            ("Range", f"0-{max(upload.size - 1, 0)}"),
            ("Docker-Upload-UUID", upload.id),
        )
        return Response(status, headers)
