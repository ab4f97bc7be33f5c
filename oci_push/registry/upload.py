"""One blob on its way into one repository, through everything that may break on the way.

A single request with a body is all or nothing: where it breaks, nobody knows what is kept. So a small blob goes in one
request and is sent again; a large one goes in pieces, and a break costs no more than what the registry had not yet
confirmed. The same way leads on after the process was killed (`upload_store`). Four states, and what moves between
them; after a failure the session is always asked, and what it says is believed only where it is sure::

    Opening ── 202 ──► Sending ── piece taken ──► Sending ── closed ──► Done      (201 to the opening request: Done)
       ▲ ▲                │ broken, 5xx, 416
       │ └─ form or size  ▼
       │    refused    InDoubt ── sure standing ──► Sending
       └── not sure, 404 ─┤
                          └── nothing to ask, but the blob is there ──► Done

A stop (signal, time limit) in any state looks first, too: `farewell` keeps what the registry keeps and closes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from oci_push.errors import (
    Cancelled,
    DeadlineError,
    NetworkError,
    NotFoundError,
    OciPushError,
    RegistryError,
    UploadRejectedError,
)
from oci_push.events import BlobProgress, Emit, LogMessage, RetryScheduled, UploadResumed
from oci_push.model.descriptor import Descriptor
from oci_push.model.reference import Repository
from oci_push.protocol import blobs, uploads
from oci_push.protocol.call import EMPTY, Body, Chunk
from oci_push.protocol.uploads import Upload, UploadMethod, UploadStatus
from oci_push.registry import abandoned_uploads as farewell
from oci_push.registry.capabilities import LAST_BYTES, Abilities
from oci_push.registry.upload_states import Done, InDoubt, Opening, Sending, State
from oci_push.registry.upload_store import Entry
from oci_push.runtime.context import Context
from oci_push.runtime.retry import Action, RetryPolicy, RetryState, decide
from oci_push.transport.session import Session

_PROGRESS_BYTES = 4 * 1024 * 1024


class Sent(Struct, frozen=True):
    """Tell what an upload cost: `bytes_sent` over all attempts; `bytes_found` had come in an earlier run."""

    bytes_sent: int
    attempts: int
    bytes_found: int = 0


class _Tried(Struct, frozen=True):
    """What the last request with a body was."""

    method: UploadMethod = UploadMethod.PUT
    size: int = 0
    is_closing: bool = False


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
        self._entry = entry
        self._emit = emit
        self._state: State = Sending(given) if given else Opening()
        self._tried = _Tried()
        self._total = 0
        self._found = 0
        self._best = 0
        self._disputed = -1
        self._refusals = 0

    def run(self, context: Context, policy: RetryPolicy, random: Callable[[], float]) -> Sent:
        """Send the blob and close its upload. All its requests spend one budget; a piece that arrived refills it."""
        policy = self._session.bounded(policy)
        retry_state = RetryState(
            policy, context.clock, random, has_answered=self._session.has_answered, behind_proxy=True
        )
        try:
            self._take_up(context)
            while not isinstance(self._state, Done):
                try:
                    context.check()
                    self._state = self._go_on(context, self._state, retry_state)
                except OciPushError as error:
                    self._recover(context, retry_state, error)
            if self._entry:
                self._entry.forget()
        except BaseException as error:
            self._leave(context, error)
            if isinstance(error, NotFoundError):
                raise UploadRejectedError(
                    f"{error} while the blob was being sent", hint=error.hint, status=error.status, codes=error.codes
                ) from error
            raise
        finally:
            if self._entry:
                self._entry.release()
        return Sent(self._total, retry_state.attempt, self._found)

    def _take_up(self, context: Context) -> None:
        """Go on with what an earlier run has left, rather than with an upload that was opened just now."""
        found = self._entry.find() if self._entry else None
        if found is None:
            self._note(self._state)
            return
        if isinstance(self._state, Sending):
            farewell.close(self._session, context, self._repository, self._state.upload)
        upload, confirmed = found
        # What was killed may have sent more than it could write down.
        self._state = InDoubt(upload, confirmed, self._blob.size, is_left=True)

    def _go_on(self, context: Context, state: State, retry_state: RetryState) -> State:
        """Do what is next in a state, one request or a few, and give the state after it."""
        match state:
            case Opening():
                return self._note(self._open(context))
            case InDoubt():
                return self._note(self._ask(context, state, retry_state))
            case Sending():
                return self._send(context, state, retry_state)
            case Done():
                return state

    def _open(self, context: Context) -> State:
        """Open an upload, or send a small blob in the very request where the registry takes it."""
        if self._abilities.takes_in_one_request(self._blob.size):
            body = _Counted(self, context, self._body, 0)
            try:
                upload = self._session.run_without_retry(
                    context, uploads.post_whole(self._repository, self._blob, body)
                )
            except RegistryError as error:
                if not 400 <= error.status < 500 or decide(error) is Action.REPEAT or error.status in (401, 403):
                    raise
                if _is_about_bytes(error):
                    raise
                self._abilities.learn_one_request(works=False)
            else:
                self._abilities.learn_one_request(works=upload is None)
                return Done() if upload is None else Sending(upload)
        return Sending(self._session.run_without_retry(context, uploads.start(self._repository, self._blob.digest)))

    def _ask(self, context: Context, doubt: InDoubt, retry_state: RetryState) -> State:
        """Find out where the upload stands, if it does. A registry that cannot say costs this request and no more."""
        standing: UploadStatus | None = None
        is_gone = False
        try:
            standing = self._session.run_without_retry(
                context, uploads.ask(self._repository, self._blob.digest, doubt.upload)
            )
        except RegistryError as error:
            if decide(error) is Action.REPEAT:
                raise
            is_gone = error.status == 404
        if standing is not None and standing.stored is not None and standing.stored <= doubt.reached:
            self._abilities.learn_resuming(works=True)
            self._arrived(standing.stored, retry_state)
            if doubt.is_left:
                self._found = standing.stored
                self._emit(UploadResumed(self._repository, self._blob.digest, standing.stored, self._blob.size))
            return Sending(standing.upload, standing.stored, is_continued=True)
        if (
            standing is None
            and doubt.is_closing
            # Its last answer may be all that was lost.
            and self._session.run(context, blobs.exists(self._repository, self._blob))
        ):
            return Done()
        if is_gone and not doubt.is_closing:
            self._abilities.learn_resuming(works=False)
        if doubt.is_left:
            kept = farewell.what_of(self._repository, self._blob)
            self._emit(
                LogMessage(
                    f"{kept}: the registry did not keep what an earlier run had sent; all of it is sent", "warning"
                )
            )
        return self._anew(context, Sending(standing.upload) if standing else doubt, cancel=not is_gone)

    def _send(self, context: Context, state: Sending, retry_state: RetryState) -> State:
        """Send the next piece, or close the upload with what is left."""
        left = self._blob.size - state.confirmed
        method = self._abilities.form_for(self._blob.size, state.upload) if self._blob.size else UploadMethod.PUT
        if method is UploadMethod.STREAM and not state.confirmed:
            return self._patch(context, state, retry_state, _Tried(method, self._blob.size))
        if method is UploadMethod.CHUNKS or state.confirmed:
            size = self._abilities.chunk_bytes(state.upload)
            if left > min(size, LAST_BYTES):
                return self._patch(context, state, retry_state, _Tried(method, min(size, left)))
        body = _Counted(self, context, Chunk(self._body, state.confirmed, left), state.confirmed) if left else EMPTY
        self._tried = _Tried(method, left, is_closing=True)
        closing = uploads.close(self._repository, self._blob, state.upload, body, state.confirmed)
        self._session.run_without_retry(context, closing)
        return Done()

    def _patch(self, context: Context, state: Sending, retry_state: RetryState, tried: _Tried) -> State:
        body = _Counted(self, context, Chunk(self._body, state.confirmed, tried.size), state.confirmed)
        self._tried = tried
        offset = None if tried.method is UploadMethod.STREAM and not state.confirmed else state.confirmed
        flow = uploads.send_chunk(self._repository, self._blob.digest, state.upload, body, offset)
        standing = self._session.run_without_retry(context, flow)
        self._session.note_speed(self._abilities.measure(tried.size, body.seconds))
        # Only a Range that ends inside this piece is believed: ECR's stands still after the first one.
        stored, end = standing.stored, state.confirmed + tried.size
        confirmed = stored if stored is not None and state.confirmed < stored < end else end
        self._arrived(confirmed, retry_state)
        return self._note(Sending(standing.upload, confirmed, state.is_continued))

    def _recover(self, context: Context, retry_state: RetryState, error: OciPushError) -> None:
        """Decide how to go on after a failure, and wait; raises it where it is final."""
        before, tried = self._state, self._tried
        if isinstance(before, Sending):
            reached = before.confirmed + tried.size
            self._state = InDoubt(before.upload, before.confirmed, reached, tried.is_closing)
        context.check()
        action = decide(error)
        if isinstance(before, Sending):
            if isinstance(error, RegistryError) and self._adapt(context, before, action, error):
                return
            if action is Action.STOP and before.is_continued and _is_about_bytes(error):
                # What is wrong may be in the part that came before: all of it is sent once more.
                self._state = self._anew(context, before, cancel=True)
                return
        if action not in (Action.REPEAT, Action.ASK, Action.RESTART):
            raise error
        retried = retry_state.spend(error)
        if retried is None:
            if isinstance(error, NetworkError):
                self._session.gave_up(error)
            raise error
        if isinstance(before, Sending):
            is_second = action is Action.ASK and self._disputed == before.confirmed
            self._disputed = before.confirmed if action is Action.ASK else -1
            if is_second or (action is Action.RESTART and not tried.is_closing):
                self._state = self._anew(context, before, cancel=is_second)
        if action is not Action.ASK:
            what = f"{self._repository}: blob {self._blob.digest.short}"
            self._emit(RetryScheduled(what, str(error), retried.attempt, retried.wait_s))
            context.sleep(retried.wait_s)

    def _adapt(self, context: Context, before: Sending, action: Action, error: RegistryError) -> bool:
        """Send smaller pieces, or in another form, where the answer asks for that; say whether it does.

        One refusal of a first piece says little, unless it says that pieces are not known: a second one, in a session
        of its own, is a fact.
        """
        if error.status == 413:
            if not self._abilities.refuses_size(self._tried.method, self._tried.size, before.upload):
                return False
            if not before.confirmed:
                self._state = self._anew(context, before, cancel=True)
            return True
        if before.confirmed or before.is_continued or action is Action.REPEAT or _is_about_bytes(error):
            return False
        is_piece = error.method == "PATCH" and action is not Action.ADAPT
        if is_piece and not self._refusals:
            self._refusals += 1
            if action is not Action.STOP or error.status not in (400, 409, 422):
                return False
            self._state = self._anew(context, before, cancel=True)
            return True
        if not (is_piece or action is Action.ADAPT) or not self._abilities.refuses_form(self._tried.method, error):
            return False
        self._state = self._anew(context, before, cancel=True)
        return True

    def _anew(self, context: Context, state: Sending | InDoubt, *, cancel: bool) -> State:
        """Leave a session behind, closed where it can be, and begin at byte 0."""
        self._state = Opening()
        self._found = 0
        self._disputed = -1
        if cancel:
            stale = isinstance(state, InDoubt)
            farewell.close(self._session, context, self._repository, state.upload, is_stale=stale)
        return Opening()

    def _leave(self, context: Context, error: BaseException) -> None:
        """Look after the session that is left behind: keep what a later run can go on with, else close it."""
        state = self._state
        if isinstance(state, Opening | Done):
            return
        is_ours = context.is_cancelled or isinstance(error, Cancelled | DeadlineError)
        may_go_on = is_ours or (isinstance(error, OciPushError) and decide(error) is Action.REPEAT)
        is_refused = isinstance(error, RegistryError) and 400 <= error.status < 500 and not may_go_on
        left = farewell.AbandonedUpload(
            self._session,
            self._repository,
            self._blob,
            state.upload,
            state.confirmed,
            state.reached if isinstance(state, InDoubt) else state.confirmed,
            is_broken=isinstance(state, InDoubt) and not is_refused,
        )
        if self._entry is None or not may_go_on:
            left.close(context)
            if self._entry:
                self._entry.forget()
            return
        left.keep(context, self._entry, self._abilities, self._emit)

    def _arrived(self, confirmed: int, retry_state: RetryState) -> None:
        self._refusals = 0
        if confirmed > self._best:
            self._best = confirmed
            retry_state.got_on()

    def _note(self, state: State) -> State:
        if self._entry and isinstance(state, Sending):
            self._entry.note(state.upload, state.confirmed)
        return state

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

    def __init__(self, upload: BlobUpload, context: Context, body: Body, offset: int) -> None:
        self._upload = upload
        self._clock = context.clock
        self._body = body
        self._offset = offset
        self._started = 0.0

    @property
    def size(self) -> int:
        """Return the part's size."""
        return self._body.size

    @property
    def seconds(self) -> float:
        """Return the time since its first byte was asked for; waiting for one's turn is not among it."""
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
