"""Endpoints of manifests: HEAD, GET, PUT by tag, by digest or with many tags, DELETE (end-3, end-7, end-9).

The Accept header is not looked at: what is stored is served, as the specification has it for a manifest that the
client did not ask for. A body of a media type that is no image, index or Docker counterpart is accepted when it is
a JSON object, and what it names is not checked, since nobody can tell.
"""

from __future__ import annotations

from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.reference import is_tag
from oci_push.sandbox.blobs import parse_digest
from oci_push.sandbox.exchange import Complaint, Exchange, Refusal, Response, refuse
from oci_push.sandbox.store import Store, StoredManifest, describe

_MAX_TAGS = 46
"""As zot: more ``tag=`` in one request are 414; the specification asks for at least 10."""


class ManifestEndpoints:
    """Answer requests about manifests."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def fetch(self, repository: str, reference: str) -> Response:
        """Answer end-3."""
        if ":" in reference:
            parse_digest(reference)
        found = self._store.find_manifest(repository, reference)
        raw = self._store.manifest(repository, reference)
        if found is None or raw is None:
            raise refuse(404, "MANIFEST_UNKNOWN", "manifest unknown", {"name": repository, "reference": reference})
        digest = str(found.descriptor.digest)
        headers = (
            ("Content-Type", found.descriptor.media_type),
            ("Docker-Content-Digest", digest),
            ("ETag", f'"{digest}"'),
        )
        return Response(200, headers, raw)

    def put(self, exchange: Exchange, repository: str, reference: str) -> Response:
        """Answer end-7; the manifest is stored before any tag points at it."""
        by_digest = parse_digest(reference) if ":" in reference else None
        if by_digest is None and not is_tag(reference):
            raise refuse(400, "MANIFEST_INVALID", "neither a tag nor a digest", reference)
        given = exchange.first("digest") if not by_digest else ""
        wanted = parse_digest(given) if given else by_digest
        tags = self._tags(exchange, reference)
        raw = exchange.body.read(media.MAX_MANIFEST_BYTES)
        if raw is None:
            raise refuse(413, "MANIFEST_INVALID", f"manifest is over the limit of {media.MAX_MANIFEST_BYTES} bytes")
        digest = Digest.of(raw, wanted.algorithm if wanted else "sha256")
        if wanted and digest != wanted:
            raise refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content", str(wanted))
        stored = self._read(exchange, raw, digest)
        self.check_contents(repository, raw, stored)
        accepted = self.accepted(repository, tags)
        self._store.add_manifest(repository, stored, raw, accepted)
        location = exchange.location(f"/v2/{repository}/manifests/{reference}")
        headers = [("Location", location), ("Docker-Content-Digest", str(digest))]
        if stored.subject:
            headers.append(("OCI-Subject", str(stored.subject)))
        if by_digest:
            headers.extend(("OCI-Tag", tag) for tag in accepted)
        return Response(201, tuple(headers))

    def remove(self, repository: str, reference: str) -> Response:
        """Answer end-9: a tag alone, or a manifest with its tags."""
        by_digest = parse_digest(reference) if ":" in reference else None
        if by_digest:
            gone = self._store.remove_manifest(repository, by_digest)
        else:
            gone = self._store.remove_tag(repository, reference)
        if not gone:
            raise refuse(404, "MANIFEST_UNKNOWN", "manifest unknown", reference)
        return Response(202)

    def _tags(self, exchange: Exchange, reference: str) -> tuple[str, ...]:
        if ":" not in reference:
            if "tag" in exchange.query:
                raise refuse(400, "MANIFEST_INVALID", "tag= goes with a digest, not with a tag", reference)
            return (reference,)
        asked = exchange.query.get("tag", ())
        if len(asked) > _MAX_TAGS:
            raise refuse(414, "UNSUPPORTED", f"at most {_MAX_TAGS} tags in one request")
        for tag in asked:
            if not is_tag(tag):
                raise refuse(400, "MANIFEST_INVALID", "not a tag", tag)
        return tuple(dict.fromkeys(asked))

    def accepted(self, repository: str, tags: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the tags asked for that may be set, or refuse; here all of them."""
        return tags

    def _read(self, exchange: Exchange, raw: bytes, digest: Digest) -> StoredManifest:
        media_type = exchange.headers.get("content-type", "").partition(";")[0].strip()
        if not media_type or media_type in media.SCHEMA1:
            raise refuse(400, "MANIFEST_INVALID", f"Content-Type {media_type!r} is not supported")
        try:
            inside = load_json(raw, "manifest").get("mediaType")
            if inside is not None and inside != media_type:
                raise ValueError(f"mediaType is {inside!r}, Content-Type is {media_type!r}")
            return describe(raw, media_type, digest)
        except ValueError as problem:
            raise refuse(400, "MANIFEST_INVALID", str(problem)) from problem

    def check_contents(self, repository: str, raw: bytes, stored: StoredManifest) -> None:
        """Refuse a manifest that names what is missing.

        A subject may be missing (distribution-spec, "Pushing Manifests with Subject").
        """
        if stored.descriptor.media_type not in media.MANIFESTS:
            return
        manifest = Manifest.parse(raw, stored.descriptor.media_type, stored.descriptor.digest)
        missing, wrong = [], []
        for child in manifest.children:
            if self._store.find_manifest(repository, child.digest) is None:
                missing.append(str(child.digest))
        for blob in manifest.blobs:
            size = self._store.blob_size(repository, blob.digest)
            if size is None and not (blob.urls or media.is_foreign_layer(blob.media_type)):
                missing.append(str(blob.digest))
            elif size is not None and size != blob.size:
                wrong.append(Complaint("SIZE_INVALID", f"the blob has {size} bytes, not {blob.size}", str(blob.digest)))
        if missing or wrong:
            unknown = (
                Complaint("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
                for digest in dict.fromkeys(missing)
            )
            raise Refusal(400, *unknown, *wrong)
