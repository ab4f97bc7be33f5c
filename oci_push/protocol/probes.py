"""Flows that only an examination of a registry needs: what it says to things a push does not ask, and cleaning up.

Rules: distribution-spec, "Listing Referrers", "Content Management".
"""

from __future__ import annotations

from oci_push.errors import RegistryError
from oci_push.model.digest import Digest
from oci_push.model.manifest import load_json
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints
from oci_push.protocol.call import EMPTY, Call, Flow

_DELETED = frozenset({200, 202, 204})


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
    return Call("DELETE", url, body=EMPTY, ok_statuses=_DELETED, scopes=(scope,), what=what)
