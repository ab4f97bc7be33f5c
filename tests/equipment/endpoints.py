"""The sandbox's endpoints with `options`: each switch takes something away from what the rehearsal registry can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from equipment.auth import Gate
from equipment.options import SandboxOptions
from oci_push.sandbox.blob_uploads import UploadEndpoints
from oci_push.sandbox.blobs import BlobEndpoints
from oci_push.sandbox.body import BodyBrokenError
from oci_push.sandbox.exchange import Exchange, Response, refuse
from oci_push.sandbox.listings import ListEndpoints
from oci_push.sandbox.manifests import ManifestEndpoints
from oci_push.sandbox.routes import Router, Target, find_target, is_name
from oci_push.sandbox.store import Store, StoredManifest
from oci_push.sandbox.uploads import Upload, Uploads


class OptionalRouter(Router):
    """Answer requests as the options say, after `gate` has let them in."""

    def __init__(self, store: Store, uploads: Uploads, options: SandboxOptions, gate: Gate) -> None:
        super().__init__(store, uploads)
        self._options = options
        self._gate = gate
        self.blobs = _Blobs(store, options)
        self.uploads = _Uploads(store, uploads, options)
        self.manifests = _Manifests(store, options)
        self.lists = _Lists(store, options)

    def answer(self, exchange: Exchange) -> Response:
        """Return the answer, with what the options change of its headers."""
        response = super().answer(exchange)
        headers = tuple(self._header(exchange, *pair) for pair in response.headers)
        if self._options.warning and response.status < 400 and exchange.path.startswith("/v2"):
            headers += (("Warning", f'299 - "{_quoted(self._options.warning)}"'),)
        return Response(response.status, headers, response.body, response.file)

    def authorize(self, exchange: Exchange) -> None:
        """Refuse a request whose sender lacks what it needs."""
        path, method = exchange.path, exchange.method
        if path == "/v2/" and method in ("GET", "HEAD"):
            self._gate.check(exchange, ())
        elif path == "/v2/_catalog" and method == "GET":
            self._gate.check(exchange, ("registry:catalog:*",))
        elif (target := find_target(path)) is not None:
            self._gate.check(exchange, _scopes(exchange, target))

    def outside(self, exchange: Exchange) -> Response:
        """Answer ``/token``."""
        return self._gate.token(exchange) if exchange.path == "/token" else super().outside(exchange)

    def mount_sources(self, exchange: Exchange) -> tuple[str, ...]:
        """Return the repositories to mount from; without a name those that the client may pull from, if any."""
        names = super().mount_sources(exchange)
        if exchange.first("from"):
            return names
        if not self._options.anonymous_mount:
            return ()
        grant = self._gate.check(exchange, ())
        return tuple(name for name in names if grant.allows(f"repository:{name}:pull"))

    def _header(self, exchange: Exchange, name: str, value: str) -> tuple[str, str]:
        if name != "Location" or not value.startswith(exchange.origin):
            return name, value
        path, host = value.removeprefix(exchange.origin), self._options.location_host
        if self._options.relative_location:
            return name, path
        if not host:
            return name, value
        return name, (host if "://" in host else f"{exchange.origin.partition('://')[0]}://{host}") + path


class _TooLargeError(Exception):
    """Report that a body went over the limit."""


class _Uploads(UploadEndpoints):
    def __init__(self, store: Store, uploads: Uploads, options: SandboxOptions) -> None:
        super().__init__(store, uploads)
        self._options = options
        self._limit = min((limit for limit in (options.chunk_max, options.max_body) if limit), default=0)
        self._broken: set[str] = set()
        self._short: set[str] = set()

    def start(self, exchange: Exchange, repository: str, mount_from: tuple[str, ...]) -> Response:
        if not self._options.single_post:
            exchange = _without(exchange, "digest")
        if not exchange.first("digest") or exchange.first("mount"):
            self._check_size(exchange)
        response = super().start(exchange, repository, mount_from)
        if response.status != 202:
            return response
        limits = (("Min", self._options.chunk_min), ("Max", self._options.chunk_max))
        return response.with_headers(*((f"OCI-Chunk-{name}-Length", str(limit)) for name, limit in limits if limit))

    def mount(self, exchange: Exchange, repository: str, wanted: str, sources: tuple[str, ...]) -> Response | None:
        return super().mount(exchange, repository, wanted, sources) if self._options.mount else None

    def append(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        if not self._options.patch:
            raise refuse(405, "UNSUPPORTED", "this registry takes a blob in one PUT")
        return replace(super().append(exchange, repository, identifier), status=self._options.patch_status)

    def cancel(self, exchange: Exchange, repository: str, identifier: str) -> Response:
        if not self._options.stale_cancel:
            with self.alone(self.find(exchange, repository, identifier)) as upload:
                self.check_offset(exchange, upload)
        return super().cancel(exchange, repository, identifier)

    def find(self, exchange: Exchange, repository: str, identifier: str) -> Upload:
        if identifier in self._broken:
            raise refuse(404, "BLOB_UPLOAD_INVALID", "there is no such upload", identifier)
        upload = super().find(exchange, repository, identifier)
        if not self._options.resume and exchange.first("_state").partition(".")[2] != str(upload.size):
            raise refuse(404, "BLOB_UPLOAD_INVALID", "the upload's state is not the one of its newest Location")
        return upload

    def check_chunk(self, exchange: Exchange, upload: Upload) -> None:
        if upload.id in self._short:
            message = f"a chunk before this one was below the minimum of {self._options.chunk_min} bytes"
            raise refuse(400, "SIZE_INVALID", message)
        super().check_chunk(exchange, upload)

    def write(self, exchange: Exchange, upload: Upload) -> None:
        self._check_size(exchange)
        size, running = upload.size, upload.running.copy()
        try:
            upload.append(_limited(exchange.body.blocks(), self._limit))
        except _TooLargeError as problem:
            upload.size, upload.running = size, running
            with upload.path.open("ab") as file:
                file.truncate(size)
            raise refuse(413, "SIZE_INVALID", f"the body is over the limit of {self._limit} bytes") from problem
        except BodyBrokenError:
            if not self._options.resume:
                self.uploads.close(upload)
                self._broken.add(upload.id)
            raise
        if exchange.method == "PATCH" and upload.size - size < self._options.chunk_min:
            self._short.add(upload.id)

    def _check_size(self, exchange: Exchange) -> None:
        if self._limit and (exchange.body.length or 0) > self._limit:
            raise refuse(413, "SIZE_INVALID", f"the body is over the limit of {self._limit} bytes")


class _Blobs(BlobEndpoints):
    def __init__(self, store: Store, options: SandboxOptions) -> None:
        super().__init__(store)
        self._options = options

    def remove(self, repository: str, reference: str) -> Response:
        if not self._options.delete:
            raise refuse(405, "UNSUPPORTED", "this registry does not delete")
        return super().remove(repository, reference)


class _Manifests(ManifestEndpoints):
    def __init__(self, store: Store, options: SandboxOptions) -> None:
        super().__init__(store)
        self._store = store
        self._options = options

    def put(self, exchange: Exchange, repository: str, reference: str) -> Response:
        if not self._options.tag_digest:
            exchange = _without(exchange, "digest")
        if not self._options.multi_tag:  # a registry that does not know end-7b ignores the query and makes no tag
            exchange = _without(exchange, "tag")
        response = super().put(exchange, repository, reference)
        if self._options.referrers:
            return response
        return replace(response, headers=tuple(pair for pair in response.headers if pair[0] != "OCI-Subject"))

    def remove(self, repository: str, reference: str) -> Response:
        if not self._options.delete:
            raise refuse(405, "UNSUPPORTED", "this registry does not delete")
        return super().remove(repository, reference)

    def accepted(self, repository: str, tags: tuple[str, ...]) -> tuple[str, ...]:
        if not self._options.immutable_tags:
            return tags
        accepted = tuple(tag for tag in tags if self._store.find_manifest(repository, tag) is None)
        if tags and not accepted:
            message = f"the tag {tags[0]} exists in {repository} and cannot be overwritten: it is immutable"
            raise refuse(400, "TAG_INVALID", message)
        return accepted

    def check_contents(self, repository: str, raw: bytes, stored: StoredManifest) -> None:
        if self._options.require_manifest_blobs:
            super().check_contents(repository, raw, stored)


class _Lists(ListEndpoints):
    def __init__(self, store: Store, options: SandboxOptions) -> None:
        super().__init__(store)
        self._options = options

    def referrers(self, exchange: Exchange, repository: str, reference: str) -> Response:
        if not self._options.referrers:
            raise refuse(404, "UNSUPPORTED", "this registry has no referrers API")
        return super().referrers(exchange, repository, reference)

    def page(
        self, exchange: Exchange, names: Sequence[str], path: str
    ) -> tuple[list[str], tuple[tuple[str, str], ...]]:
        asked, limit = exchange.first("n"), self._options.page_size
        if limit and (not asked or (asked.isdigit() and int(asked) > limit)):
            exchange = replace(exchange, query={**exchange.query, "n": (str(limit),)})
        return super().page(exchange, names, path)


def _without(exchange: Exchange, name: str) -> Exchange:
    return replace(exchange, query={key: values for key, values in exchange.query.items() if key != name})


def _limited(blocks: Iterator[memoryview], limit: int) -> Iterator[memoryview]:
    arrived = 0
    for block in blocks:
        arrived += len(block)
        if limit and arrived > limit:
            raise _TooLargeError
        yield block


def _scopes(exchange: Exchange, target: Target) -> tuple[str, ...]:
    # What distribution asks for: writing needs pull as well, deleting only delete, and a mount names its source.
    actions = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(exchange.method, "pull,push")
    own = f"repository:{target.repository}:{actions}"
    source = exchange.first("from")
    mounts = target.kind == "uploads" and exchange.first("mount") and source and is_name(source)
    return (own, f"repository:{source}:pull") if mounts and source != target.repository else (own,)


def _quoted(text: str) -> str:
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
