"""One repository on one registry: everything a push, a copy or a look needs of it.

Joins the protocol's flows with a session, and owns the *blob* retry: an upload that broke is begun again with a
new session, and one that will not be finished is cancelled.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from oci_push.errors import DeniedError, NotFoundError, OciPushError, RegistryError, UploadRejectedError
from oci_push.events import BlobProgress, Emit, RetryScheduled
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Reference, Repository
from oci_push.protocol import blobs, endpoints, manifests, referrers
from oci_push.protocol.blobs import Form, Upload
from oci_push.protocol.call import Body, Call
from oci_push.registry.abilities import Abilities
from oci_push.runtime.retry import Retried, RetryPolicy, attempts
from oci_push.runtime.scope import Scope
from oci_push.transport.session import Session

_CANCEL_S = 3.0
_PROGRESS_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """Tell what an upload cost: `bytes_sent` over all attempts, and how many were needed."""

    bytes_sent: int
    attempts: int


class RepositoryClient:
    """Act on one repository; may be shared by threads."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        abilities: Abilities,
        *,
        blob_retry: RetryPolicy,
        random: Callable[[], float],
        emit: Emit,
    ) -> None:
        self.session = session
        self.repository = repository
        self._abilities = abilities
        self._blob_retry = blob_retry
        self._random = random
        self._emit = emit
        self._listing = threading.Lock()
        self._listed: set[Digest] = set()

    def head(self, scope: Scope, target: str, *, push: bool = False) -> manifests.Head | None:
        """Ask what a tag or digest points at."""
        return self.session.run(scope, manifests.head(self.repository, target, push=push))

    def fetch(self, scope: Scope, reference: Reference) -> Manifest:
        """Read and check a manifest."""
        return self.session.run(scope, manifests.fetch(reference))

    def tags(self, scope: Scope) -> tuple[str, ...]:
        """List all tags."""
        return self.session.run(scope, manifests.list_tags(self.repository))

    def has_blob(self, scope: Scope, blob: Descriptor) -> bool:
        """Ask whether a blob is there."""
        return self.session.run(scope, blobs.exists(self.repository, blob))

    @contextmanager
    def open_blob(self, scope: Scope, blob: Descriptor) -> Iterator[Iterator[bytes]]:
        """Download a blob block by block; the bytes are not checked here."""
        call = Call(
            "GET",
            endpoints.blob(self.repository, blob.digest),
            scopes=(endpoints.pull_scope(self.repository),),
            what=f"{self.repository}: blob {blob.digest}",
        )
        with self.session.download(scope, call) as blocks:
            yield blocks

    def mount(self, scope: Scope, blob: Descriptor, source: Repository | None) -> blobs.MountAnswer:
        """Try to link a blob from another repository; a refusal is an answer, not an error."""
        if source in self._abilities.denied_sources:
            return blobs.MountAnswer()
        try:
            return self.session.run(scope, blobs.mount(self.repository, blob.digest, source))
        except RegistryError as error:
            if source is None:
                self._abilities.anonymous_mount = False
            elif isinstance(error, DeniedError):
                self._abilities.denied_sources.add(source)  # what may not be read once may not be read for each blob
            return blobs.MountAnswer()

    def upload(self, scope: Scope, blob: Descriptor, body: Body, upload: Upload | None = None) -> Sent:
        """Send a blob, repeating what may be repeated; `upload` is a session that a mount left open."""
        counter = _Counting(self, blob, body)
        opened = [upload]

        def attempt(number: int) -> Sent:
            self._attempt(scope, blob, counter, opened)
            return Sent(counter.total, number)

        def told(retried: Retried) -> None:
            what = f"{self.repository}: blob {blob.digest.short}"
            self._emit(RetryScheduled(what, str(retried.error), retried.attempt, retried.wait_s))

        return attempts(scope, self._blob_retry, attempt, random=self._random, on_retry=told)

    def cancel(self, scope: Scope, upload: Upload) -> None:
        """Close an upload that will not be finished; never raises, and outlives a cancelled scope shortly."""
        with contextlib.suppress(OciPushError):
            self.session.run(scope.shielded(_CANCEL_S), blobs.cancel(self.repository, upload.location))

    def put_manifest(self, scope: Scope, manifest: Manifest, target: str) -> None:
        """Store a manifest under a tag or its digest, and see that it is found from its subject."""
        handled = self.session.run(scope, manifests.put(self.repository, manifest, target))
        self._list(scope, manifest, handled=handled)

    def put_with_tags(self, scope: Scope, manifest: Manifest, tags: tuple[str, ...]) -> frozenset[str]:
        """Store a manifest and ask for all tags at once; gives those made, none where it is not known."""
        if not self._abilities.multi_tag:
            return frozenset()
        try:
            made = self.session.run(scope, manifests.put_with_tags(self.repository, manifest, tags))
        except RegistryError as error:
            if error.status not in (400, 404, 405, 414, 431):
                raise
            made = manifests.Made()
        if not made.tags:
            self._abilities.multi_tag = False
        else:
            self._list(scope, manifest, handled=made.subject)
        return made.tags

    def _list(self, scope: Scope, manifest: Manifest, *, handled: bool) -> None:
        if manifest.subject is None or handled:
            return
        with self._listing:  # our own threads, at least, do not overwrite one another's list
            if manifest.digest not in self._listed:
                self.session.run(scope, referrers.list_under_subject(self.repository, manifest))
                self._listed.add(manifest.digest)

    def _attempt(self, scope: Scope, blob: Descriptor, body: Body, opened: list[Upload | None]) -> None:
        while True:
            form = self._abilities.form
            upload = opened.pop() if opened else None
            if upload is None:
                upload = self.session.run(scope, blobs.start(self.repository, blob.digest))
            if upload.chunk_max and blob.size > upload.chunk_max:
                form = Form.CHUNKS
            flow = blobs.send(self.repository, blob, body, upload, form, self._abilities.chunk_bytes)
            try:
                self.session.run(scope, flow)
            except BaseException as error:
                self.cancel(scope, upload)
                if isinstance(error, RegistryError) and self._abilities.adapt(form, error, blob.size):
                    continue
                if isinstance(error, NotFoundError):
                    raise UploadRejectedError(
                        f"{error} while the blob was being sent",
                        hint=error.hint,
                        status=error.status,
                        codes=error.codes,
                    ) from error
                raise
            return


class _Counting:
    """Count what goes out, over all attempts, and tell about it now and then."""

    def __init__(self, client: RepositoryClient, blob: Descriptor, body: Body) -> None:
        self._client = client
        self._blob = blob
        self._body = body
        self.total = 0

    @property
    def size(self) -> int:
        """Give the blob's size."""
        return self._body.size

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Pass the blocks on."""
        sent = start
        told = start
        for block in self._body.blocks(start):
            yield block
            sent += len(block)
            self.total += len(block)
            if sent - told >= _PROGRESS_BYTES:
                told = sent
                self._client._emit(BlobProgress(self._client.repository, self._blob.digest, sent, self._blob.size))
