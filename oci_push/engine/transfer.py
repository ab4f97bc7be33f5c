"""Blobs on their way into one repository: there already, mounted, or sent."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import (
    ContentMismatchError,
    OciPushError,
    ProtocolViolationError,
    RegistryError,
    UploadRejectedError,
)
from oci_push.events import BlobDone, BlobStarted, Emit
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobKind, BlobOutcome
from oci_push.model.reference import Repository
from oci_push.protocol.uploads import UploadSession
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.costs import Costs
from oci_push.sources.base import ImageReader, verified


class BlobResult(Struct, frozen=True):
    """What a blob cost: bytes sent in all, how many of them more than once, how many an earlier run had sent."""

    digest: Digest
    size: int
    outcome: BlobOutcome
    bytes_sent: int = 0
    bytes_resent: int = 0
    seconds: float = 0.0
    mounted_from: str = ""
    bytes_found: int = 0


class SentAhead(Struct):
    """What came to one repository before its push began (`engine.ahead`); `error` is why no more did."""

    blobs: dict[Digest, BlobResult] = field(default_factory=dict)
    error: OciPushError | None = None
    seconds: float = 0.0
    costs: Costs = field(default_factory=Costs)


def transfer(
    context: Context,
    client: RepositoryClient,
    source: ImageReader,
    blob: Descriptor,
    mount_candidates: Sequence[Repository],
    emit: Emit,
    *,
    ask: bool = True,
    kind: BlobKind = BlobKind.LAYER,
) -> BlobResult:
    """Bring one blob into the client's repository, by the cheapest way that works; without `ask` it is not there.

    `kind` is for who listens.
    """
    started = context.clock.monotonic()
    emit(BlobStarted(client.repository, blob.digest, blob.size, kind))
    with client.seen.turn(context, blob.digest) as is_here:
        if is_here:  # another image of this run has brought it
            result = BlobResult(blob.digest, blob.size, BlobOutcome.EXISTS)
        else:
            result = _in_turn(context, client, source, blob, mount_candidates, ask=ask)
    if result.outcome is not BlobOutcome.UPLOADED:
        client.drop_upload(context, blob)
    emit(BlobDone(client.repository, blob.digest, blob.size, result.outcome, result.mounted_from, kind))
    return replace(result, seconds=context.clock.monotonic() - started)


def send(
    context: Context, client: RepositoryClient, source: ImageReader, blob: Descriptor, upload: UploadSession | None
) -> BlobResult:
    """Upload a blob whatever is said to be there.

    A digest that is refused is told of the side that is wrong: the source is read again, and where it is right, what
    changed on the way is sent once more.
    """
    wasted = 0
    while True:
        try:
            body = source.blob(context, blob)
        except OciPushError:
            if upload is not None:
                client.cancel(context, upload)
            raise
        try:
            sent = client.upload(context, blob, body, upload)
            break
        except UploadRejectedError as error:
            if {"DIGEST_INVALID", "SIZE_INVALID"}.isdisjoint(error.codes):
                raise
            wrong = attribute_mismatch(context, source, blob, error)
            if wasted or isinstance(wrong, ContentMismatchError):
                raise wrong from error
            upload, wasted = None, blob.size
    return BlobResult(
        blob.digest,
        blob.size,
        BlobOutcome.UPLOADED,
        bytes_sent=sent.bytes_sent + wasted,
        bytes_resent=max(0, sent.bytes_sent + wasted + sent.bytes_found - blob.size),
        bytes_found=sent.bytes_found,
    )


def _in_turn(
    context: Context,
    client: RepositoryClient,
    source: ImageReader,
    blob: Descriptor,
    mount_candidates: Sequence[Repository],
    *,
    ask: bool,
) -> BlobResult:
    with client.turn(context, blob) as elsewhere:
        is_here = elsewhere == client.repository
        near = (elsewhere,) if elsewhere and not is_here else ()
        candidates = tuple(dict.fromkeys((*near, *mount_candidates)))
        return _bring(context, client, source, blob, candidates, ask=ask or is_here)


def _bring(
    context: Context,
    client: RepositoryClient,
    source: ImageReader,
    blob: Descriptor,
    candidates: Sequence[Repository],
    *,
    ask: bool,
) -> BlobResult:
    exists = BlobResult(blob.digest, blob.size, BlobOutcome.EXISTS)
    if (client.is_prefetched(blob) or (ask and not candidates)) and is_there(context, client, source, blob):
        return exists
    upload: UploadSession | None = None
    for candidate in candidates:
        if upload is not None:
            client.cancel(context, upload)
        # The answer to a mount is also the answer to "is it there": 201 on a blob the target has already.
        answer = client.mount(context, blob, candidate)
        if answer.mounted:
            return BlobResult(blob.digest, blob.size, BlobOutcome.MOUNTED, mounted_from=str(candidate))
        upload = answer.upload
    if ask and candidates and upload is None and is_there(context, client, source, blob):
        return exists
    if upload is None and client.may_mount_from_anywhere(blob):
        # Opens an upload as a plain POST does, unless the registry finds the blob by itself.
        answer = client.mount(context, blob, None)
        if answer.mounted:
            return BlobResult(blob.digest, blob.size, BlobOutcome.MOUNTED, mounted_from="another repository")
        upload = answer.upload
    return send(context, client, source, blob, upload)


def is_there(context: Context, client: RepositoryClient, source: ImageReader, blob: Descriptor) -> bool:
    """Ask for a blob; where its size or digest is said to be another, find out which side is wrong and raise."""
    try:
        return client.has_blob(context, blob)
    except ProtocolViolationError as error:
        raise attribute_mismatch(context, source, blob, error) from error


def attribute_mismatch(context: Context, source: ImageReader, blob: Descriptor, error: RegistryError) -> OciPushError:
    """Return the error of the side that is wrong about a digest or a size, which reading the source again tells."""
    try:
        for _ in verified(source.blob(context, blob), blob, f"{source.name}: blob {blob.digest}"):
            context.check()
    except ContentMismatchError as mismatch:
        return mismatch
    return error.with_hint("the source's bytes are right, so they changed on the way or the registry is wrong")
