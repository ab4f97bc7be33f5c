"""What a reference names, and whether it names anything: asked by HEAD, never read."""

from __future__ import annotations

from msgspec import Struct

from oci_push.errors import NotFoundError
from oci_push.forms import ErrorForm, Version
from oci_push.model.digest import Digest
from oci_push.model.reference import Reference
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context


class NamedDigest(Struct, frozen=True):
    """What ``digest --json`` prints."""

    version: Version
    name: str
    digest: Digest


class Existing(Struct, frozen=True):
    """Whether one image exists: null where that could not be found out, for the reason that `error` gives."""

    name: str
    exists: bool | None
    digest: Digest | None
    error: ErrorForm | None


class Existence(Struct, frozen=True):
    """What ``exists --json`` prints."""

    version: Version
    images: tuple[Existing, ...]

    def __bool__(self) -> bool:
        """Return whether all of them exist."""
        return all(one.exists for one in self.images)


def digest_of(context: Context, client: RepositoryClient, reference: Reference) -> Digest:
    """Ask what a reference names; raises `NotFoundError` for nothing."""
    there = client.head(context, reference.target)
    if there is None or there.digest is None:
        raise NotFoundError(f"{reference}: does not exist", hint="see what there is with oci-push tags")
    return there.digest
