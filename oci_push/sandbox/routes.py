"""Which handler answers which URL (distribution-spec, "Endpoints").

A path is read from its end, since a repository may be called ``a/blobs/uploads`` or ``a/manifests``.
"""

from __future__ import annotations

from msgspec import Struct

from oci_push.model.reference import Repository
from oci_push.sandbox.blob_uploads import UploadEndpoints
from oci_push.sandbox.blobs import BlobEndpoints
from oci_push.sandbox.exchange import Exchange, Refusal, Response, json_response, refuse
from oci_push.sandbox.listings import ListEndpoints
from oci_push.sandbox.manifests import ManifestEndpoints
from oci_push.sandbox.store import Store
from oci_push.sandbox.uploads import Uploads

_READS = ("GET", "HEAD")


class Target(Struct, frozen=True):
    """What a path names: a `kind` of endpoint, a repository's checked name, and the last component."""

    kind: str
    repository: str
    reference: str


class Router:
    """Answer every request of the API; everybody may do everything."""

    def __init__(self, store: Store, uploads: Uploads) -> None:
        self._store = store
        self.blobs = BlobEndpoints(store)
        self.uploads = UploadEndpoints(store, uploads)
        self.manifests = ManifestEndpoints(store)
        self.lists = ListEndpoints(store)

    def answer(self, exchange: Exchange) -> Response:
        """Return the answer; a refusal is an answer too. `body.BodyBrokenError` means that nobody waits for one."""
        try:
            response = self._answer(exchange)
        except Refusal as refusal:
            response = refusal.response
        if exchange.path.startswith("/v2"):
            response = response.with_headers(("Docker-Distribution-Api-Version", "registry/2.0"))
        return response

    def _answer(self, exchange: Exchange) -> Response:
        path = exchange.path
        if path == "/v2":
            return Response(301, (("Location", "/v2/"),))
        if not path.startswith("/v2/"):
            return self.outside(exchange)
        self.authorize(exchange)
        if path == "/v2/" and exchange.method in _READS:
            return json_response(200, {})
        if path == "/v2/_catalog" and exchange.method == "GET":
            return self.lists.catalog(exchange)
        target = find_target(path)
        if target is None:
            raise refuse(404, "UNSUPPORTED", "there is no such endpoint", path)
        return self._dispatch(exchange, target)

    def outside(self, exchange: Exchange) -> Response:
        """Answer a path that is not the API's."""
        raise refuse(404, "UNSUPPORTED", "there is nothing outside /v2/", exchange.path)

    def authorize(self, exchange: Exchange) -> None:
        """Refuse a request that its sender may not make; here there is none."""

    def mount_sources(self, exchange: Exchange) -> tuple[str, ...]:
        """Return the repositories that a blob may be mounted from: the one that is named, or those that have it."""
        source = exchange.first("from")
        if source:
            return (source,) if is_name(source) else ()
        return self._store.holders(exchange.first("mount"))

    def _dispatch(self, exchange: Exchange, target: Target) -> Response:
        repository, reference = target.repository, target.reference
        match target.kind, exchange.method:
            case "blobs", "GET" | "HEAD":
                return self.blobs.fetch(exchange, repository, reference)
            case "blobs", "DELETE":
                return self.blobs.remove(repository, reference)
            case "blobs", "POST" if reference == "uploads":
                return Response(301, (("Location", f"/v2/{repository}/blobs/uploads/"),))
            case "uploads", "POST" if not reference:
                return self.uploads.start(exchange, repository, self.mount_sources(exchange))
            case "upload", "GET":
                return self.uploads.status(exchange, repository, reference)
            case "upload", "PATCH":
                return self.uploads.append(exchange, repository, reference)
            case "upload", "PUT":
                return self.uploads.finish(exchange, repository, reference)
            case "upload", "DELETE":
                return self.uploads.cancel(exchange, repository, reference)
            case "manifests", "GET" | "HEAD":
                return self.manifests.fetch(repository, reference)
            case "manifests", "PUT":
                return self.manifests.put(exchange, repository, reference)
            case "manifests", "DELETE":
                return self.manifests.remove(repository, reference)
            case "tags", "GET":
                return self.lists.tags(exchange, repository)
            case "referrers", "GET":
                return self.lists.referrers(exchange, repository, reference)
        raise refuse(405, "UNSUPPORTED", f"{exchange.method} is not possible here")


def find_target(path: str) -> Target | None:
    """Read a path below ``/v2/``; ``None`` when it is no endpoint. A bad repository name is refused."""
    parts = path.removeprefix("/v2/").split("/")
    found: Target | None = None
    if parts[-2:] == ["tags", "list"]:
        found = Target("tags", "/".join(parts[:-2]), "")
    elif len(parts) > 2 and parts[-2] in ("manifests", "referrers", "blobs"):
        found = Target(parts[-2], "/".join(parts[:-2]), parts[-1])
    elif len(parts) > 3 and parts[-3:-1] == ["blobs", "uploads"]:
        found = Target("upload" if parts[-1] else "uploads", "/".join(parts[:-3]), parts[-1])
    if found is not None and not is_name(found.repository):
        raise refuse(400, "NAME_INVALID", "invalid repository name", found.repository)
    return found


def is_name(text: str) -> bool:
    """Return whether this may be a repository's name."""
    try:
        Repository("sandbox", text)
    except ValueError:
        return False
    return True
