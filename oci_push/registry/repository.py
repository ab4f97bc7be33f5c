"""One repository on one registry: everything a push, a copy or a look needs of it.

Joins the protocol's flows with a session. How a blob is sent, and what is done when that breaks, is `upload`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from oci_push.errors import DeniedError, OciPushError, RegistryError
from oci_push.events import Emit
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Reference, Repository
from oci_push.protocol import blobs, endpoints, manifests, referrers, uploads
from oci_push.protocol.call import Body, Call
from oci_push.protocol.uploads import UploadMethod, UploadSession
from oci_push.providers.base import ManagementApi
from oci_push.registry.capabilities import LearntCapabilities
from oci_push.registry.in_flight import InFlight
from oci_push.registry.manifest_push import ManifestPush, WatchedBody, proves_nothing
from oci_push.registry.referrers_list import ReferrersList
from oci_push.registry.seen import SeenHere
from oci_push.registry.upload_store import StoredUpload, UploadStore
from oci_push.runtime.cache import Cache
from oci_push.runtime.context import Context
from oci_push.runtime.phases import LOOK, timed
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.session import Session

if TYPE_CHECKING:
    from oci_push.registry.upload import Sent

_PREFETCH_FROM = 10
"""From how many blobs on one question to the vendor's interface beats a question for each."""


class ClientSettings(Struct, frozen=True):
    """What all clients of a run share; `upload_store` ``None``: nothing is kept for a later run."""

    call_retry: RetryPolicy
    blob_retry: RetryPolicy
    random: Callable[[], float]
    emit: Emit
    cache: Cache
    upload_store: UploadStore | None


class RepositoryClient:
    """Act on one repository; may be shared by threads. `in_flight` ``None``: blobs are not mounted here.

    `seen` is what this run has seen there, whichever client it went by.
    """

    def __init__(
        self,
        session: Session,
        repository: Repository,
        settings: ClientSettings,
        capabilities: LearntCapabilities,
        management: ManagementApi | None,
        listing: ReferrersList,
        in_flight: InFlight | None,
        seen: SeenHere,
    ) -> None:
        self.session = session
        self.seen = seen
        self.repository = repository
        self._settings = settings
        self._capabilities = capabilities
        self._management = management
        self._listing = listing
        self._in_flight = in_flight
        self._prefetched: dict[Digest, bool] = {}
        self._listed: set[Digest] = set()

    def head(
        self, context: Context, target: str, *, push: bool = False, once: bool = False, accept: str = ""
    ) -> manifests.Head | None:
        """Ask what a tag or digest points at; `once` for an answer that is good to have and no more."""
        run = self.session.run_without_retry if once else self.session.run
        return run(context, manifests.head(self.repository, target, push=push, accept=accept))

    def read(self, context: Context, reference: Reference, accept: str = "") -> manifests.RawManifest:
        """Read a manifest of any type, of which the digest alone is checked."""
        return self.session.run(context, manifests.read(reference, accept))

    def fetch(self, context: Context, reference: Reference, *, once: bool = False) -> Manifest:
        """Read and check a manifest; `once` where another place may have it."""
        run = self.session.run_without_retry if once else self.session.run
        return run(context, manifests.fetch(reference))

    def count_referrers(self, context: Context, subject: Digest) -> int:
        """Count what refers to a manifest, with one try."""
        return self.session.run_without_retry(context, referrers.count(self.repository, subject))

    def referrers(self, context: Context, subject: Digest, *, has_api: bool | None = None) -> referrers.Referrers:
        """List what refers to a manifest, by the registry's list or by the one that clients keep under a tag."""
        return self.session.run(context, referrers.find(self.repository, subject, has_api=has_api))

    def has_blob(self, context: Context, blob: Descriptor, *, push: bool = True) -> bool:
        """Ask whether a blob is there; without `push` by the right to read alone."""
        known = self._prefetched.pop(blob.digest, None)
        if known is not None:
            return known
        return self.session.run(context, blobs.exists(self.repository, blob, push=push))

    def head_blob(self, context: Context, digest: Digest) -> blobs.BlobHead | None:
        """Ask for a blob of which only the digest is known."""
        return self.session.run(context, blobs.head(self.repository, digest))

    def prepare(self, context: Context) -> None:
        """Make the repository if it is missing and its access says so."""
        if self._management is not None:
            self._management.prepare(context, self.repository)

    def prefetch_existing(self, context: Context, blobs: Sequence[Descriptor]) -> None:
        """Ask for many blobs at once where the vendor lets us; each answer is used once, by `has_blob`."""
        if self._management is not None and len(blobs) >= _PREFETCH_FROM:
            there = self._management.present(context, self.repository, (blob.digest for blob in blobs))
            if there is not None:
                self._prefetched = {blob.digest: blob.digest in there for blob in blobs}

    def is_prefetched(self, blob: Descriptor) -> bool:
        """Return whether `has_blob` would answer without a request."""
        return blob.digest in self._prefetched

    def can_mount(self, context: Context) -> bool:
        """Return whether mounting is worth a try, as far as the vendor's interface knows."""
        return self._management is None or self._management.can_mount(context)

    def keeps_tag(self, context: Context, tag: str) -> bool | None:
        """Return whether a tag that is there may not be moved, where the vendor's interface can tell."""
        return None if self._management is None else self._management.keeps_tag(context, self.repository, tag)

    def explain(self, context: Context, error: OciPushError) -> OciPushError:
        """Find out what a vague failure was about, where the vendor's interface can tell."""
        return error if self._management is None else self._management.explain(context, self.repository, error)

    @contextmanager
    def open_blob(self, context: Context, blob: Descriptor, start: int = 0) -> Iterator[Iterator[bytes | memoryview]]:
        """Download a blob block by block from byte `start` on; the bytes are not checked here."""
        call = Call(
            "GET",
            endpoints.blob(self.repository, blob.digest),
            headers={"Range": f"bytes={start}-"} if start else {},
            ok_statuses=frozenset({200, 206}) if start else frozenset({200}),
            scopes=(endpoints.pull_scope(self.repository),),
            what=endpoints.blob_name(self.repository, blob.digest),
        )
        with self.session.download(context, call) as (status, blocks):
            # A registry that knows no ranges sends the whole.
            yield _after(start, blocks) if start and status == 200 else blocks

    def mount(self, context: Context, blob: Descriptor, source: Repository | None) -> uploads.MountAnswer:
        """Try to link a blob from another repository, or with ``None`` from anywhere; a refusal is an answer."""
        if source in self._capabilities.denied_sources:
            return uploads.MountAnswer()
        try:
            answer = self.session.run(context, uploads.mount(self.repository, blob, source))
        except RegistryError as error:
            if source is None:
                self._capabilities.learn("anonymous_mount", False)
            elif isinstance(error, DeniedError):
                self._capabilities.denied_sources.add(source)  # what may not be read once may not be read for each blob
            answer = uploads.MountAnswer()
        if source is not None and not answer.mounted:
            self._settings.cache.forget_blob(source.host, source.path, blob.digest)
            if self._in_flight is not None:
                self._in_flight.refused(self.session.endpoint, source, blob.digest)
        return answer

    @contextmanager
    def turn(self, context: Context, blob: Descriptor) -> Iterator[Repository | None]:
        """Wait while another push of this run brings the blob to the registry; return where it is, to mount it from."""
        if self._in_flight is None:
            yield None
            return
        traffic = self.session.endpoint.traffic
        group = traffic.group(self.repository)
        with self._in_flight.turn(context, self.session.endpoint, self.repository, blob, group) as elsewhere:
            is_here = elsewhere in (None, self.repository)
            may = elsewhere is None or traffic.may_mount(elsewhere, self.repository)
            yield elsewhere if is_here or (may and self.can_mount(context)) else None

    def may_mount_from_anywhere(self, blob: Descriptor) -> bool:
        """Return whether a mount without a source is worth a try: without a find it opens an upload."""
        in_one_request = self._capabilities.takes_in_one_request(blob.size)
        # Without a source the registry chooses one, wherever that is.
        is_bound = self.session.endpoint.traffic.mounts is not None
        may = self._capabilities.known.anonymous_mount and not is_bound
        return may and not in_one_request and not self.has_upload(blob)

    def has_upload(self, blob: Descriptor) -> bool:
        """Return whether an earlier run left an upload of this blob that may be gone on with."""
        if self._settings.upload_store is None:
            return False
        return self._settings.upload_store.cache.find_upload(self._host, self.repository.path, blob.digest) is not None

    def upload(self, context: Context, blob: Descriptor, body: Body, upload: UploadSession | None = None) -> Sent:
        """Send a blob, repeating what may be repeated; `upload` is a session that a mount left open."""
        from oci_push.registry.upload import BlobUpload  # not before it is known that something is missing

        sending = BlobUpload(
            self.session,
            self.repository,
            blob,
            body,
            self._capabilities,
            given=upload,
            entry=self._claim(blob, upload),
            emit=self._settings.emit,
        )
        return sending.run(context, self._settings.blob_retry, self._settings.random)

    def cancel(self, context: Context, upload: UploadSession, *, is_stale: bool = False) -> None:
        """Close an upload that will not be finished; never raises. `is_stale`: its Location may be an old one."""
        from oci_push.registry import abandoned_uploads

        abandoned_uploads.close(self.session, context, self.repository, upload, is_stale=is_stale)

    def drop_upload(self, context: Context, blob: Descriptor) -> None:
        """Close what an earlier run left open of a blob that is there by now."""
        entry = self._claim(blob, None) if self.has_upload(blob) else None
        if entry is None:
            return
        found = entry.find()
        if found is not None:
            self.cancel(context, found[0], is_stale=True)
        entry.forget()
        entry.release()

    def forget_blob(self, blob: Descriptor) -> None:
        """Forget that this repository holds a blob: it does not."""
        self._settings.cache.forget_blob(self._host, self.repository.path, blob.digest)

    @timed(LOOK)
    def check_push(self, context: Context, digest: Digest) -> None:
        """Raise what a push would meet, by opening an upload and closing it again; `digest` may be any."""
        self.cancel(
            context,
            self.session.run(context, uploads.start(self.repository, digest, f"{self.repository}: a trial upload")),
        )

    def where(self, context: Context, target: str, manifest: Manifest) -> Digest | None:
        """Read what a tag points at and hash it; `manifest` is what should be there."""
        return self.session.run(context, manifests.where(self.repository, target, manifest))

    def put_manifest(self, context: Context, manifest: Manifest, target: str, *, before: Digest | None = None) -> None:
        """Store a manifest under a tag or its digest, and see that it is there and found from its subject.

        `before` is what the tag named, if that is known. Raises an error that is `in_doubt` where the tag may be
        neither there nor here.
        """
        if self._capabilities.manifest_rate is not None:
            self._capabilities.manifest_rate.wait(context)
        pushing = ManifestPush(self.session, self.repository, manifest, target, before=before, emit=self._settings.emit)
        self._list(context, manifest, handled=pushing.run(context, self._settings.call_retry, self._settings.random))

    def put_with_tags(self, context: Context, manifest: Manifest, tags: tuple[str, ...]) -> frozenset[str]:
        """Store a manifest and ask for all tags at once; return those made, none where it is not known."""
        if not self._capabilities.known.multi_tag:
            return frozenset()
        body = WatchedBody(manifest.raw)
        try:
            made = self.session.run(context, manifests.put_with_tags(self.repository, manifest, tags, body))
        except OciPushError as error:
            is_unknown = isinstance(error, RegistryError) and error.status in (400, 404, 405, 414, 431)
            if not is_unknown or (isinstance(error, RegistryError) and "MANIFEST_BLOB_UNKNOWN" in error.codes):
                raise error.with_doubt(body.has_left and proves_nothing(error)) from error
            made = manifests.Made()
        if not made.tags:
            self._capabilities.learn("multi_tag", False)
        else:
            self._list(context, manifest, handled=made.subject)
        return made.tags

    def delete_tag(self, context: Context, tag: str) -> None:
        """Delete a tag by its name; raises where the registry cannot."""
        self.session.run(context, manifests.delete(self.repository, tag))

    def delete_manifest(self, context: Context, digest: Digest) -> None:
        """Delete a manifest, and with it every tag that names it; raises where the registry cannot."""
        self.session.run(context, manifests.delete(self.repository, str(digest)))

    def delete_blob(self, context: Context, digest: Digest) -> None:
        """Delete a blob, whatever needs it; raises where the registry cannot."""
        self.session.run(context, blobs.delete(self.repository, digest, "pull,push"))

    def see_listed(self, context: Context, manifest: Manifest) -> None:
        """See that a manifest that is there is found from its subject, if it has one."""
        self._list(context, manifest, handled=False)

    def _list(self, context: Context, manifest: Manifest, *, handled: bool) -> None:
        if manifest.subject is None or handled or manifest.digest in self._listed:
            return
        try:
            self._listing.add(
                context,
                self.session,
                self.repository,
                manifest,
                policy=self._settings.call_retry,
                random=self._settings.random,
                emit=self._settings.emit,
            )
        except OciPushError as error:
            # The manifest and its tag are there; only the list of its subject is not.
            raise error.with_doubt(True, is_stored=True) from error
        self._listed.add(manifest.digest)

    @property
    def _host(self) -> str:
        return self.session.endpoint.host

    def _claim(self, blob: Descriptor, upload: UploadSession | None) -> StoredUpload | None:
        """Take the stored upload of a blob that will go in chunks; others are sent again rather than gone on with."""
        if self._settings.upload_store is None:
            return None
        # What an earlier run sent in chunks for the registry's own limit is noted, though that limit is told later.
        form = self._capabilities.method_for(blob.size, upload or UploadSession(""))
        if form is not UploadMethod.CHUNKED and not self.has_upload(blob):
            return None
        return self._settings.upload_store.claim(self._host, self.repository, blob)


def _after(start: int, blocks: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    seen = 0
    for block in blocks:
        seen += len(block)
        if seen > start:
            yield block[max(0, len(block) - (seen - start)) :]
