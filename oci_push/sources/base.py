"""What a source of images is: somewhere a root manifest, its children and their blobs can be read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeAlias

from oci_push.errors import ContentMismatchError
from oci_push.model.descriptor import Descriptor
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context

if TYPE_CHECKING:
    from oci_push.model.changes import Changed

Tell: TypeAlias = Callable[[Descriptor], None]
BLOCK_BYTES = 512 * 1024
"""How much is read at a time; between 256 KiB and 1 MiB the registry, not we, is the limit."""


class Spool(Protocol):
    """The temporary files that go with a source."""

    def close(self) -> None:
        """Remove them; idempotent."""
        ...


class ImageReader(ABC):
    """One image, index or artifact to be read. Methods may be called from several threads at once.

    `name` is how messages call it, as the user wrote it. All reads raise `SourceError` (or `ContentMismatchError`)
    naming the file and the member. `spool` holds the temporary files that go with the source.
    """

    def __init__(self, name: str, spool: Spool) -> None:
        self.name = name
        self._spool = spool

    @property
    def origin(self) -> tuple[RegistryEndpoint, Repository] | None:
        """Return the registry and repository it is read from, where blobs can be mounted from; ``None`` for a file."""
        return None

    @property
    def is_ready(self) -> bool:
        """Return whether the root is known without long work; where not, it is worth asking first who may push."""
        return True

    @property
    def compresses(self) -> bool:
        """Return whether there are layers that are compressed before they are sent."""
        return False

    @property
    def changed(self) -> Changed | None:
        """Return what came of changes made to the image, once `root` has been read; ``None`` where there were none."""
        return None

    @property
    def elsewhere(self) -> tuple[Descriptor, ...]:
        """Return blobs of the image as it was stored that cannot be read here; none where all can.

        Where every target has them, `keep_stored` is called before anything is read, and the image keeps its digest.
        """
        return ()

    @property
    def pulled_from(self) -> tuple[Repository, ...]:
        """Return the repositories that the blobs of `elsewhere` may have come from."""
        return ()

    def keep_stored(self) -> None:
        """Let the image go out as it was stored: its targets have the blobs of `elsewhere`."""
        return

    def check_asked(self, platform: Platform | None) -> None:
        """See, before long work, that the image can be as asked; raises `ConfigError`, for a platform `SourceError`."""
        return

    def make(self, context: Context, tell: Tell) -> None:
        """Do the long work that `root` would wait for; `tell` is called with each blob that can be read by then.

        It is called from any thread.
        """
        return

    @abstractmethod
    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Return the manifest or index that the reference names. May compress layers to learn their digests.

        Where there are several, `platform` says which; it does not choose inside an index.
        """

    @abstractmethod
    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Return a manifest or index that is checked: size, digest and form."""

    @abstractmethod
    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return a body that can be opened again; its size is checked, its digest not (see `verified`)."""

    def close(self) -> None:
        """Remove temporary files and close what is open; idempotent."""
        self._spool.close()


def tell_nobody(blob: Descriptor) -> None:
    """Tell nobody: what `ImageReader.make` does when its blobs are asked for later."""


def verified(
    body: Body, descriptor: Descriptor, what: str, before: Iterable[bytes] = ()
) -> Iterator[bytes | memoryview]:
    """Return the blocks of `body`, and raise `ContentMismatchError` when they turn out not to be `descriptor`'s.

    `before` are its first bytes where somebody has them already; they count and are not returned.
    """
    running = descriptor.digest.new_hash()
    size = 0
    for known in before:
        running.update(known)
        size += len(known)
    for block in body.blocks(size):
        running.update(block)
        size += len(block)
        if size > descriptor.size:
            raise ContentMismatchError(f"{what}: more bytes found than the {descriptor.size} its manifest says")
        yield block
    if size != descriptor.size:
        raise ContentMismatchError(f"{what}: {size} bytes found, its manifest says {descriptor.size}")
    if not descriptor.digest.matches(running):
        raise ContentMismatchError(
            f"{what}: content has digest {running.name}:{running.hexdigest()}, its manifest says {descriptor.digest}"
        )
