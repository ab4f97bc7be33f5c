"""Retrying as data: what is done about a failure, how often, and how long to wait in between.

One table (`RULES`) turns a failure into an `Action`; it is all there is to say about what may be repeated. There are
three owners, never nested: a *call* (one idempotent request), a *blob* (one upload with all its requests) and a *step*
(the pipeline's `retry` block). The first two spend a `RetryState`; an upload's requests spend the upload's only.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from oci_push.errors import NetworkError, OciPushError, RegistryError
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context

T = TypeVar("T")


class Action(enum.Enum):
    """What is done about a failure. A single call knows only `REPEAT`; everything else ends it."""

    STOP = "stop"
    REPEAT = "repeat"
    """Wait, then send it again; an upload first asks its session how far it got."""
    ASK = "ask"
    """The two sides disagree about the offset: ask the session, go on from there at once."""
    RESTART = "restart"
    """The upload's session is gone or spoilt: open another and begin at byte 0."""
    ADAPT = "adapt"
    """Not so many bytes at once, or not in this form: send them otherwise."""


_AWAY = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 530})
"""What a proxy or a CDN says while nobody is behind it."""
_SESSION_LOST = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"})
_PASSING = frozenset({"UNKNOWN", "UNAVAILABLE", "TOOMANYREQUESTS"})
_FINAL = frozenset(
    {
        "BLOB_UNKNOWN", "DENIED", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN",
        "MANIFEST_UNVERIFIED", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "TAG_ALREADY_EXISTS", "TAG_INVALID",
        "UNAUTHORIZED",
    }
)  # fmt: skip
_UPLOADING = frozenset({"PATCH", "PUT", "GET"})


class Rule(Struct, frozen=True):
    """Match an answer: empty sets match everything; `only` asks that every code be among `codes`, not just one."""

    action: Action
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    only: bool = False

    def matches(self, error: RegistryError) -> bool:
        """Return whether the rule is about this answer."""
        if self.statuses and error.status not in self.statuses:
            return False
        if self.methods and error.method not in self.methods:
            return False
        if self.only:
            return bool(error.codes) and self.codes.issuperset(error.codes)
        return not self.codes or not self.codes.isdisjoint(error.codes)


RULES: tuple[Rule, ...] = (
    Rule(Action.REPEAT, statuses=frozenset({429})),
    Rule(Action.REPEAT, codes=frozenset({"TOOMANYREQUESTS"}), only=True),
    Rule(Action.ADAPT, statuses=frozenset({413})),
    Rule(Action.ASK, statuses=frozenset({416}), methods=_UPLOADING),
    # A digest or name that is wrong stays wrong, whatever status it comes with and whatever else is said.
    Rule(Action.STOP, codes=_FINAL),
    Rule(Action.STOP, statuses=frozenset({401, 403})),
    Rule(Action.RESTART, codes=_SESSION_LOST, methods=_UPLOADING, only=True),
    Rule(Action.RESTART, statuses=frozenset({404}), methods=_UPLOADING),
    Rule(Action.ADAPT, statuses=frozenset({405, 415, 501}), methods=_UPLOADING),
    Rule(Action.ADAPT, codes=frozenset({"UNSUPPORTED"}), methods=_UPLOADING),
    Rule(Action.STOP, statuses=frozenset({404, 405})),
    # Some registries say 400 or 409 for what is their own trouble; the code tells.
    Rule(Action.REPEAT, codes=_PASSING, only=True),
)
"""The first rule that matches an answer decides; where none does, the error's own `transient` does."""


def decide(error: OciPushError) -> Action:
    """Return what is to be done about a failure."""
    if isinstance(error, RegistryError):
        for rule in RULES:
            if rule.matches(error):
                return rule.action
    return Action.REPEAT if error.transient else Action.STOP


class RetryPolicy(Struct, frozen=True):
    """Bound the attempts of one thing: `attempts` in a row without getting on, waits of up to `base_s`·2ⁿ, `cap_s`.

    The wait is drawn evenly from nothing up to its bound (full jitter), so that many who failed together do not come
    back together. What a registry asks for in Retry-After is never cut short; beyond `server_cap_s` we give up
    rather than wait. `patience_s` goes on beyond `attempts` while a registry that had answered before is away.
    """

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 30.0
    server_cap_s: float = 600.0
    patience_s: float = 0.0

    def wait_s(self, failed_attempts: int, error: OciPushError, random: Callable[[], float]) -> float:
        """Return the wait after the n-th failure; `random` returns numbers from 0 up to 1."""
        asked = error.retry_after_s if isinstance(error, RegistryError) else None
        doubled = self.base_s * 2.0 ** min(failed_attempts - 1, 64)  # beyond 1023 a float overflows
        jittered = min(self.cap_s, doubled) * random()
        return max(asked, 0.0) + jittered * 0.1 if asked is not None else jittered


class Retried(Struct, frozen=True):
    """An attempt that failed and another follows after `wait_s` seconds."""

    attempt: int
    wait_s: float
    error: OciPushError


class RetryState:
    """Count the failures of one thing since it last got on; for one thread.

    `has_answered` says that the other side was there before: only then is its absence waited out, and with
    `behind_proxy` also what a proxy says in its place.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        clock: Clock,
        random: Callable[[], float],
        *,
        has_answered: bool = False,
        behind_proxy: bool = False,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._random = random
        self._has_answered = has_answered
        self._behind_proxy = behind_proxy
        self._failed = 0
        self._since = clock.monotonic()
        self.attempt = 1

    def got_on(self) -> None:
        """Begin to count anew: something was achieved that no failure takes back."""
        self._failed = 0
        self._since = self._clock.monotonic()

    def spend(self, error: OciPushError) -> Retried | OciPushError:
        """Count a failure; return the wait before the next attempt, or the error to raise when this was the last.

        What another budget was spent on, as that of a token's request inside a call, is not tried again here.
        """
        self._failed += 1
        if error.attempts > 1:
            return error
        if self._is_spent(error):
            return error.with_attempts(self.attempt)
        self.attempt += 1
        return Retried(self.attempt - 1, self._policy.wait_s(self._failed, error, self._random), error)

    def _is_spent(self, error: OciPushError) -> bool:
        asked = error.retry_after_s if isinstance(error, RegistryError) else None
        if asked is not None and asked > self._policy.server_cap_s:
            return True
        if self._failed < self._policy.attempts:
            return False
        waited = self._clock.monotonic() - self._since
        is_away = (isinstance(error, NetworkError) and error.is_away) or (
            self._behind_proxy and isinstance(error, RegistryError) and error.status in _AWAY
        )
        is_patient = self._has_answered and self._policy.attempts > 1 and is_away
        return not is_patient or waited >= self._policy.patience_s


def attempts(
    context: Context,
    retry_state: RetryState,
    action: Callable[[int], T],
    *,
    on_retry: Callable[[Retried], None] = lambda _: None,
) -> T:
    """Call `action(attempt)`, counting from 1, until it succeeds, fails for good, or the budget is spent."""
    while True:
        context.check()
        try:
            return action(retry_state.attempt)
        except OciPushError as error:
            context.check()  # what a stop breaks is not tried again, and is not said to be
            retried = retry_state.spend(error) if decide(error) is Action.REPEAT else error
            if isinstance(retried, OciPushError):
                raise retried from error.__cause__
        on_retry(retried)
        context.costs.retry(retried.wait_s)
        context.sleep(retried.wait_s)
