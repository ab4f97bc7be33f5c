"""Single blobs and manifests of a registry, byte for byte: what is below images, for repairs and for other programs.

Nothing is made of what is read, and what is sent is what was given. Bytes that come are checked as they go by, bytes
that go out are hashed first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.looking import tree
from oci_push.errors import (
    ConfigError,
    ContentMismatchError,
    DeniedError,
    NotFoundError,
    OciPushError,
    RegistryError,
    SourceError,
    UploadRejectedError,
)
from oci_push.forms import ErrorForm, Version
from oci_push.model import media
from oci_push.model.artifact import is_media_type
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest, load_json
from oci_push.model.reference import Reference, Repository
from oci_push.protocol.call import Body
from oci_push.protocol.manifests import Head
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.sources.base import verified
from oci_push.sources.files import SpoolSpace
from oci_push.sources.remote import RemoteSource

_INCOMPLETE = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "MANIFEST_INVALID"})
"""What registries call a manifest whose parts they do not have; some say no more than that it is invalid."""
_MOST_NAMED = 10


class BlobSaved(Struct, frozen=True):
    """What ``blob get --json`` prints."""

    version: Version
    repository: Repository
    digest: Digest
    size: int
    file: str


class BlobStored(Struct, frozen=True):
    """What ``blob put --json`` prints; `outcome` is ``uploaded``, or ``exists`` where it was there."""

    version: Version
    repository: Repository
    digest: Digest
    size: int
    outcome: str


class BlobFound(Struct, frozen=True):
    """Whether one blob exists: null where that could not be found out; no size where the registry tells none."""

    name: str
    exists: bool | None
    size: int | None
    error: ErrorForm | None


class BlobsFound(Struct, frozen=True):
    """What ``blob head --json`` prints."""

    version: Version
    blobs: tuple[BlobFound, ...]

    def __bool__(self) -> bool:
        """Return whether all of them exist."""
        return all(one.exists for one in self.blobs)


class BlobDeleted(Struct, frozen=True):
    """What became of a blob that was to be deleted; `outcome` is ``deleted``, ``would delete`` or ``failed``."""

    repository: Repository
    digest: Digest
    outcome: str
    error: ErrorForm | None


class BlobsDeleted(Struct, frozen=True):
    """What ``blob delete --json`` prints."""

    version: Version
    deleted: tuple[BlobDeleted, ...]


class ManifestSaved(Struct, frozen=True):
    """What ``manifest get --json`` prints."""

    version: Version
    name: str
    digest: Digest
    media_type: str
    size: int
    file: str


class ManifestFound(Struct, frozen=True):
    """Whether one manifest exists, and what it is: null where that could not be found out."""

    name: str
    exists: bool | None
    digest: Digest | None
    media_type: str | None
    size: int | None
    error: ErrorForm | None

    @classmethod
    def of(cls, name: str, head: Head | None, error: OciPushError | None) -> ManifestFound:
        """Return what was found out."""
        if head is None:
            return cls(name, None if error else False, None, None, None, ErrorForm.or_none(error))
        return cls(name, True, head.digest, head.media_type, head.size, None)


class ManifestsFound(Struct, frozen=True):
    """What ``manifest head --json`` prints."""

    version: Version
    manifests: tuple[ManifestFound, ...]

    def __bool__(self) -> bool:
        """Return whether all of them exist."""
        return all(one.exists for one in self.manifests)


class ManifestStored(Struct, frozen=True):
    """What ``manifest put --json`` prints; no tag where it was stored by its digest alone."""

    version: Version
    repository: Repository
    tag: str | None
    digest: Digest
    media_type: str
    size: int


def read_blob(context: Context, client: RepositoryClient, digest: Digest) -> Iterator[bytes | memoryview]:
    """Return the blocks of a blob, going on where a connection breaks; what is not `digest` raises at the end.

    The size is asked for first. Of a registry that does not tell it, a break is the end. Raises `NotFoundError`.
    """
    there = client.head_blob(context, digest)
    name = f"{client.repository}@{digest}"
    if there is None:
        raise NotFoundError(f"{name}: there is no such blob", hint="blobs belong to a repository; is it in another?")
    if there.size is None:
        yield from _unsized(context, client, digest)
        return
    blob = Descriptor(media.OCTET_STREAM, digest, there.size)
    source = RemoteSource(client, Reference(client.repository, "latest"), SpoolSpace(None, 0), keep=False)
    yield from verified(source.blob(context, blob), blob, name)


def _unsized(context: Context, client: RepositoryClient, digest: Digest) -> Iterator[bytes | memoryview]:
    running = digest.new_hash()
    with client.open_blob(context, Descriptor(media.OCTET_STREAM, digest, 0)) as blocks:
        for block in blocks:
            running.update(block)
            yield block
    if not digest.matches(running):
        raise ContentMismatchError(
            f"{client.repository}@{digest}: content has digest {running.name}:{running.hexdigest()}"
        )


def described(context: Context, body: Body, wanted: Digest | None, what: str) -> Descriptor:
    """Read a body and describe it as a blob; raises `ContentMismatchError` where it is not what is `wanted`."""
    algorithm = wanted.algorithm if wanted else "sha256"
    running = (wanted or Digest.of(b"")).new_hash()
    size = 0
    for block in body.blocks():
        context.check()
        running.update(block)
        size += len(block)
    found = Digest(algorithm, running.hexdigest())
    if wanted is not None and found != wanted:
        raise ContentMismatchError(
            f"{what}: has digest {found}, and not {wanted}; nothing was sent",
            hint="without --digest it is stored by its own",
        )
    return Descriptor(media.OCTET_STREAM, found, size)


def put_blob(context: Context, client: RepositoryClient, blob: Descriptor, body: Body, what: str) -> bool:
    """Store a blob and return whether it had to be sent; one that an earlier run began is gone on with.

    `what` the body is called where it has changed meanwhile.
    """
    client.prepare(context)
    if client.has_blob(context, blob):
        client.drop_upload(context, blob)
        return False
    try:
        client.upload(context, blob, body)
    except UploadRejectedError as error:
        if {"DIGEST_INVALID", "SIZE_INVALID"}.isdisjoint(error.codes):
            raise
        if described(context, body, None, what).digest != blob.digest:
            raise ContentMismatchError(
                f"{what}: changed while it was sent, and {client.repository} refused it",
                hint="store it again when nobody writes it",
            ) from error
        raise error.with_hint(
            "the file's bytes are right, so they changed on the way or the registry is wrong"
        ) from error
    return True


def delete_blob(context: Context, client: RepositoryClient, digest: Digest) -> None:
    """Delete a blob; raises an error that says what can be done where the registry cannot."""
    try:
        client.delete_blob(context, digest)
    except RegistryError as error:
        # It was there before: the answer to a try that did it may have been lost.
        if isinstance(error, NotFoundError) and client.head_blob(context, digest) is None:
            return
        raise _explained(error) from error


def _explained(error: RegistryError) -> OciPushError:
    if isinstance(error, DeniedError):
        return error.with_hint("deleting takes a right of its own: check that this login has it for the repository")
    cannot = error.status in (405, 501) or (error.status in (400, 404) and "UNSUPPORTED" in error.codes)
    if not cannot:
        return error
    return error.with_more("; this registry deletes no blob that it is asked to by its API").with_hint(
        "a registry frees blobs itself when no manifest needs them any more: delete those (oci-push delete);"
        " for distribution, storage.delete.enabled lets clients delete"
    )


def manifest_of(raw: bytes, media_type: str) -> Manifest:
    """Return bytes as the manifest that they are sent as: of `media_type`, else of what they say themselves.

    Types that are not known here are sent as well, as long as they are JSON. Raises `SourceError`.
    """
    try:
        value = load_json(raw, "it")
        inside = value.get("mediaType")
        inside = inside if isinstance(inside, str) else ""
        if media_type and inside and media_type != inside:
            raise ValueError(f"says itself that it is {inside}, --media-type says {media_type}")
        kind = media_type or inside
        if kind and not is_media_type(kind):
            raise ValueError(f"{kind!r} is no media type")
        if (kind or media.OCI_MANIFEST) in media.MANIFESTS:
            return Manifest.parse(raw, kind)
        if len(raw) > media.MAX_MANIFEST_BYTES:
            raise ValueError(f"has {len(raw)} bytes, over the limit of {media.MAX_MANIFEST_BYTES}")
        subject = value.get("subject")
        refers = Descriptor.from_json(subject, "subject") if subject is not None else None
    except ValueError as problem:
        hint = None if media_type else "where it is of a kind of its own, give --media-type"
        raise SourceError(f"the manifest cannot be sent: {problem}", hint=hint) from problem
    return Manifest(raw, kind, Digest.of(raw), subject=refers)


def put_manifest(context: Context, client: RepositoryClient, manifest: Manifest, tag: str) -> None:
    """Store a manifest under a tag, or without one by its digest; where it is refused, say what it misses."""
    client.prepare(context)
    try:
        client.put_manifest(context, manifest, tag or str(manifest.digest))
    except RegistryError as error:
        if _INCOMPLETE.isdisjoint(error.codes):
            raise
        lacking = missing_parts(context, client, manifest)
        if not lacking:
            raise
        named = ", ".join(lacking[:_MOST_NAMED])
        if len(lacking) > _MOST_NAMED:
            named += f" and {len(lacking) - _MOST_NAMED} more"
        raise error.with_more(f"; {client.repository} lacks {named}").with_hint(
            "store what it names first: oci-push blob put, oci-push manifest put; or let oci-push push do all of it"
        ) from error


def missing_parts(context: Context, client: RepositoryClient, manifest: Manifest) -> list[str]:
    """Return what a manifest names and the repository lacks, as people are told; what cannot be asked counts as there.

    Foreign layers need not be there.
    """
    blobs = [one for one in manifest.blobs if not media.is_foreign_layer(one.media_type)]
    asked = [partial(_lacks_blob, client=client, blob=one) for one in blobs]
    asked += [partial(_lacks_manifest, client=client, digest=one.digest) for one in manifest.children]
    outcomes = run_all(context, asked, limit=tree.AT_ONCE)
    found = (outcome.get() for outcome in outcomes if outcome.error is None)
    return list(dict.fromkeys(text for text in found if text))


def _lacks_blob(context: Context, client: RepositoryClient, blob: Descriptor) -> str:
    return "" if client.has_blob(context, blob, push=False) else f"blob {blob.digest}"


def _lacks_manifest(context: Context, client: RepositoryClient, digest: Digest) -> str:
    return "" if client.head(context, str(digest)) else f"manifest {digest}"


def check_digest(manifest: Manifest, wanted: Digest | None) -> Manifest:
    """Return a manifest under the digest that it shall be stored by; raises `ConfigError` where it has another."""
    if wanted is None or wanted == manifest.digest:
        return manifest
    found = Digest.of(manifest.raw, wanted.algorithm)
    if found != wanted:
        raise ConfigError(
            f"the manifest has digest {found}, and not {wanted}; nothing was sent",
            hint="leave the digest out, and it is stored by its own",
        )
    return replace(manifest, digest=found)
