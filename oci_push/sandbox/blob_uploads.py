"""Endpoints of blob uploads: open, mount, chunk, status, close, cancel (end-4 to end-6, end-11, end-13, end-14).

A Location carries the upload's secret and its offset in ``_state``, as distribution's does, so that a client that
builds the URL itself, or uses an old one, is found out: a wrong secret is no upload, an old offset is 416 (and
404 where `resume` is off, as distribution 2.8.2 answers).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from oci_push.model.digest import Digest
from oci_push.model.media import OCTET_STREAM
from oci_push.sandbox.blobs import created, parse_digest
from oci_push.sandbox.body import BodyBrokenError
from oci_push.sandbox.exchange import Complaint, Exchange, Refusal, Response, refuse
from oci_push.sandbox.options import SandboxOptions
from oci_push.sandbox.store import Store
from oci_push.sandbox.uploads import TooLargeError, Upload, Uploads

_CONTENT_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_BUSY_WAIT_S = 5.0


class UploadEndpoints:
    """Answer requests about uploads; a body is hashed and written while it is read."""

    def __init__(self, store: Store, uploads: Uploads, options: SandboxOptions) -> None:
        self._store = store
        self._uploads = uploads
        self._options = options

    def start(self, exchange: Exchange, repository: str, mount_from: tuple[str, ...]) -> Response:
        """Answer end-4 and end-11; `mount_from` are the repositories a blob may be mounted from."""
        wanted = exchange.first("mount")
        if "from" in exchange.query and not wanted:
            raise refuse(400, "BLOB_UPLOAD_INVALID", "from without mount")
        if wanted and self._options.mount:
            mounted = self._mount(exchange, repository, wanted, mount_from)
            if mounted:
                return mounted
        given = exchange.first("digest")
        if given and self._options.single_post and not wanted:
            return self._single(exchange, repository, parse_digest(given))
        algorithm = exchange.first("digest-algorithm") or "sha256"
        if algorithm not in ("sha256", "sha512"):
            raise refuse(400, "DIGEST_INVALID", f"digest algorithm {algorithm} is not supported")
        self._check_size(exchange)
        exchange.body.discard()
        upload = self._uploads.start(repository, algorithm)
        return self._progress(exchange, upload, 202, announce=True)

    def append(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        """Answer end-5: one chunk, or a stream without Content-Range."""
        if not self._options.patch:
            raise refuse(405, "UNSUPPORTED", "this registry takes a blob in one PUT")
        with self._alone(self._upload(exchange, repository, identifier)) as upload:
            self._check_offset(exchange, upload)
            self._check_chunk(exchange, upload)
            before = upload.size
            self._write(exchange, upload)
            upload.short_chunk = upload.size - before < self._options.chunk_min
            return self._progress(exchange, upload, self._options.patch_status)

    def status(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        """Answer end-13."""
        with self._alone(self._upload(exchange, repository, identifier)) as upload:
            return self._progress(exchange, upload, 204)

    def finish(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        """Answer end-6: the last bytes, or none, and the digest of the whole."""
        upload = self._upload(exchange, repository, identifier)
        digest = parse_digest(exchange.first("digest"))
        with self._alone(upload):
            self._check_offset(exchange, upload)
            upload.announce(digest)
            self._write(exchange, upload)
            return self._complete(exchange, upload, digest)

    def cancel(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        """Answer end-14."""
        with self._alone(self._upload(exchange, repository, identifier)) as upload:
            if not self._options.stale_cancel:
                self._check_offset(exchange, upload)
            self._uploads.close(upload)
        return Response(204)

    def _mount(self, exchange: Exchange, repository: str, wanted: str, sources: tuple[str, ...]) -> Response | None:
        try:
            digest = Digest.parse(wanted)
        except ValueError:
            return None  # distribution-spec, "Mounting a blob": what cannot be mounted falls back to an upload
        if not exchange.first("from"):
            sources = tuple(s for s in self._store.find_blob(digest) if s in sources)
        for source in sources:
            if self._store.link_blob(source, repository, digest):
                return created(exchange, self._options, repository, digest)
        return None

    def _single(self, exchange: Exchange, repository: str, digest: Digest) -> Response:
        upload = self._uploads.start(repository, digest.algorithm)
        try:
            with self._alone(upload):
                self._write(exchange, upload)
                return self._complete(exchange, upload, digest)
        finally:
            self._uploads.close(upload)

    def _complete(self, exchange: Exchange, upload: Upload, digest: Digest) -> Response:
        if not upload.matches(digest):
            self._uploads.close(upload)
            raise refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content", str(digest))
        self._store.add_blob(upload.repository, digest, upload.path)
        self._uploads.close(upload)
        return created(exchange, self._options, upload.repository, digest)

    def _upload(self, exchange: Exchange, repository: str, identifier: str) -> Upload:
        upload = self._uploads.find(repository, identifier)
        if upload is None:
            code = "BLOB_UPLOAD_INVALID" if self._uploads.is_broken(identifier) else "BLOB_UPLOAD_UNKNOWN"
            raise refuse(404, code, "there is no such upload", identifier)
        secret, _, offset = exchange.first("_state").partition(".")
        if secret != upload.secret or (not self._options.resume and offset != str(upload.size)):
            raise refuse(404, "BLOB_UPLOAD_INVALID", "the upload's state is not the one of its newest Location")
        return upload

    @contextmanager
    def _alone(self, upload: Upload) -> Iterator[Upload]:
        with upload.alone(_BUSY_WAIT_S) as held:
            if not held:
                raise refuse(409, "BLOB_UPLOAD_INVALID", "another request is writing to this upload")
            if self._uploads.find(upload.repository, upload.id) is not upload:
                raise refuse(404, "BLOB_UPLOAD_UNKNOWN", "another request has just closed this upload", upload.id)
            yield upload

    def _check_offset(self, exchange: Exchange, upload: Upload) -> None:
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

    def _check_chunk(self, exchange: Exchange, upload: Upload) -> None:
        if upload.short_chunk:
            message = f"a chunk before this one was below the minimum of {self._options.chunk_min} bytes"
            raise refuse(400, "SIZE_INVALID", message)
        if exchange.headers.get("content-type", OCTET_STREAM).partition(";")[0].strip() != OCTET_STREAM:
            raise refuse(415, "UNSUPPORTED", f"the Content-Type of a chunk is {OCTET_STREAM}")

    def _check_size(self, exchange: Exchange) -> None:
        limit = self._limit()
        if limit and (exchange.body.length or 0) > limit:
            raise refuse(413, "SIZE_INVALID", f"the body is over the limit of {limit} bytes")

    def _write(self, exchange: Exchange, upload: Upload) -> None:
        self._check_size(exchange)
        try:
            upload.append(exchange.body, self._limit())
        except TooLargeError as problem:
            raise refuse(413, "SIZE_INVALID", f"the body is over the limit of {self._limit()} bytes") from problem
        except BodyBrokenError:
            if not self._options.resume:
                self._uploads.close(upload, broken=True)
            raise

    def _limit(self) -> int:
        return min((limit for limit in (self._options.chunk_max, self._options.max_body) if limit), default=0)

    def _progress(self, exchange: Exchange, upload: Upload, status: int, *, announce: bool = False) -> Response:
        path = f"/v2/{upload.repository}/blobs/uploads/{upload.id}?_state={upload.secret}.{upload.size}"
        headers = [
            ("Location", exchange.location(path, self._options)),
            ("Range", f"0-{max(upload.size - 1, 0)}"),
            ("Docker-Upload-UUID", upload.id),
        ]
        if announce and self._options.chunk_min:
            headers.append(("OCI-Chunk-Min-Length", str(self._options.chunk_min)))
        if announce and self._options.chunk_max:
            headers.append(("OCI-Chunk-Max-Length", str(self._options.chunk_max)))
        return Response(status, tuple(headers))
