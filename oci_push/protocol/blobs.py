"""Blobs: does it exist, mount it, open an upload, send it in one of three forms, cancel.

Rules: distribution-spec, "Pushing blobs" and "Mounting a blob from another repository". The state machine::

    HEAD ─ 200 ─► present
      │ 404
    POST ?mount&from ─ 201 ─► present          POST ─ 202 ─► open(Location)
      │ 202: its session is used like that of a plain POST
    open ─ PUT ?digest + body ─────────────────────────────► present      form PUT
    open ─ PATCH body, PUT ?digest ────────────────────────► present      form STREAM
    open ─ PATCH piece …, PUT ?digest ─────────────────────► present      form CHUNKS
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from oci_push.errors import NotFoundError, ProtocolViolationError, RegistryError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.media import OCTET_STREAM
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints
from oci_push.protocol.call import EMPTY, Body, Call, Flow, Piece, Reply

_RANGE = re.compile(r"(?:bytes[ =])?(\d+)-(-?\d+)")
_ACCEPTED = frozenset({200, 201, 202, 204})


class Form(enum.Enum):
    """How the bytes of an upload travel."""

    PUT = "put"
    STREAM = "patch-stream"
    CHUNKS = "patch-chunks"


@dataclass(frozen=True, slots=True)
class Upload:
    """Hold an open upload: its newest `location`, and the piece sizes the registry announced (0: none)."""

    location: str
    chunk_min: int = 0
    chunk_max: int = 0


@dataclass(frozen=True, slots=True)
class MountAnswer:
    """Tell how a mount went: done, or not with an upload to use instead, or refused outright."""

    mounted: bool = False
    upload: Upload | None = None


def exists(repository: Repository, blob: Descriptor) -> Flow[bool]:
    """Ask whether a blob is there; a size or digest that differs is the registry's fault and raised."""
    call = Call(
        "HEAD",
        endpoints.blob(repository, blob.digest),
        scopes=(endpoints.push_scope(repository),),
        what=_what(repository, blob.digest),
    )
    try:
        reply = yield call
    except NotFoundError:
        return False
    _check_digest(reply, blob.digest, call)
    length = reply.headers.get("content-length", "")
    if length.isdigit() and int(length) != blob.size:
        raise ProtocolViolationError(
            f"{call.what}: the registry holds {length} bytes under this digest, the manifest says {blob.size}",
            hint="the blob in the registry, or the size in the manifest, is wrong",
            method="HEAD",
            status=reply.status,
        )
    return True


def mount(repository: Repository, digest: Digest, source: Repository | None) -> Flow[MountAnswer]:
    """Ask the registry to link a blob it has in `source` (or, with ``None``, wherever it knows it)."""
    query = f"mount={digest}" + (f"&from={source.path}" if source else "")
    scopes = (endpoints.push_scope(repository),) + ((endpoints.pull_scope(source),) if source else ())
    call = Call(
        "POST",
        endpoints.uploads(repository, query),
        body=EMPTY,
        answers=frozenset({201, 202}),
        scopes=scopes,
        what=_what(repository, digest),
    )
    reply = yield call
    if reply.status == 202:
        return MountAnswer(upload=_upload(reply, call.what))
    given = reply.headers.get("docker-content-digest", "")
    return MountAnswer(mounted=not given or given == str(digest) or not given.startswith(digest.algorithm))


def start(repository: Repository, digest: Digest) -> Flow[Upload]:
    """Open an upload. Chunked uploads of other algorithms than sha256 announce theirs (end-4c)."""
    query = "" if digest.algorithm == "sha256" else f"digest-algorithm={digest.algorithm}"
    call = Call(
        "POST",
        endpoints.uploads(repository, query),
        body=EMPTY,
        answers=frozenset({202}),
        scopes=(endpoints.push_scope(repository),),
        what=_what(repository, digest),
    )
    return _upload((yield call), call.what)


def send(
    repository: Repository, blob: Descriptor, body: Body, upload: Upload, form: Form, chunk_bytes: int
) -> Flow[None]:
    """Send the whole blob into an open upload and close it."""
    if form is Form.PUT or blob.size == 0:
        yield from _close(repository, blob.digest, upload.location, body)
    elif form is Form.STREAM:
        reply = yield _patch(repository, blob.digest, upload.location, body, {})
        newest = (
            endpoints.location(reply, _what(repository, blob.digest))
            if "location" in reply.headers
            else upload.location
        )
        yield from _close(repository, blob.digest, newest, EMPTY)
    else:
        newest = yield from _chunks(repository, blob, body, upload, chunk_bytes)
        yield from _close(repository, blob.digest, newest, EMPTY)


def cancel(repository: Repository, location: str) -> Flow[None]:
    """Close an upload that will not be finished (end-14); best effort, so a refusal is no error."""
    try:
        yield Call(
            "DELETE",
            location,
            body=EMPTY,
            answers=_ACCEPTED,
            scopes=(endpoints.push_scope(repository),),
            replayable=False,
            what=f"{repository}: upload",
        )
    except RegistryError:
        return


def chunk_size(wanted: int, upload: Upload) -> int:
    """Fit a piece size into what the registry announced; its maximum wins over its minimum."""
    size = max(wanted, upload.chunk_min)
    return min(size, upload.chunk_max) if upload.chunk_max else size


def stored_bytes(range_header: str) -> int | None:
    """Read how many bytes a session holds from ``Range: 0-N``; ``None`` where it says nothing sure.

    ``0-0`` stands for an empty session as well as for one byte, and Quay begins with ``bytes=0--1``.
    """
    match = _RANGE.fullmatch(range_header.strip())
    if not match or match[1] != "0":
        return None
    end = int(match[2])
    return end + 1 if end > 0 else None


def _chunks(repository: Repository, blob: Descriptor, body: Body, upload: Upload, chunk_bytes: int) -> Flow[str]:
    location = upload.location
    size = chunk_size(chunk_bytes, upload)
    offset = 0
    while offset < blob.size:
        length = min(size, blob.size - offset)
        headers = {"Content-Range": f"{offset}-{offset + length - 1}"}
        reply = yield _patch(repository, blob.digest, location, Piece(body, offset, length), headers)
        if "location" in reply.headers:
            location = endpoints.location(reply, _what(repository, blob.digest))
        stored = stored_bytes(reply.headers.get("range", ""))
        # Only a shorter Range inside this piece is believed: ECR's stands still after the first one.
        short = stored is not None and offset < stored < offset + length
        offset = stored if short and stored is not None else offset + length
    return location


def _patch(repository: Repository, digest: Digest, location: str, body: Body, headers: dict[str, str]) -> Call:
    return Call(
        "PATCH",
        location,
        headers={"Content-Type": OCTET_STREAM, **headers},
        body=body,
        answers=_ACCEPTED,  # ECR answers 201 where the specification says 202
        scopes=(endpoints.push_scope(repository),),
        replayable=False,
        what=_what(repository, digest),
    )


def _close(repository: Repository, digest: Digest, location: str, body: Body) -> Flow[None]:
    call = Call(
        "PUT",
        endpoints.with_query(location, f"digest={digest.algorithm}%3A{digest.encoded}"),
        headers={"Content-Type": OCTET_STREAM},
        body=body,
        answers=frozenset({201, 204}),
        scopes=(endpoints.push_scope(repository),),
        replayable=False,
        what=_what(repository, digest),
    )
    reply = yield call
    _check_digest(reply, digest, call)


def _upload(reply: Reply, what: str) -> Upload:
    def number(name: str) -> int:
        text = reply.headers.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0

    return Upload(endpoints.location(reply, what), number("oci-chunk-min-length"), number("oci-chunk-max-length"))


def _check_digest(reply: Reply, digest: Digest, call: Call) -> None:
    given = reply.headers.get("docker-content-digest", "")
    # distribution names a sha512 upload by its sha256: only the same algorithm can disagree.
    if given and given.startswith(f"{digest.algorithm}:") and given != str(digest):
        raise ProtocolViolationError(
            f"{call.what}: the registry answered with digest {given[:90]}",
            hint="the bytes changed on the way, or the registry is broken",
            method=call.method,
            url=endpoints.bare(reply.url),
            status=reply.status,
        )


def _what(repository: Repository, digest: Digest) -> str:
    return f"{repository}: blob {digest}"
