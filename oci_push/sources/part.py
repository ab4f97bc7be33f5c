"""One manifest of a source that is open, as a source of its own: what an index gets as a child is pushed alone."""

from __future__ import annotations

from oci_push.model.descriptor import Descriptor
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader


class PartSource(ImageReader):
    """The manifest `root` of `whole`, which stays open longer; closing this does nothing."""

    def __init__(self, whole: ImageReader, root: Descriptor) -> None:
        super().__init__(f"{whole.name}@{root.digest}", _NoSpool())
        self._whole = whole
        self._root = root

    @property
    def origin(self) -> tuple[RegistryEndpoint, Repository] | None:
        """Return where the whole is read from."""
        return self._whole.origin

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Return the part."""
        return self._root

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Return a manifest of the whole."""
        return self._whole.manifest(context, descriptor)

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return a blob of the whole."""
        return self._whole.blob(context, descriptor)


class _NoSpool:
    """No temporary files: they belong to the whole."""

    def close(self) -> None:
        """Do nothing."""
