"""What becomes of an upload that is left behind: kept for a later run, or closed; and what is said about it.

A Location is worth nothing once a body has broken: what it named has grown, and a DELETE there is refused. So the
session is asked first, with a context that outlives a cancel for a moment. What is told is what was heard:
distribution 2 loses a session whose body broke (nobody can go on with it, nor close it), distribution 3 keeps what had
come.
"""

from __future__ import annotations

import contextlib

from msgspec import Struct

from oci_push.errors import OciPushError, RegistryError
from oci_push.events import Emit, LogMessage
from oci_push.model.descriptor import Descriptor
from oci_push.model.reference import Repository
from oci_push.protocol import uploads
from oci_push.protocol.uploads import UploadSession
from oci_push.registry.capabilities import LearntCapabilities
from oci_push.registry.upload_store import StoredUpload
from oci_push.runtime.context import Context
from oci_push.transport.session import Session

_CLOSING_S = 4.0


def close(
    session: Session, context: Context, repository: Repository, upload: UploadSession, *, is_stale: bool = False
) -> None:
    """Close an upload that will not be finished; never raises, and outlives a cancelled context shortly."""
    with contextlib.suppress(OciPushError):
        session.run_without_retry(
            context.shielded(_CLOSING_S), uploads.cancel(repository, upload.location, is_stale=is_stale)
        )


def what_of(repository: Repository, blob: Descriptor) -> str:
    """Begin a note about a blob."""
    return f"{repository}: blob {blob.digest.short}"


class AbandonedUpload(Struct, frozen=True):
    """A session that is left: `confirmed` bytes were told of, up to `reached` may have come.

    `is_broken` says that the last request about it broke, so that its Location may be an old one.
    """

    session: Session
    repository: Repository
    blob: Descriptor
    upload: UploadSession
    confirmed: int
    reached: int
    is_broken: bool

    def close(self, context: Context) -> None:
        """Close it."""
        close(self.session, context, self.repository, self.upload, is_stale=self.is_broken)

    def keep(self, context: Context, entry: StoredUpload, capabilities: LearntCapabilities, emit: Emit) -> None:
        """Keep it for a later run if the registry does, and say what is known."""
        around = context.shielded(_CLOSING_S)
        what = what_of(self.repository, self.blob)
        question = uploads.ask(self.repository, self.blob.digest, self.upload, urgent=True)
        try:
            status = self.session.run_without_retry(around, question)
        except RegistryError as error:
            if error.transient:
                self._keep_unseen(entry, capabilities, emit)
                return
            # It is gone, or cannot be asked for, and then not gone on with either.
            if error.status != 404:
                close(self.session, context, self.repository, self.upload)
            entry.forget()
            if self.is_broken and error.status == 404:
                capabilities.learn("resumes", False)
            if self.reached:
                emit(LogMessage(f"{what}: the registry has not kept what was sent; the next push sends all of it"))
            return
        except OciPushError:
            self._keep_unseen(entry, capabilities, emit)
            return
        if status.stored is None or status.stored > self.reached:
            close(self.session, context, self.repository, status.upload)
            entry.forget()
            if self.confirmed:
                emit(LogMessage(f"{what}: the registry does not say what it has kept; the next push sends all of it"))
            return
        entry.note(status.upload, status.stored)
        capabilities.learn("resumes", True)
        arrived = f"{status.stored / 1e6:.1f} of {self.blob.size / 1e6:.1f} MB have arrived"
        emit(LogMessage(f"{what}: {arrived}; the same command goes on from there"))

    def _keep_unseen(self, entry: StoredUpload, capabilities: LearntCapabilities, emit: Emit) -> None:
        """Keep the note where nobody could be asked: bytes may be there, and a later run asks."""
        entry.note(self.upload, self.confirmed)
        if not self.reached:
            return
        then = "goes on from what it has kept" if capabilities.known.resumes else "asks what it has kept"
        emit(
            LogMessage(
                f"{what_of(self.repository, self.blob)}: the registry cannot be asked now; the same command {then}"
            )
        )
