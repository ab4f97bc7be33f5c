"""One manifest on its way to a tag or to its digest: look first, then act, then tell.

A PUT whose end is in doubt (its answer broke, shows another digest or none, came from a front end) may have been
carried out, and with other bytes than were sent. So what is there is read before anything else is done: the image means
success, what was there before that the PUT did not count, and anything else that the same PUT is sent once more. What
cannot be settled here is told in the error, which then is `in_doubt`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from oci_push.errors import (
    Cancelled,
    DeadlineError,
    NetworkError,
    OciPushError,
    ProtocolViolationError,
    RateLimitedError,
    RegistryError,
)
from oci_push.events import Emit, RetryScheduled
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Repository
from oci_push.protocol import endpoints, manifests
from oci_push.protocol.call import BytesBody
from oci_push.runtime.context import Context
from oci_push.runtime.retry import Action, RetryPolicy, RetryState, decide
from oci_push.transport.session import Session

SETTLE_S = 5.0
"""How long is found out, after a cancel, what became of a PUT that it cut off."""
_GARBLED = frozenset({"DIGEST_INVALID", "MANIFEST_INVALID", "MANIFEST_UNVERIFIED", "SIZE_INVALID"})
"""What a registry may say of a manifest that was changed on its way."""


class ManifestPush:
    """Put one manifest under one `target`; for one thread and one call of `run`.

    `before` is what the target named earlier; ``None``: nothing, or nobody has asked.
    """

    def __init__(
        self,
        session: Session,
        repository: Repository,
        manifest: Manifest,
        target: str,
        *,
        before: Digest | None,
        emit: Emit,
    ) -> None:
        self._session = session
        self._repository = repository
        self._manifest = manifest
        self._target = target
        self._before = before
        self._emit = emit
        self._body = WatchedBody(manifest.raw)
        self._in_doubt = False
        self._there: Digest | None = None
        self._has_been_refused = False

    def run(self, context: Context, policy: RetryPolicy, random: Callable[[], float]) -> bool:
        """Come back when the manifest is there; return whether its subject has been dealt with, as far as was told.

        All requests spend one budget: a PUT, and after it a look where that is needed.
        """
        policy = self._session.bounded(policy)
        retry_state = RetryState(policy, context.clock, random, has_answered=self._session.has_answered)
        while True:
            try:
                return self._put(context)
            except OciPushError as error:
                failure: OciPushError = error
            is_over = context.is_cancelled or isinstance(failure, Cancelled | DeadlineError)
            around = context.shielded(SETTLE_S) if is_over else context
            may_repeat = not is_over and self._may_repeat(failure)
            if self._in_doubt and self._is_there(around, urgent=is_over):
                return False
            retried = retry_state.spend(failure) if may_repeat and not self._is_alias() else failure
            if isinstance(retried, OciPushError):
                if self._in_doubt and self._is_stray() and retry_state.attempt == 1 and self._repair(around):
                    return False
                if isinstance(retried, NetworkError):
                    self._session.gave_up(retried)
                # A cancel broke the connection: it is the reason, not that.
                raise (context.reason or retried).with_doubt(self._in_doubt)
            what = endpoints.manifest_name(self._repository, self._target)
            self._emit(RetryScheduled(what, str(failure), retried.attempt, retried.wait_s))
            context.costs.retry(retried.wait_s)
            try:
                context.sleep(retried.wait_s)
            except OciPushError as stopped:
                raise stopped.with_doubt(self._in_doubt) from stopped

    def _put(self, context: Context) -> bool:
        self._body.has_left = False
        try:
            return self._session.run_without_retry(
                context, manifests.put(self._repository, self._manifest, self._target, self._body)
            )
        except OciPushError as error:
            self._in_doubt = self._in_doubt or (self._body.has_left and proves_nothing(error))
            raise

    def _is_there(self, context: Context, *, urgent: bool) -> bool:
        """Look, and say whether it is what was sent; a look that fails leaves the doubt as it is."""
        try:
            self._there = self._session.run_without_retry(
                context, manifests.where(self._repository, self._target, self._manifest, urgent=urgent)
            )
        except OciPushError:
            return False
        self._in_doubt = self._is_stray()
        return self._there == self._manifest.digest

    def _is_stray(self) -> bool:
        return self._there not in (None, self._before)

    def _is_alias(self) -> bool:
        """Return whether the right bytes are there under a name of another algorithm, which no repeating changes."""
        return self._there == Digest.of(self._manifest.raw) != self._manifest.digest

    def _repair(self, context: Context) -> bool:
        """Send it once more although no retry is left: something is there that nobody wants."""
        try:
            self._put(context)
        except OciPushError:
            return self._is_there(context, urgent=True)
        return True

    def _may_repeat(self, failure: OciPushError) -> bool:
        """Return whether to go on after a failure: in doubt, where it may pass, and once where it may be garbled."""
        if self._in_doubt or decide(failure) is Action.REPEAT:
            return True
        is_garbled = isinstance(failure, RegistryError) and not _GARBLED.isdisjoint(failure.codes)
        is_first, self._has_been_refused = not self._has_been_refused, True
        return is_garbled and is_first


def proves_nothing(error: OciPushError) -> bool:
    """Return whether a request that has left may have been carried out all the same."""
    if isinstance(error, RateLimitedError):
        return False
    if isinstance(error, RegistryError):
        return isinstance(error, ProtocolViolationError) or error.transient or error.status >= 500
    return isinstance(error, NetworkError | Cancelled | DeadlineError)


class WatchedBody:
    """Send a manifest's bytes, and know whether any were asked for: before that nothing can have come of it."""

    def __init__(self, data: bytes) -> None:
        self._bytes = BytesBody(data)
        self.has_left = False

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self._bytes.size

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Pass the bytes on."""
        self.has_left = True
        yield from self._bytes.blocks(start)
