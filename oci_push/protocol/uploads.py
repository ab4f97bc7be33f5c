"""Uploads: open one or mount a blob, send a chunk or all, ask how far it got, close, cancel. One request a flow.

Rules: distribution-spec, "Pushing blobs" (POST then PUT, single POST, in chunks), "Mounting a blob from another
repository" (201: present, 202: an upload as any) and "Get blob upload status". A success that shows no sign of the blob
costs one more request, which asks for it.
The order of these requests, and what is done when one breaks, is the business of `registry.upload`::

    POST ─ 202 ─► open(Location) ─ PUT ?digest + body ─► present
                      │  ▲
                      │  └─ PATCH chunk ─ 202 Location Range ─┐   GET ─ 204 Location Range: where it stands
                      └───────────────────────────────────────┘
"""

from __future__ import annotations

import enum
import re

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import NotFoundError, OciPushError, RegistryError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.media import OCTET_STREAM
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints
from oci_push.protocol.blobs import check_digest, exists
from oci_push.protocol.call import EMPTY, Body, Call, Chunk, Flow, Reply
from oci_push.protocol.error_responses import violation
from oci_push.protocol.existence import shows

_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(-?\d{1,18})")
_ACCEPTED = frozenset({200, 201, 202, 204})
_STATUS_OK = frozenset({200, 202, 204})
_DIGESTING_BYTES_PER_S = 20_000_000
"""How fast the slowest registry puts a finished upload away; it may read all of it again to do so."""


class UploadMethod(enum.StrEnum):
    """How the bytes of an upload travel."""

    MONOLITHIC = "put"
    STREAMED = "patch-stream"
    CHUNKED = "patch-chunks"


class UploadSession(Struct, frozen=True):
    """An open upload: its newest `location`, and the chunk sizes the registry announced (0: none)."""

    location: str
    chunk_min: int = 0
    chunk_max: int = 0


class UploadStatus(Struct, frozen=True):
    """Where an upload stands: how to go on, and how many bytes it holds; ``None`` where that is not sure."""

    upload: UploadSession
    stored: int | None


class MountAnswer(Struct, frozen=True):
    """How a mount went: done, or not, with an upload to use instead, or refused outright."""

    mounted: bool = False
    upload: UploadSession | None = None


def start(repository: Repository, digest: Digest, what: str = "") -> Flow[UploadSession]:
    """Open an upload; `what` names it where that is no blob of an image.

    Chunked uploads of other algorithms than sha256 announce theirs (end-4c).
    """
    query = "" if digest.algorithm == "sha256" else f"digest-algorithm={digest.algorithm}"
    call = _opening(repository, digest, query, EMPTY, frozenset({202}))
    call = replace(call, what=what or call.what)
    return opened((yield call), call.what)


def post_whole(repository: Repository, blob: Descriptor, body: Body) -> Flow[UploadSession | None]:
    """Send a blob in the very request that opens its upload (end-4b); an upload is the answer of who cannot."""
    query = f"digest={blob.digest.algorithm}%3A{blob.digest.encoded}"
    call = _opening(repository, blob.digest, query, body, frozenset({201, 202}))
    reply = yield replace(call, headers={"Content-Type": OCTET_STREAM})
    if reply.status == 202:
        return opened(reply, call.what)
    check_digest(reply, blob.digest, call)
    yield from _see(repository, blob, reply, call)
    return None


def mount(repository: Repository, blob: Descriptor, source: Repository | None) -> Flow[MountAnswer]:
    """Ask the registry to link a blob it has in `source` (or, with ``None``, wherever it knows it)."""
    digest = blob.digest
    query = f"mount={digest}" + (f"&from={source.path}" if source else "")
    if digest.algorithm != "sha256":
        query += f"&digest-algorithm={digest.algorithm}"  # what cannot be mounted opens an upload (end-4c)
    call = _opening(repository, digest, query, EMPTY, frozenset({201, 202}))
    reply = yield replace(call, scopes=call.scopes + ((endpoints.pull_scope(source),) if source else ()))
    if reply.status == 202:
        return MountAnswer(upload=opened(reply, call.what))
    given = reply.headers.get("docker-content-digest", "")
    if given.startswith(f"{digest.algorithm}:"):
        return MountAnswer(mounted=given == str(digest))
    return MountAnswer(mounted=shows(reply, digest) or (yield from exists(repository, blob)))


def send_chunk(
    repository: Repository, digest: Digest, upload: UploadSession, body: Body, offset: int | None
) -> Flow[UploadStatus]:
    """Send a chunk that begins at `offset`, or with ``None`` a stream that names no range (end-5)."""
    headers = {"Content-Type": OCTET_STREAM}
    if offset is not None:
        headers["Content-Range"] = f"{offset}-{offset + body.size - 1}"
    reply = yield Call(
        "PATCH",
        upload.location,
        headers=headers,
        body=body,
        ok_statuses=_ACCEPTED,  # ECR answers 201 where the specification says 202
        scopes=(endpoints.push_scope(repository),),
        idempotent=False,
        what=endpoints.blob_name(repository, digest),
    )
    return _status(reply, upload, endpoints.blob_name(repository, digest))


def ask(repository: Repository, digest: Digest, upload: UploadSession, *, urgent: bool = False) -> Flow[UploadStatus]:
    """Ask an upload how far it got (end-13). Quay names no new Location, and counts one byte too many: not sure."""
    reply = yield Call(
        "GET",
        upload.location,
        ok_statuses=_STATUS_OK,
        scopes=(endpoints.push_scope(repository),),
        what=endpoints.blob_name(repository, digest),
        urgent=urgent,
    )
    status = _status(reply, upload, endpoints.blob_name(repository, digest))
    return status if "location" in reply.headers else replace(status, stored=None)


def close(repository: Repository, blob: Descriptor, upload: UploadSession, body: Body, offset: int = 0) -> Flow[None]:
    """Close an upload with its last bytes, which begin at `offset`, or with none (end-6)."""
    headers = {"Content-Type": OCTET_STREAM}
    if offset and body.size:
        headers["Content-Range"] = f"{offset}-{offset + body.size - 1}"
    call = Call(
        "PUT",
        endpoints.with_query(upload.location, f"digest={blob.digest.algorithm}%3A{blob.digest.encoded}"),
        headers=headers,
        body=body,
        ok_statuses=frozenset({200, 201, 204}),
        scopes=(endpoints.push_scope(repository),),
        idempotent=False,
        what=endpoints.blob_name(repository, blob.digest),
        answer_s=blob.size / _DIGESTING_BYTES_PER_S,
    )
    reply = yield call
    check_digest(reply, blob.digest, call)
    yield from _see(repository, blob, reply, call)


def send_in(
    repository: Repository, blob: Descriptor, body: Body, upload: UploadSession, method: UploadMethod, chunk_bytes: int
) -> Flow[None]:
    """Send a whole blob in one form, going on with nothing: what an examination of a registry does."""
    offset = 0
    if method is UploadMethod.STREAMED:
        upload = (yield from send_chunk(repository, blob.digest, upload, body, None)).upload
        offset = blob.size
    while method is UploadMethod.CHUNKED and offset < blob.size:
        chunk = Chunk(body, offset, min(chunk_bytes, blob.size - offset))
        upload = (yield from send_chunk(repository, blob.digest, upload, chunk, offset)).upload
        offset += chunk.size
    yield from close(repository, blob, upload, body if not offset else EMPTY, offset)


def cancel(repository: Repository, location: str, *, is_stale: bool = False) -> Flow[None]:
    """Close an upload that will not be finished (end-14); best effort, so a refusal is no error.

    A Location from before a body that broke (`is_stale`) is refused: the newest one is asked for first, as it is after
    a refusal that a stale Location may explain (416, 409, 400).
    """
    scopes, what = (endpoints.push_scope(repository),), f"{repository}: upload"
    for has_asked in (is_stale, True):
        if has_asked:
            try:
                reply = yield Call("GET", location, ok_statuses=_STATUS_OK, scopes=scopes, what=what, urgent=True)
            except NotFoundError:
                return
            except OciPushError:
                pass  # it may be there all the same, and where it was
            else:
                location = endpoints.location(reply, what) if "location" in reply.headers else location
        try:
            yield Call(
                "DELETE", location, body=EMPTY, ok_statuses=_ACCEPTED, scopes=scopes, idempotent=False, what=what
            )
        except RegistryError as refused:
            if has_asked or refused.status not in (400, 409, 416):
                return
        else:
            return


def opened(reply: Reply, what: str) -> UploadSession:
    """Read the answer that opened an upload."""
    return _limited(UploadSession(endpoints.location(reply, what)), reply)


def stored_bytes(range_header: str) -> int | None:
    """Read how many bytes a session holds from ``Range: 0-N``; ``None`` where it says nothing sure.

    ``0-0`` stands for an empty session as well as for one byte, and Quay begins with ``bytes=0--1``.
    """
    match = _RANGE.fullmatch(range_header.strip())
    if not match or match[1] != "0":
        return None
    end = int(match[2])
    return end + 1 if end > 0 else None


def _see(repository: Repository, blob: Descriptor, reply: Reply, call: Call) -> Flow[None]:
    """Ask again after a success that shows no sign of the blob: a front end's 201 has stored nothing."""
    # distribution names a sha512 upload by its sha256.
    if shows(reply, blob.digest) or "docker-content-digest" in reply.headers:
        return
    if not (yield from exists(repository, blob)):
        said = f"the registry says that the blob is stored ({reply.status}), and does not have it"
        hint = "something between here and the registry answers in its place"
        raise violation(call, reply, said, hint=hint, transient=True)  # it may be away for a moment, behind a front end


def _opening(repository: Repository, digest: Digest, query: str, body: Body, ok_statuses: frozenset[int]) -> Call:
    return Call(
        "POST",
        endpoints.uploads(repository, query),
        body=body,
        ok_statuses=ok_statuses,
        scopes=(endpoints.push_scope(repository),),
        what=endpoints.blob_name(repository, digest),
        opens=True,
    )


def _status(reply: Reply, upload: UploadSession, what: str) -> UploadStatus:
    newest = endpoints.location(reply, what) if "location" in reply.headers else upload.location
    return UploadStatus(_limited(replace(upload, location=newest), reply), stored_bytes(reply.headers.get("range", "")))


def _limited(upload: UploadSession, reply: Reply) -> UploadSession:
    def number(name: str, known: int) -> int:
        text = reply.headers.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else known

    # Minimum: distribution-spec; maximum: Cloudflare's registry, which says so on any answer.
    return replace(
        upload,
        chunk_min=number("oci-chunk-min-length", upload.chunk_min),
        chunk_max=number("oci-chunk-max-length", upload.chunk_max),
    )
