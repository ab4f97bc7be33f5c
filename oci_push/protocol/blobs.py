"""Blobs: does one exist, and may it be mounted from another repository. How one is sent is `uploads`.

Rules: distribution-spec, "Checking if content exists" and "Mounting a blob from another repository"::

    HEAD ─ 200 ─► present
    POST ?mount&from ─ 201 ─► present, or 202: its session is used like that of a plain POST
"""

from __future__ import annotations

from dataclasses import dataclass

from oci_push.errors import NotFoundError, ProtocolViolationError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints
from oci_push.protocol.call import EMPTY, Call, Flow
from oci_push.protocol.uploads import Upload, check_digest, opened, what_of


@dataclass(frozen=True, slots=True)
class MountAnswer:
    """Tell how a mount went: done, or not, with an upload to use instead, or refused outright."""

    mounted: bool = False
    upload: Upload | None = None


def exists(repository: Repository, blob: Descriptor) -> Flow[bool]:
    """Ask whether a blob is there; a size or digest that differs is the registry's fault and raised."""
    call = Call(
        "HEAD",
        endpoints.blob(repository, blob.digest),
        scopes=(endpoints.push_scope(repository),),
        what=what_of(repository, blob.digest),
    )
    try:
        reply = yield call
    except NotFoundError:
        return False
    check_digest(reply, blob.digest, call)
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
    if digest.algorithm != "sha256":
        query += f"&digest-algorithm={digest.algorithm}"  # what cannot be mounted opens an upload (end-4c)
    scopes = (endpoints.push_scope(repository),) + ((endpoints.pull_scope(source),) if source else ())
    call = Call(
        "POST",
        endpoints.uploads(repository, query),
        body=EMPTY,
        answers=frozenset({201, 202}),
        scopes=scopes,
        what=what_of(repository, digest),
        opens=True,
    )
    reply = yield call
    if reply.status == 202:
        return MountAnswer(upload=opened(reply, call.what))
    given = reply.headers.get("docker-content-digest", "")
    return MountAnswer(mounted=not given or given == str(digest) or not given.startswith(digest.algorithm))
