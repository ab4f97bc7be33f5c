"""A registry as the source: manifests and blobs read over HTTP, blobs mounted from where they are if possible."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from oci_push.errors import ContentMismatchError, NetworkError, RegistryError, SourceError
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository
from oci_push.protocol.call import Body, BytesBody
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.retry import Action, RetryPolicy, decide
from oci_push.runtime.single_flight import SingleFlight
from oci_push.sources.base import ImageReader, verified
from oci_push.sources.files import SpooledBody, SpoolSpace
from oci_push.sources.known_manifests import KnownManifests

_MOST_WAIT_S = RetryPolicy().server_cap_s
_MOST_BREAKS = 4
"""How often in a row a download may break without having got on."""


class RemoteSource(ImageReader):
    """One image of a repository; with `keep` each blob is downloaded once and kept, for several targets.

    `known` are manifests that others have read, for whoever reads many images.
    With `is_tried_once` the request for the root is not repeated.
    """

    def __init__(
        self,
        client: RepositoryClient,
        reference: Reference,
        spool: SpoolSpace,
        *,
        keep: bool,
        known: KnownManifests | None = None,
        is_tried_once: bool = False,
    ) -> None:
        super().__init__(str(reference), spool)
        self._client = client
        self._reference = reference
        self._spool: SpoolSpace = spool
        self._keep = keep
        self._known = known or KnownManifests()
        self._is_tried_once = is_tried_once
        self._manifests: SingleFlight[str, Manifest] = SingleFlight()
        self._kept: SingleFlight[Digest, SpooledBody] = SingleFlight()

    @property
    def origin(self) -> tuple[RegistryEndpoint, Repository] | None:
        """Blobs can be mounted from here on the same registry."""
        return self._client.session.endpoint, self._reference.repository

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Fetch what the reference points at."""
        return self._fetch(context, self._reference).descriptor()

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Fetch a manifest by digest; the root is not fetched twice."""
        known = self._manifests.peek(self._reference.target)
        if known is not None and known.digest == descriptor.digest:
            return known
        return self._fetch(context, Reference(self._reference.repository, "", descriptor.digest))

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return a body that downloads each time it is opened, or that has been downloaded once."""
        if descriptor.data is not None:
            return BytesBody(descriptor.data)
        body = _RemoteBody(self._client, context, descriptor)
        if not self._keep:
            return body
        return self._kept.get(descriptor.digest, lambda: self._download(context, body))

    def _fetch(self, context: Context, reference: Reference) -> Manifest:
        return self._manifests.get(reference.target, lambda: self._read(context, reference))

    def _read(self, context: Context, reference: Reference) -> Manifest:
        endpoint, repository, digest = self._client.session.endpoint, reference.repository, reference.digest
        known = self._known.find((endpoint, repository, digest)) if digest is not None else None
        if known is not None:
            return known
        once = self._is_tried_once and reference is self._reference
        manifest = self._client.fetch(context, reference, once=once)
        self._known.add(endpoint, repository, manifest)
        return manifest

    def _download(self, context: Context, body: _RemoteBody) -> SpooledBody:
        what = f"{self.name}: blob {body.blob.digest}"
        writer = self._spool.writer(what)
        for block in verified(body, body.blob, what):
            context.check()
            writer.write(block)
        return writer.body()


class _RemoteBody(Struct, frozen=True):
    client: RepositoryClient
    context: Context
    blob: Descriptor

    @property
    def size(self) -> int:
        """Return the size its manifest says."""
        return self.blob.size

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Download from `start` on, going on after a break; another size than the manifest says is an error."""
        seen = start
        breaks = 0
        while not seen or seen < self.blob.size:  # what is whole has no more bytes, and asking for them is an error
            before = seen
            try:
                with self.client.open_blob(self.context, self.blob, seen) as blocks:
                    for block in blocks:
                        seen += len(block)
                        if seen > self.blob.size:
                            break
                        yield block
                break
            except (NetworkError, RegistryError) as error:
                breaks = 1 if seen > before else breaks + 1
                asked = (error.retry_after_s or 0.0) if isinstance(error, RegistryError) else 0.0
                if breaks > _MOST_BREAKS or decide(error) is not Action.REPEAT or asked > _MOST_WAIT_S:
                    if isinstance(error, NetworkError):
                        raise
                    # This registry's answer must not be taken for that of the one the body is on its way to.
                    raise SourceError(str(error), hint=error.hint) from error
                self.context.sleep(max(asked, breaks))
        if seen != self.blob.size:
            raise ContentMismatchError(
                f"{self.client.repository}: blob {self.blob.digest} came with {seen} bytes, "
                f"its manifest says {self.blob.size}"
            )
