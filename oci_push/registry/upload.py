"""One blob on its way into one repository, through everything that may break on the way.

A single request with a body is all or nothing: where it breaks, nobody knows what is kept. So a small blob goes in one
request and is sent again, as does one that is known to leave in seconds; a large one goes in chunks, and a break costs
no more than what the registry had not yet confirmed. The same way leads on after the process was killed
(`upload_store`). `upload_states` draws the states and what moves an upload between them. Here is what brings those
events about: in each state one thing is done, and after a failure the session is asked, unless the answer says to begin
anew; what it says is believed only where it is sure.

A stop (signal, time limit) in any state looks first, too: `abandoned_uploads` keeps what the registry keeps and closes
the rest.
"""

from __future__ import annotations

from collections.abc import Callable

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
from oci_push.protocol.uploads import UploadMethod, UploadSession, UploadStatus
from oci_push.registry import abandoned_uploads
from oci_push.registry.capabilities import LearntCapabilities
from oci_push.registry.counted_body import CountedBody
from oci_push.registry.upload_states import (
    Broke,
    Done,
    Event,
    InDoubt,
    Left,
    Opened,
    Opening,
    Resumed,
    Sending,
    Stands,
    State,
    Stored,
    Taken,
    after,
)
from oci_push.registry.upload_store import StoredUpload
from oci_push.runtime.context import Context
from oci_push.runtime.retry import Action, RetryPolicy, RetryState, decide
from oci_push.transport.session import Session


class Sent(Struct, frozen=True):
    """What an upload cost: `bytes_sent` over all attempts; `bytes_found` had come in an earlier run."""

    bytes_sent: int
    attempts: int
    bytes_found: int = 0


class _Tried(Struct, frozen=True):
    """What the last request with a body was."""

    method: UploadMethod = UploadMethod.MONOLITHIC
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
        capabilities: LearntCapabilities,
        *,
        given: UploadSession | None,
        entry: StoredUpload | None,
        emit: Emit,
    ) -> None:
        self._session = session
        self._repository = repository
        self._blob = blob
        self._body = body
        self._capabilities = capabilities
        self._entry = entry
        self._emit = emit
        self._state: State = after(Opening(), Opened(given)) if given else Opening()
        self._tried = _Tried()
        self._total = 0
        self._found = 0
        self._best = 0
        self._disputed = -1
        self._refusals = 0

    def run(self, context: Context, policy: RetryPolicy, random: Callable[[], float]) -> Sent:
        """Send the blob and close its upload. All its requests spend one budget; a chunk that arrived refills it."""
        policy = self._session.bounded(policy)
        retry_state = RetryState(
            policy, context.clock, random, has_answered=self._session.has_answered, behind_proxy=True
        )
        try:
            self._take_up(context)
            while not isinstance(self._state, Done):
                before = self._state
                try:
                    context.check()
                    self._move(self._do_next(context, before, retry_state))
                except OciPushError as error:
                    self._move(Broke(self._tried.size, self._tried.is_closing))
                    self._recover(context, before, error, retry_state)
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
            context.costs.sent(self._total)
            if self._entry:
                self._entry.release()
        return Sent(self._total, retry_state.attempt, self._found)

    def _move(self, event: Event) -> None:
        self._state = after(self._state, event)
        self._note()

    def _note(self) -> None:
        """Note for a later run how far the upload is."""
        if self._entry and isinstance(self._state, Sending):
            self._entry.note(self._state.upload, self._state.confirmed)

    def _take_up(self, context: Context) -> None:
        """Go on with what an earlier run has left, rather than with an upload that was opened just now."""
        found = self._entry.find() if self._entry else None
        if found is None:
            self._note()
            return
        if isinstance(self._state, Sending):
            abandoned_uploads.close(self._session, context, self._repository, self._state.upload)
            self._move(Left())
        # What was killed may have sent more than it could write down.
        self._move(Resumed(*found, self._blob.size))

    def _do_next(self, context: Context, state: State, retry_state: RetryState) -> Event:
        """Do what is next in a state, one request or a few, and return what came of it."""
        match state:
            case Opening():
                return self._open(context)
            case InDoubt():
                return self._ask(context, state, retry_state)
            case Sending():
                return self._send(context, state, retry_state)
            case Done():
                return Stored()

    def _open(self, context: Context) -> Event:
        """Open an upload, or send a small blob in the very request where the registry takes it."""
        if self._capabilities.takes_in_one_request(self._blob.size):
            body = self._counted(context, self._body, 0)
            try:
                upload = self._session.run_without_retry(
                    context, uploads.post_whole(self._repository, self._blob, body)
                )
            except RegistryError as error:
                if not 400 <= error.status < 500 or decide(error) is Action.REPEAT or error.status in (401, 403):
                    raise
                if _is_about_bytes(error):
                    raise
                self._capabilities.learn_single_post(works=False)
            else:
                self._capabilities.learn_single_post(works=upload is None)
                return Stored() if upload is None else Opened(upload)
        return Opened(self._session.run_without_retry(context, uploads.start(self._repository, self._blob.digest)))

    def _ask(self, context: Context, doubt: InDoubt, retry_state: RetryState) -> Event:
        """Find out where the upload stands, if it does. A registry that cannot say costs this request and no more."""
        status: UploadStatus | None = None
        is_gone = False
        try:
            status = self._session.run_without_retry(
                context, uploads.ask(self._repository, self._blob.digest, doubt.upload)
            )
        except RegistryError as error:
            if decide(error) is Action.REPEAT:
                raise
            is_gone = error.status == 404
        if status is not None and status.stored is not None and status.stored <= doubt.reached:
            self._capabilities.learn("resumes", True)
            self._arrived(status.stored, retry_state)
            if doubt.is_found:
                self._found = status.stored
                self._emit(UploadResumed(self._repository, self._blob.digest, status.stored, self._blob.size))
            return Stands(status.upload, status.stored)
        if (
            status is None
            and doubt.is_closing
            # Its last answer may be all that was lost.
            and self._session.run(context, blobs.exists(self._repository, self._blob))
        ):
            return Stored()
        if is_gone and not doubt.is_closing:
            self._capabilities.learn("resumes", False)
        if doubt.is_found:
            lost = "the registry did not keep what an earlier run had sent; all of it is sent"
            self._emit(LogMessage(f"{abandoned_uploads.what_of(self._repository, self._blob)}: {lost}", "warning"))
        if not is_gone:
            upload = status.upload if status else doubt.upload
            abandoned_uploads.close(self._session, context, self._repository, upload, is_stale=status is None)
        return self._begin_anew()

    def _send(self, context: Context, state: Sending, retry_state: RetryState) -> Event:
        """Send the next chunk, or close the upload with what is left."""
        left = self._blob.size - state.confirmed
        method = UploadMethod.MONOLITHIC
        if self._blob.size:
            method = self._capabilities.method_for(self._blob.size, state.upload)
        if method is UploadMethod.STREAMED and not state.confirmed:
            return self._patch(context, state, retry_state, _Tried(method, self._blob.size))
        in_chunks = method is UploadMethod.CHUNKED or state.confirmed
        if in_chunks and left > self._capabilities.closing_bytes(self._blob.size, state.upload):
            size = min(self._capabilities.chunk_bytes(state.upload), left)
            return self._patch(context, state, retry_state, _Tried(method, size))
        body = self._counted(context, Chunk(self._body, state.confirmed, left), state.confirmed) if left else EMPTY
        self._tried = _Tried(method, left, is_closing=True)
        closing = uploads.close(self._repository, self._blob, state.upload, body, state.confirmed)
        self._session.run_without_retry(context, closing)
        return Stored()

    def _patch(self, context: Context, state: Sending, retry_state: RetryState, tried: _Tried) -> Event:
        body = self._counted(context, Chunk(self._body, state.confirmed, tried.size), state.confirmed)
        self._tried = tried
        offset = None if tried.method is UploadMethod.STREAMED and not state.confirmed else state.confirmed
        flow = uploads.send_chunk(self._repository, self._blob.digest, state.upload, body, offset)
        status = self._session.run_without_retry(context, flow)
        self._session.note_speed(self._capabilities.measure(tried.size, body.seconds))
        # Only a Range that ends inside this chunk is believed: ECR's stands still after the first one.
        stored, end = status.stored, state.confirmed + tried.size
        confirmed = stored if stored is not None and state.confirmed < stored < end else end
        self._arrived(confirmed, retry_state)
        return Taken(status.upload, confirmed)

    def _recover(self, context: Context, before: State, error: OciPushError, retry_state: RetryState) -> None:
        """Decide how to go on after a failure in the state `before`, and wait; raises it where it is final.

        Where nothing else is done, the session is in doubt and will be asked.
        """
        context.check()
        action = decide(error)
        if isinstance(before, Sending):
            if isinstance(error, RegistryError) and self._adapts(before, action, error):
                if not before.confirmed:
                    self._close_and_begin_anew(context, before)
                return
            if action is Action.STOP and before.is_continued and _is_about_bytes(error):
                # What is wrong may be in the part that came before: all of it is sent once more.
                self._close_and_begin_anew(context, before)
                return
        if action not in (Action.REPEAT, Action.ASK, Action.RESTART):
            raise error
        retried = retry_state.spend(error)
        if isinstance(retried, OciPushError):
            if isinstance(retried, NetworkError):
                self._session.gave_up(retried)
            raise retried
        if isinstance(before, Sending):
            is_second = action is Action.ASK and self._disputed == before.confirmed
            self._disputed = before.confirmed if action is Action.ASK else -1
            if is_second:
                self._close_and_begin_anew(context, before)
            elif action is Action.RESTART and not self._tried.is_closing:
                self._move(self._begin_anew())
        if action is not Action.ASK:
            what = abandoned_uploads.what_of(self._repository, self._blob)
            self._emit(RetryScheduled(what, str(error), retried.attempt, retried.wait_s))
            context.costs.retry(retried.wait_s)
            context.sleep(retried.wait_s)

    def _adapts(self, before: Sending, action: Action, error: RegistryError) -> bool:
        """Return whether the answer asks for smaller chunks, or for another method, and there is one left to try.

        One refusal of a first chunk says little, unless it says that chunks are not known: a second one, in a session
        of its own, is a fact.
        """
        if error.status == 413:
            return self._capabilities.refuses_size(self._tried.method, self._tried.size, before.upload)
        if before.confirmed or before.is_continued or action is Action.REPEAT or _is_about_bytes(error):
            return False
        is_chunk = error.method == "PATCH" and action is not Action.ADAPT
        if is_chunk and not self._refusals:
            self._refusals += 1
            return action is Action.STOP and error.status in (400, 409, 422)
        is_about_method = is_chunk or action is Action.ADAPT
        return is_about_method and self._capabilities.refuses_method(self._tried.method, error)

    def _begin_anew(self) -> Event:
        """Forget the session, which is gone or closed: byte 0 is next."""
        self._found = 0
        self._disputed = -1
        return Left()

    def _close_and_begin_anew(self, context: Context, state: Sending) -> None:
        self._move(self._begin_anew())
        abandoned_uploads.close(self._session, context, self._repository, state.upload)

    def _leave(self, context: Context, error: BaseException) -> None:
        """Look after the session that is left behind: keep what a later run can go on with, else close it."""
        state = self._state
        if isinstance(state, Opening | Done):
            return
        is_ours = context.is_cancelled or isinstance(error, Cancelled | DeadlineError)
        may_go_on = is_ours or (isinstance(error, OciPushError) and decide(error) is Action.REPEAT)
        is_refused = isinstance(error, RegistryError) and 400 <= error.status < 500 and not may_go_on
        left = abandoned_uploads.AbandonedUpload(
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
        left.keep(context, self._entry, self._capabilities, self._emit)

    def _arrived(self, confirmed: int, retry_state: RetryState) -> None:
        self._refusals = 0
        if confirmed > self._best:
            self._best = confirmed
            retry_state.got_on()

    def _counted(self, context: Context, body: Body, offset: int) -> CountedBody:
        return CountedBody(body, offset, context.clock, self._count)

    def _count(self, size: int, position: int, *, is_told: bool) -> None:
        """Add to what has been sent, and tell listeners how far the blob is."""
        self._total += size
        if is_told:
            self._emit(BlobProgress(self._repository, self._blob.digest, position, self._blob.size))


def _is_about_bytes(error: OciPushError) -> bool:
    return isinstance(error, RegistryError) and not {"DIGEST_INVALID", "SIZE_INVALID"}.isdisjoint(error.codes)
