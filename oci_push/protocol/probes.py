"""Flows that only an examination of a registry needs: what it says to things a push does not ask, and cleaning up.

Rules: distribution-spec, "POST then PUT" (one POST with the body), "Listing Referrers", "Content Management".
"""

from __future__ import annotations

from oci_push.errors import RegistryError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints, uploads
from oci_push.protocol.call import EMPTY, BytesBody, Call, Flow
from oci_push.protocol.uploads import Form, Upload

_DELETED = frozenset({200, 202, 204})


def send_as(
    repository: Repository, blob: Descriptor, content: bytes, upload: Upload, form: Form, piece_bytes: int
) -> Flow[None]:
    """Send a small blob into an open upload in one form, pieces of this size, and close it."""
    if form is Form.PUT:
        yield from uploads.close(repository, blob, upload, BytesBody(content))
        return
    if form is Form.STREAM:
        upload = (yield from uploads.send_piece(repository, blob.digest, upload, BytesBody(content), None)).upload
    else:
        for start in range(0, len(content), piece_bytes):
            piece = BytesBody(content[start : start + piece_bytes])
            upload = (yield from uploads.send_piece(repository, blob.digest, upload, piece, start)).upload
    yield from uploads.close(repository, blob, upload, EMPTY)


def put_with_subject(repository: Repository, manifest: Manifest) -> Flow[bool]:
    """Store a manifest that has a subject; say whether the registry took note of it (``OCI-Subject``)."""
    reply = yield Call(
        "PUT",
        endpoints.manifest(repository, str(manifest.digest)),
        headers={"Content-Type": manifest.media_type},
        body=BytesBody(manifest.raw),
        answers=frozenset({201}),
        scopes=(endpoints.push_scope(repository),),
        what=f"{repository}@{manifest.digest}",
    )
    return "oci-subject" in reply.headers


def referrers(repository: Repository, digest: Digest) -> Flow[int | None]:
    """Count what refers to a manifest; ``None`` where the registry has no such list."""
    call = Call(
        "GET",
        f"/v2/{repository.path}/referrers/{digest}",
        scopes=(endpoints.pull_scope(repository),),
        what=f"{repository}: referrers of {digest}",
    )
    try:
        reply = yield call
        found = load_json(reply.body, "referrers").get("manifests")
    except (RegistryError, ValueError) as error:
        if isinstance(error, RegistryError) and error.transient:
            raise
        return None
    return len(found) if isinstance(found, list) else None


def delete_manifest(repository: Repository, target: str, action: str) -> Flow[None]:
    """Delete a manifest by digest, or a tag (end-9); `action` is what the token is asked for."""
    yield _delete(repository, endpoints.manifest(repository, target), action, f"{repository}@{target}")


def delete_blob(repository: Repository, digest: Digest, action: str) -> Flow[None]:
    """Delete a blob (end-10)."""
    yield _delete(repository, endpoints.blob(repository, digest), action, f"{repository}: blob {digest}")


def _delete(repository: Repository, url: str, action: str, what: str) -> Call:
    scope = f"repository:{repository.path}:{action}"
    return Call("DELETE", url, body=EMPTY, answers=_DELETED, scopes=(scope,), what=what)
