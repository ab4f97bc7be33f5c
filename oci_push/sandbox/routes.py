"""Which handler answers which URL, and which token scopes it needs (distribution-spec, "Endpoints").

A path is read from its end, since a repository may be called ``a/blobs/uploads`` or ``a/manifests``.
"""

from __future__ import annotations

from msgspec import Struct

from oci_push.model.reference import Repository
from oci_push.sandbox.auth import Gate
from oci_push.sandbox.blob_uploads import UploadEndpoints
from oci_push.sandbox.blobs import BlobEndpoints
from oci_push.sandbox.exchange import Exchange, Refusal, Response, json_response, refuse
from oci_push.sandbox.listings import ListEndpoints
from oci_push.sandbox.manifests import ManifestEndpoints
from oci_push.sandbox.options import SandboxOptions
from oci_push.sandbox.store import Store
from oci_push.sandbox.tokens import Grant
from oci_push.sandbox.uploads import Uploads

_READS = ("GET", "HEAD")


class Target(Struct, frozen=True):
    """What a path names: a `kind` of endpoint, a repository's checked name, and the last component."""

    kind: str
    repository: str
    reference: str


class Router:
    """Answer every request of the API."""

    def __init__(self, store: Store, uploads: Uploads, options: SandboxOptions, gate: Gate) -> None:
        self._store = store
        self._options = options
        self._gate = gate
        self._blobs = BlobEndpoints(store, options)
        self._uploads = UploadEndpoints(store, uploads, options)
        self._manifests = ManifestEndpoints(store, options)
        self._lists = ListEndpoints(store, options)

    def answer(self, exchange: Exchange) -> Response:
        """Return the answer; a refusal is an answer too. `body.BodyBrokenError` means that nobody waits for one."""
        try:
            response = self._answer(exchange)
        except Refusal as refusal:
            response = refusal.response
        if exchange.path.startswith("/v2"):
            response = response.with_headers(("Docker-Distribution-Api-Version", "registry/2.0"))
            if self._options.warning and response.status < 400:
                response = response.with_headers(("Warning", f'299 - "{_quoted(self._options.warning)}"'))
        return response

    def _answer(self, exchange: Exchange) -> Response:
        path = exchange.path
        if path == "/token":
            return self._gate.token(exchange)
        if path == "/v2":
            return Response(301, (("Location", "/v2/"),))
        if not path.startswith("/v2/"):
            raise refuse(404, "UNSUPPORTED", "there is nothing outside /v2/", path)
        if path == "/v2/" and exchange.method in _READS:
            self._gate.check(exchange, ())
            return json_response(200, {})
        if path == "/v2/_catalog" and exchange.method == "GET":
            self._gate.check(exchange, ("registry:catalog:*",))
            return self._lists.catalog(exchange)
        target = find_target(path)
        if target is None:
            raise refuse(404, "UNSUPPORTED", "there is no such endpoint", path)
        grant = self._gate.check(exchange, _scopes(exchange, target))
        return self._dispatch(exchange, target, grant)

    def _dispatch(self, exchange: Exchange, target: Target, grant: Grant) -> Response:
        repository, reference = target.repository, target.reference
        match target.kind, exchange.method:
            case "blobs", "GET" | "HEAD":
                return self._blobs.fetch(exchange, repository, reference)
            case "blobs", "DELETE":
                return self._blobs.remove(repository, reference)
            case "blobs", "POST" if reference == "uploads":
                return Response(301, (("Location", f"/v2/{repository}/blobs/uploads/"),))
            case "uploads", "POST" if not reference:
                return self._uploads.start(exchange, repository, self._mount_sources(exchange, grant))
            case "upload", "GET":
                return self._uploads.status(exchange, repository, reference)
            case "upload", "PATCH":
                return self._uploads.append(exchange, repository, reference)
            case "upload", "PUT":
                return self._uploads.finish(exchange, repository, reference)
            case "upload", "DELETE":
                return self._uploads.cancel(exchange, repository, reference)
            case "manifests", "GET" | "HEAD":
                return self._manifests.fetch(repository, reference)
            case "manifests", "PUT":
                return self._manifests.put(exchange, repository, reference)
            case "manifests", "DELETE":
                return self._manifests.remove(repository, reference)
            case "tags", "GET":
                return self._lists.tags(exchange, repository)
            case "referrers", "GET":
                return self._lists.referrers(exchange, repository, reference)
        raise refuse(405, "UNSUPPORTED", f"{exchange.method} is not possible here")

    def _mount_sources(self, exchange: Exchange, grant: Grant) -> tuple[str, ...]:
        source = exchange.first("from")
        if source:
            return (source,) if _is_name(source) else ()
        if not self._options.anonymous_mount:
            return ()
        return tuple(name for name in self._store.repositories() if grant.allows(f"repository:{name}:pull"))


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
    if found is not None and not _is_name(found.repository):
        raise refuse(400, "NAME_INVALID", "invalid repository name", found.repository)
    return found


def _scopes(exchange: Exchange, target: Target) -> tuple[str, ...]:
    # What distribution asks for: writing needs pull as well, deleting only delete, and a mount names its source.
    actions = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(exchange.method, "pull,push")
    own = f"repository:{target.repository}:{actions}"
    source = exchange.first("from")
    mounts = target.kind == "uploads" and exchange.first("mount") and source and _is_name(source)
    return (own, f"repository:{source}:pull") if mounts and source != target.repository else (own,)


def _is_name(text: str) -> bool:
    try:
        Repository("sandbox", text)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
