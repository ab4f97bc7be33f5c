"""Blobs on their way into one repository: there already, mounted, or sent."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from oci_push.engine.plan import Leg
from oci_push.errors import ContentMismatchError, OciPushError, UploadRejectedError
from oci_push.events import BlobDone, Emit
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.protocol.blobs import Upload
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.clock import Clock
from oci_push.runtime.scope import Scope
from oci_push.sources.base import Source, verified


class BlobOutcome(enum.Enum):
    """How a blob came to be in a repository."""

    EXISTS = "exists"
    MOUNTED = "mounted"
    UPLOADED = "uploaded"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class BlobResult:
    """Tell what a blob cost: bytes sent in all, and how many of them more than once."""

    digest: Digest
    size: int
    outcome: BlobOutcome
    bytes_sent: int = 0
    bytes_resent: int = 0
    seconds: float = 0.0
    mounted_from: str = ""


def transfer(
    scope: Scope, client: RepositoryClient, source: Source, leg: Leg, blob: Descriptor, clock: Clock, emit: Emit
) -> BlobResult:
    """Bring one blob into the leg's repository, by the cheapest way that works."""
    started = clock.monotonic()
    result = _bring(scope, client, source, leg, blob)
    seconds = clock.monotonic() - started
    emit(BlobDone(client.repository, blob.digest, blob.size, result.outcome.value, result.mounted_from))
    return BlobResult(
        blob.digest, blob.size, result.outcome, result.bytes_sent, result.bytes_resent, seconds, result.mounted_from
    )


def _bring(scope: Scope, client: RepositoryClient, source: Source, leg: Leg, blob: Descriptor) -> BlobResult:
    wishes = leg.mounts.get(blob.digest, ())
    if not wishes and client.has_blob(scope, blob):
        return BlobResult(blob.digest, blob.size, BlobOutcome.EXISTS)
    upload: Upload | None = None
    for wish in wishes:
        if upload is not None:
            client.cancel(scope, upload)
        # The answer to a mount is also the answer to "is it there": 201 on a blob the target has already.
        answer = client.mount(scope, blob, wish)
        if answer.mounted:
            return BlobResult(blob.digest, blob.size, BlobOutcome.MOUNTED, mounted_from=str(wish))
        upload = answer.upload
    if wishes and upload is None and client.has_blob(scope, blob):
        return BlobResult(blob.digest, blob.size, BlobOutcome.EXISTS)
    try:
        body = source.blob(scope, blob)
    except OciPushError:
        if upload is not None:
            client.cancel(scope, upload)
        raise
    try:
        sent = client.upload(scope, blob, body, upload)
    except UploadRejectedError as error:
        if "DIGEST_INVALID" in error.codes or "SIZE_INVALID" in error.codes:
            _blame(scope, source, blob, error)
        raise
    return BlobResult(
        blob.digest,
        blob.size,
        BlobOutcome.UPLOADED,
        bytes_sent=sent.bytes_sent,
        bytes_resent=max(0, sent.bytes_sent - blob.size),
    )


def _blame(scope: Scope, source: Source, blob: Descriptor, error: UploadRejectedError) -> None:
    """Find out which side is wrong after the registry called a digest wrong: read the source once more."""
    try:
        for _ in verified(source.blob(scope, blob), blob, f"{source.name}: blob {blob.digest}"):
            pass
    except ContentMismatchError as mismatch:
        raise mismatch from error
    error.hint = "the source's bytes are right, so they changed on the way or the registry is wrong"
