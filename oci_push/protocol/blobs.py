"""Blobs that should be there: does one exist, how large is it. How one is mounted or sent is `uploads`.

Rules: distribution-spec, "Checking if content exists in the registry".
"""

from __future__ import annotations

from msgspec import Struct

from oci_push.errors import NotFoundError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints
from oci_push.protocol.call import EMPTY, Call, Flow, Reply
from oci_push.protocol.error_responses import violation
from oci_push.protocol.existence import look, shows


class BlobHead(Struct, frozen=True):
    """What a registry says of a blob without sending it; no size where it tells none."""

    size: int | None


def exists(repository: Repository, blob: Descriptor, *, push: bool = True) -> Flow[bool]:
    """Ask whether a blob is there; a size or digest that differs at a second look is the registry's fault and raised.

    The second look is a GET of the first byte. What shows neither size nor digest is somebody's page, and no blob.
    Without `push` no right to write is asked for.
    """
    call = Call(
        "HEAD",
        endpoints.blob(repository, blob.digest),
        scopes=((endpoints.push_scope if push else endpoints.pull_scope)(repository),),
        what=endpoints.blob_name(repository, blob.digest),
    )

    def is_clear(reply: Reply) -> bool:
        size, given = _size(reply), reply.headers.get("docker-content-digest", "")
        is_ours = shows(reply, blob.digest)
        return (size == blob.size and (is_ours or not given)) or (size is None and is_ours)

    try:
        reply = yield from look(
            call, is_clear, headers={"Range": "bytes=0-0"}, ok_statuses=frozenset({200, 206, 416}), peeks=True
        )
    except NotFoundError:
        return False
    check_digest(reply, blob.digest, call)
    size = _size(reply)
    if size is not None and size != blob.size:
        said = f"the registry holds {size} bytes under this digest, the manifest says {blob.size}"
        raise violation(call, reply, said, hint="the blob in the registry, or the size in the manifest, is wrong")
    return size is not None or shows(reply, blob.digest)


def head(repository: Repository, digest: Digest) -> Flow[BlobHead | None]:
    """Ask for a blob of which only the digest is known; ``None`` for none. What shows neither size nor digest is none.

    The second look is that of `exists`; a HEAD that says 0 bytes is not believed where the digest is another than that
    of nothing. A page that answers in the registry's place is its fault and raised.
    """
    call = Call(
        "HEAD",
        endpoints.blob(repository, digest),
        scopes=(endpoints.pull_scope(repository),),
        what=endpoints.blob_name(repository, digest),
    )
    is_empty = digest == Digest.of(b"", digest.algorithm)
    try:
        reply = yield from look(
            call,
            lambda reply: bool(_size(reply) or is_empty) and shows(reply, digest),
            headers={"Range": "bytes=0-0"},
            ok_statuses=frozenset({200, 206, 416}),
            peeks=True,
        )
    except NotFoundError:
        return None
    check_digest(reply, digest, call)
    size = _size(reply)
    is_shown = shows(reply, digest)
    if not is_shown and reply.status == 200 and "html" in reply.headers.get("content-type", ""):
        raise violation(call, reply, "what the registry answers is a web page, and no blob")
    return BlobHead(size) if size is not None or is_shown else None


def check_digest(reply: Reply, digest: Digest, call: Call) -> None:
    """Compare the digest an answer gives, if it gives one, with what was asked for; raise when they differ."""
    given = reply.headers.get("docker-content-digest", "")
    # distribution names a sha512 upload by its sha256: only the same algorithm can disagree.
    if given and given.startswith(f"{digest.algorithm}:") and given != str(digest):
        hint = "the bytes changed on the way, or the registry is broken"
        raise violation(call, reply, f"the registry answered with digest {given[:90]}", hint=hint)


def delete(repository: Repository, digest: Digest, actions: str) -> Flow[None]:
    """Delete a blob (end-10); `actions` are what the token is asked for."""
    yield Call(
        "DELETE",
        endpoints.blob(repository, digest),
        body=EMPTY,
        ok_statuses=frozenset({200, 202, 204}),
        scopes=(f"repository:{repository.path}:{actions}",),
        what=endpoints.blob_name(repository, digest),
    )


def _size(reply: Reply) -> int | None:
    """Read the size of the whole from an answer that may be about a part of it (RFC 9110 §14.4)."""
    text = reply.headers.get("content-length", "")
    if reply.status in (206, 416):
        text = reply.headers.get("content-range", "").rpartition("/")[2]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
