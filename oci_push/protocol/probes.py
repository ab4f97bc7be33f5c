"""Flows that only an examination of a registry needs: what it says to things a push does not ask, and cleaning up.

Rules: distribution-spec, "POST then PUT" (one POST with the body), "Listing Referrers", "Content Management".
"""

from __future__ import annotations

from oci_push.errors import RegistryError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints
from oci_push.protocol.call import EMPTY, Body, BytesBody, Call, Flow

_DELETED = frozenset({200, 202, 204})


def single_post(repository: Repository, blob: Descriptor, body: Body) -> Flow[str | None]:
    """Send a blob with the POST itself; ``None`` when it was taken, else the upload that was opened instead."""
    reply = yield Call(
        "POST",
        endpoints.uploads(repository, f"digest={blob.digest}"),
        headers={"Content-Type": media.OCTET_STREAM},
        body=body,
        answers=frozenset({201, 202}),
        scopes=(endpoints.push_scope(repository),),
        replayable=False,
        what=f"{repository}: blob {blob.digest}",
    )
    return None if reply.status == 201 else endpoints.location(reply, str(repository))


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
