"""Retrying: how long, how often, what is never repeated."""

from __future__ import annotations

import pytest

from oci_push.errors import (
    Cancelled,
    CredentialsError,
    DeadlineError,
    NetworkError,
    OciPushError,
    RateLimitedError,
    UnavailableError,
)
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.retry import Retried, RetryPolicy, attempts
from oci_push.runtime.scope import Scope

RESET = NetworkError("reg.example: reset")


class Flaky:
    """Fail with the given errors, one each time, then succeed."""

    def __init__(self, *errors: OciPushError) -> None:
        self.errors = list(errors)
        self.calls: list[int] = []

    def __call__(self, attempt: int) -> str:
        self.calls.append(attempt)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def run(clock: FakeClock, policy: RetryPolicy, action: Flaky, told: list[Retried] | None = None) -> str:
    on_retry = told.append if told is not None else lambda _: None
    return attempts(Scope(clock), policy, action, random=lambda: 1.0, on_retry=on_retry)


@pytest.mark.parametrize(("failed", "wait"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (5000, 30.0)])
def test_wait_doubles_up_to_the_cap(failed: int, wait: float) -> None:
    assert RetryPolicy().wait_s(failed, RESET, lambda: 1.0) == pytest.approx(wait)


def test_half_of_the_wait_is_random() -> None:
    assert RetryPolicy().wait_s(2, RESET, lambda: 0.0) == pytest.approx(0.5)


@pytest.mark.parametrize("asked", [0.0, 7.0, 600.0])
def test_wait_that_the_registry_asked_for_is_never_cut_short(asked: float) -> None:
    error = RateLimitedError("slow", retry_after_s=asked)
    wait = RetryPolicy().wait_s(1, error, lambda: 0.5)
    assert asked < wait < asked + 1


def test_wait_asked_for_in_the_past_is_none() -> None:
    assert RetryPolicy().wait_s(1, RateLimitedError("slow", retry_after_s=-5.0), lambda: 0.0) >= 0


@pytest.mark.parametrize(
    ("error", "failed", "gives_up"),
    [
        (RESET, 4, False),
        (RESET, 5, True),
        (CredentialsError("no"), 1, True),
        (Cancelled(), 1, True),
        (DeadlineError("late"), 1, True),
        (NetworkError("untrusted", transient=False), 1, True),
        (UnavailableError("busy", retry_after_s=600.0), 1, False),
        (UnavailableError("busy", retry_after_s=601.0), 1, True),
    ],
)
def test_gives_up(error: OciPushError, failed: int, gives_up: bool) -> None:
    assert RetryPolicy().gives_up(failed, error) is gives_up


def test_success_needs_no_second_attempt() -> None:
    clock, action = FakeClock(), Flaky()
    assert run(clock, RetryPolicy(), action) == "done"
    assert (action.calls, clock.waits) == ([1], [])


def test_what_may_pass_is_repeated_and_told() -> None:
    clock, action = FakeClock(), Flaky(RESET, RESET)
    told: list[Retried] = []
    assert run(clock, RetryPolicy(), action, told) == "done"
    assert action.calls == [1, 2, 3]
    assert clock.waits == pytest.approx([0.5, 1.0])
    assert told == [Retried(1, 0.5, RESET), Retried(2, 1.0, RESET)]


def test_last_failure_is_raised_when_the_attempts_are_used_up() -> None:
    last = NetworkError("third")
    action = Flaky(RESET, RESET, last)
    with pytest.raises(NetworkError) as caught:
        run(FakeClock(), RetryPolicy(attempts=3), action)
    assert caught.value is last
    assert action.calls == [1, 2, 3]


def test_what_will_not_pass_is_not_repeated() -> None:
    action = Flaky(CredentialsError("wrong password"))
    with pytest.raises(CredentialsError):
        run(FakeClock(), RetryPolicy(), action)
    assert action.calls == [1]


def test_wait_ends_at_the_deadline() -> None:
    clock = FakeClock()
    action = Flaky(UnavailableError("busy", retry_after_s=100.0))
    with pytest.raises(DeadlineError):
        attempts(Scope(clock).child(seconds=5), RetryPolicy(), action, random=lambda: 0.0)
    assert action.calls == [1]


def test_cancelled_scope_begins_no_attempt() -> None:
    scope, action = Scope(FakeClock()), Flaky()
    scope.cancel()
    with pytest.raises(Cancelled):
        attempts(scope, RetryPolicy(), action, random=lambda: 0.0)
    assert action.calls == []
