"""One blob on its way into one repository, through everything that may break on the way.

A single request with a body is all or nothing: where it breaks, nobody knows what is kept. So a small blob goes in one
request and is sent again; a large one goes in pieces, and a break costs no more than what the registry had not yet
confirmed. After a break the upload is *in doubt*: its session is asked, and what it says is believed only where it is
sure, else another session is opened. The same way leads on after the process itself was killed (`journal`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from oci_push.errors import Cancelled, DeadlineError, NotFoundError, OciPushError, RegistryError, UploadRejectedError
from oci_push.events import BlobProgress, Emit, Note, RetryScheduled, UploadResumed
from oci_push.model.descriptor import Descriptor
from oci_push.model.reference import Repository
from oci_push.protocol import blobs, uploads
from oci_push.protocol.call import EMPTY, Body, Piece
from oci_push.protocol.uploads import Form, Standing, Upload
from oci_push.registry.abilities import LAST_BYTES, Abilities
from oci_push.registry.journal import Entry
from oci_push.runtime.retry import Action, Budget, RetryPolicy, decide
from oci_push.runtime.scope import Scope
from oci_push.transport.session import Session

_CANCEL_S = 3.0
_PROGRESS_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """Tell what an upload cost: `bytes_sent` over all attempts; `bytes_found` had come in an earlier run."""

    bytes_sent: int
    attempts: int
    bytes_found: int = 0


def cancel_upload(session: Session, scope: Scope, repository: Repository, upload: Upload) -> None:
    """Close an upload that will not be finished; never raises, and outlives a cancelled scope shortly."""
    with contextlib.suppress(OciPushError):
        session.run_once(scope.shielded(_CANCEL_S), uploads.cancel(repository, upload.location))


class BlobUpload:
    """Send one blob; made for one call of `run`, by one thread.

    `given` is an upload that is open already, `entry` what is noted for a later run (``None``: nothing is).
    """

    def __init__(
        self,
        session: Session,
        repository: Repository,
        blob: Descriptor,
        body: Body,
        abilities: Abilities,
        *,
        given: Upload | None,
        entry: Entry | None,
        emit: Emit,
    ) -> None:
        self._session = session
        self._repository = repository
        self._blob = blob
        self._body = body
        self._abilities = abilities
        self._upload = given
        self._entry = entry
        self._emit = emit
        self._confirmed = 0
        self._reached = 0
        self._best = 0
        self._total = 0
        self._found = 0
        self._form = abilities.form
        self._tried_bytes = 0
        self._in_doubt = False
        self._is_closing = False
        self._is_done = False
        self._is_continued = False
        self._disputed = -1
        self._lost = 0

    def run(self, scope: Scope, policy: RetryPolicy, random: Callable[[], float]) -> Sent:
        """Send the blob and close its upload. All its requests spend one budget; a piece that arrived refills it."""
        budget = Budget(policy, scope.clock, random, has_answered=self._session.has_answered, behind_proxy=True)
        try:
            self._take_up(scope)
            while True:
                scope.check()
                try:
                    self._go_on(scope, budget)
                    break
                except OciPushError as error:
                    self._recover(scope, budget, error)
        except BaseException as error:
            self._leave(scope, error)
            if isinstance(error, NotFoundError):
                raise UploadRejectedError(
                    f"{error} while the blob was being sent", hint=error.hint, status=error.status, codes=error.codes
                ) from error
            raise
        finally:
            if self._entry:
                self._entry.release()
        return Sent(self._total, budget.attempt, self._found)

    def _take_up(self, scope: Scope) -> None:
        """Go on with what an earlier run has left, rather than with an upload that was opened just now."""
        found = self._entry.find() if self._entry else None
        if found is None:
            if self._upload is not None:
                self._note(self._upload)
            return
        if self._upload is not None:
            cancel_upload(self._session, scope, self._repository, self._upload)
        self._upload, self._found = found
        # What was killed may have sent more than it could write down.
        self._in_doubt, self._reached = True, self._blob.size

    def _go_on(self, scope: Scope, budget: Budget) -> None:
        if self._in_doubt and self._upload is not None:
            self._ask(scope, self._upload, budget)
        if self._upload is None and not self._is_done:
            self._upload = self._open(scope)
            if self._upload is not None:
                self._note(self._upload)
        if self._upload is not None and not self._is_done:
            self._send(scope, budget, self._upload)
        if self._entry:
            self._entry.forget()

    def _open(self, scope: Scope) -> Upload | None:
        """Open an upload, or send a small blob in the very request where the registry takes it: then ``None``."""
        if self._abilities.takes_in_one_request(self._blob.size):
            body = _Counted(self, scope, self._body, 0)
            try:
                upload = self._session.run_once(scope, uploads.post_whole(self._repository, self._blob, body))
            except RegistryError as error:
                if not 400 <= error.status < 500 or decide(error) is Action.REPEAT or error.status in (401, 403):
                    raise
                self._abilities.learn_one_request(works=False)
            else:
                self._is_done = upload is None
                self._abilities.learn_one_request(works=self._is_done)
                return upload
        return self._session.run_once(scope, uploads.start(self._repository, self._blob.digest))

    def _ask(self, scope: Scope, upload: Upload, budget: Budget) -> None:
        """Find out where the upload stands, if it does. A registry that cannot say costs this request and no more."""
        standing: Standing | None = None
        is_gone = False
        try:
            standing = self._session.run_once(scope, uploads.ask(self._repository, self._blob.digest, upload))
        except RegistryError as error:
            if decide(error) is Action.REPEAT:
                raise
            is_gone = error.status == 404
        self._in_doubt = False
        if standing is not None and standing.stored is not None and standing.stored <= self._reached:
            self._upload, self._is_continued = standing.upload, True
            self._arrived(standing.stored, budget)
            if self._found:
                self._found = standing.stored
                self._emit(UploadResumed(self._repository, self._blob.digest, standing.stored, self._blob.size))
            return
        if standing is None and self._is_closing:
            # Its last answer may be all that was lost.
            self._is_done = self._session.run(scope, blobs.exists(self._repository, self._blob))
        self._begin_again(scope, cancel=not is_gone)

    def _send(self, scope: Scope, budget: Budget, upload: Upload) -> None:
        self._form = self._abilities.form_for(self._blob.size, upload)
        if self._blob.size == 0:
            self._form = Form.PUT
        if self._form is Form.STREAM and not self._confirmed:
            upload = self._patch(scope, budget, upload, self._blob.size, ranged=False)
        while self._form is Form.CHUNKS or self._confirmed:
            left = self._blob.size - self._confirmed
            size = self._abilities.piece_bytes(upload)
            if left <= min(size, LAST_BYTES):
                break
            upload = self._patch(scope, budget, upload, min(size, left), ranged=True)
        left = self._blob.size - self._confirmed
        body = _Counted(self, scope, Piece(self._body, self._confirmed, left), self._confirmed) if left else EMPTY
        self._reaches(left)
        self._is_closing = True
        self._session.run_once(scope, uploads.close(self._repository, self._blob, upload, body, self._confirmed))

    def _patch(self, scope: Scope, budget: Budget, upload: Upload, size: int, *, ranged: bool) -> Upload:
        body = _Counted(self, scope, Piece(self._body, self._confirmed, size), self._confirmed)
        offset = self._confirmed if ranged else None
        self._reaches(size)
        self._is_closing = False
        standing = self._session.run_once(
            scope, uploads.send_piece(self._repository, self._blob.digest, upload, body, offset)
        )
        self._session.note_speed(self._abilities.measure(size, body.seconds))
        self._upload = standing.upload
        # Only a Range that ends inside this piece is believed: ECR's stands still after the first one.
        stored, end = standing.stored, self._confirmed + size
        self._arrived(stored if stored is not None and self._confirmed < stored < end else end, budget)
        self._note(standing.upload)
        return standing.upload

    def _recover(self, scope: Scope, budget: Budget, error: OciPushError) -> None:
        """Decide how to go on after a failure, and wait; raises it where it is final."""
        scope.check()
        action = decide(error)
        if isinstance(error, RegistryError) and self._adapt(scope, action, error):
            return
        if action is Action.STOP and self._is_continued and _is_about_bytes(error):
            # What is wrong may be in the part that came before: all of it is sent once more.
            self._is_continued = False
            self._begin_again(scope, cancel=True)
            return
        if action not in (Action.REPEAT, Action.ASK, Action.RESTART):
            raise error
        retried = budget.spend(error)
        if retried is None:
            raise error
        if action is Action.RESTART and not self._is_closing:
            self._begin_again(scope, cancel=False)
        elif action is Action.ASK and self._disputed == self._confirmed:
            self._begin_again(scope, cancel=True)
        else:
            self._disputed = self._confirmed if action is Action.ASK else -1
            self._in_doubt = self._upload is not None
        if action is not Action.ASK:
            what = f"{self._repository}: blob {self._blob.digest.short}"
            self._emit(RetryScheduled(what, str(error), retried.attempt, retried.wait_s))
            scope.sleep(retried.wait_s)

    def _adapt(self, scope: Scope, action: Action, error: RegistryError) -> bool:
        """Send smaller pieces, or in another form, where the answer asks for that; say whether it does."""
        if self._upload is None:
            return False
        if error.status == 413:
            if not self._abilities.refuses_size(self._form, self._tried_bytes, self._upload):
                return False
            self._in_doubt = self._confirmed > 0
            if not self._in_doubt:
                self._begin_again(scope, cancel=True)
            return True
        if self._confirmed or self._is_continued or action is Action.REPEAT:
            return False
        if action is Action.RESTART:
            self._lost += 1
        in_pieces = error.method == "PATCH" and (action is not Action.RESTART or self._lost > 1)
        if not (action is Action.ADAPT or in_pieces) or not self._abilities.refuses_form(self._form, error):
            return False
        self._begin_again(scope, cancel=True)
        return True

    def _begin_again(self, scope: Scope, *, cancel: bool) -> None:
        if cancel and self._upload is not None:
            cancel_upload(self._session, scope, self._repository, self._upload)
        self._upload = None
        self._confirmed = self._reached = self._found = 0
        self._in_doubt = self._is_closing = False
        self._disputed = -1

    def _leave(self, scope: Scope, error: BaseException) -> None:
        """Keep what has arrived for a later run if that may help, else close the upload."""
        if self._upload is None:
            return
        is_ours = isinstance(error, Cancelled | DeadlineError) or scope.is_cancelled
        may_pass = isinstance(error, OciPushError) and decide(error) is Action.REPEAT
        if self._entry and self._confirmed and (is_ours or may_pass):
            what = f"{self._repository}: blob {self._blob.digest.short}"
            kept = f"{self._confirmed / 1e6:.1f} of {self._blob.size / 1e6:.1f} MB have arrived"
            self._emit(Note(f"{what}: {kept}; the same command goes on from there"))
            return
        cancel_upload(self._session, scope, self._repository, self._upload)
        if self._entry:
            self._entry.forget()

    def _arrived(self, confirmed: int, budget: Budget) -> None:
        self._confirmed = confirmed
        self._lost = 0
        if confirmed > self._best:
            self._best = confirmed
            budget.got_on()

    def _reaches(self, size: int) -> None:
        self._tried_bytes = size
        self._reached = max(self._reached, self._confirmed + size)

    def _note(self, upload: Upload) -> None:
        if self._entry:
            self._entry.note(upload, self._confirmed)

    def count(self, size: int) -> None:
        """Add to what has been sent."""
        self._total += size

    def tell(self, offset: int) -> None:
        """Tell listeners how far the blob is."""
        self._emit(BlobProgress(self._repository, self._blob.digest, offset, self._blob.size))


def _is_about_bytes(error: OciPushError) -> bool:
    return isinstance(error, RegistryError) and not {"DIGEST_INVALID", "SIZE_INVALID"}.isdisjoint(error.codes)


class _Counted:
    """Count what goes out of a part that begins at `offset`, time it, and tell about it now and then."""

    def __init__(self, upload: BlobUpload, scope: Scope, body: Body, offset: int) -> None:
        self._upload = upload
        self._clock = scope.clock
        self._body = body
        self._offset = offset
        self._started = 0.0

    @property
    def size(self) -> int:
        """Give the part's size."""
        return self._body.size

    @property
    def seconds(self) -> float:
        """Give the time since its first byte was asked for; waiting for one's turn is not among it."""
        return self._clock.monotonic() - self._started

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Pass the blocks on."""
        self._started = self._clock.monotonic()
        position = told = self._offset + start
        for block in self._body.blocks(start):
            yield block
            position += len(block)
            self._upload.count(len(block))
            if position - told >= _PROGRESS_BYTES:
                told = position
                self._upload.tell(position)
