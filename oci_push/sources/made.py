"""An image that was made here: a manifest that we wrote, and its blobs as files or bytes. Pushed like any other."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from oci_push.errors import SourceError
from oci_push.model.artifact import EMPTY, EMPTY_JSON, make_artifact
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.protocol.call import Body, BytesBody
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader, Spool


class MadeImage(ImageReader):
    """Manifests with the bodies of their blobs, by digest; the last of `manifests` is the root.

    Closing it closes `spool` alone; what the bodies read from belongs to who made them.
    """

    def __init__(
        self, name: str, manifests: tuple[Manifest, ...], bodies: Mapping[Digest, Body], spool: Spool | None = None
    ) -> None:
        super().__init__(name, spool or _Nothing())
        self.manifests = manifests
        self._by_digest = {one.digest: one for one in manifests}
        self._bodies = bodies

    @property
    def top(self) -> Manifest:
        """Return the root manifest."""
        return self.manifests[-1]

    @property
    def size(self) -> int:
        """Return the bytes of all manifests and blobs."""
        return sum(one.size for one in self.manifests) + sum(one.size for one in self._bodies.values())

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Return the root's descriptor."""
        return self.top.descriptor()

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Return one of the manifests; raises `SourceError` for another."""
        found = self._by_digest.get(descriptor.digest)
        if found is None:
            raise SourceError(f"{self.name}: holds no manifest {descriptor.digest}")
        return found

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return a blob's body; raises `SourceError` for one that was not given."""
        found = self._bodies.get(descriptor.digest)
        if found is None:
            raise SourceError(f"{self.name}: holds no blob {descriptor.digest}")
        return found


class Content(Struct, frozen=True):
    """What an artifact holds, before it is known what it is about; `name` is how messages call it."""

    name: str
    artifact_type: str
    layers: tuple[Descriptor, ...] = ()
    bodies: Mapping[Digest, Body] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    config_annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Return what goes out with its manifest."""
        return (*self.layers, EMPTY)

    def about(self, subject: Descriptor | None) -> MadeImage:
        """Make the artifact, of itself or about `subject`."""
        manifest = make_artifact(
            self.artifact_type,
            self.layers,
            subject=subject,
            annotations=self.annotations,
            config_annotations=self.config_annotations,
        )
        return MadeImage(self.name, (manifest,), {**self.bodies, EMPTY.digest: BytesBody(EMPTY_JSON)})


class _Nothing:
    """The temporary files of what has none of its own."""

    def close(self) -> None:
        return
