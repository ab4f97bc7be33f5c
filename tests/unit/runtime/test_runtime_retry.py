"""Retrying: how long, how often, what is never repeated."""

from __future__ import annotations

import pytest

from oci_push.errors import (
    Cancelled,
    CredentialsError,
    DeadlineError,
    DeniedError,
    ImmutableTagError,
    NetworkError,
    NotFoundError,
    OciPushError,
    RateLimitedError,
    RegistryError,
    SourceError,
    UnavailableError,
    UploadRejectedError,
)
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import Action, Retried, RetryPolicy, RetryState, attempts, decide

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
    return attempts(Context(clock), RetryState(policy, clock, lambda: 1.0), action, on_retry=on_retry)


def answer(kind: type[RegistryError], status: int, *codes: str, method: str = "PUT") -> RegistryError:
    return kind("reg.example: no", status=status, codes=codes, method=method)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (RESET, Action.REPEAT),
        (NetworkError("untrusted", transient=False), Action.STOP),
        (CredentialsError("no"), Action.STOP),
        (SourceError("cannot be read"), Action.STOP),
        (Cancelled(), Action.STOP),
        (DeadlineError("late"), Action.STOP),
        (answer(UnavailableError, 500), Action.REPEAT),
        (answer(UnavailableError, 503, method="PATCH"), Action.REPEAT),
        (answer(UnavailableError, 500, "UNKNOWN", method="POST"), Action.REPEAT),
        (answer(UnavailableError, 503, "UNAVAILABLE", "DENIED"), Action.STOP),
        (answer(RateLimitedError, 429), Action.REPEAT),
        (answer(RateLimitedError, 429, "DENIED"), Action.REPEAT),
        (answer(RateLimitedError, 403, "TOOMANYREQUESTS"), Action.REPEAT),
        (answer(UploadRejectedError, 400, "UNKNOWN"), Action.REPEAT),
        (answer(UploadRejectedError, 400, "UNKNOWN", "MANIFEST_INVALID"), Action.STOP),
        (answer(UploadRejectedError, 400), Action.STOP),
        (answer(UploadRejectedError, 400, "DIGEST_INVALID"), Action.STOP),
        (answer(UploadRejectedError, 400, "BLOB_UPLOAD_INVALID"), Action.RESTART),
        (answer(NotFoundError, 404, "BLOB_UPLOAD_UNKNOWN", method="PATCH"), Action.RESTART),
        (answer(NotFoundError, 404, method="GET"), Action.RESTART),
        (answer(NotFoundError, 404, "NAME_UNKNOWN"), Action.STOP),
        (answer(NotFoundError, 404, method="POST"), Action.STOP),
        (answer(DeniedError, 401), Action.STOP),
        (answer(DeniedError, 403, "UNKNOWN"), Action.STOP),
        (answer(RegistryError, 405, "UNSUPPORTED"), Action.ADAPT),
        (answer(RegistryError, 405, method="POST"), Action.STOP),
        (answer(UploadRejectedError, 413), Action.ADAPT),
        (answer(UploadRejectedError, 413, "SIZE_INVALID"), Action.ADAPT),
        (answer(UploadRejectedError, 416, method="PATCH"), Action.ASK),
        (answer(ImmutableTagError, 409, "TAG_ALREADY_EXISTS"), Action.STOP),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
@pytest.mark.case("RT-011", "RT-012")
def test_what_is_done_about_a_failure(error: OciPushError, action: Action) -> None:
    assert decide(error) is action


@pytest.mark.parametrize(("failed", "wait"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (5000, 30.0)])
def test_wait_doubles_up_to_the_cap(failed: int, wait: float) -> None:
    assert RetryPolicy().wait_s(failed, RESET, lambda: 1.0) == pytest.approx(wait)


def test_all_of_the_wait_is_random() -> None:
    assert [RetryPolicy().wait_s(3, RESET, lambda r=r: r) for r in (0.0, 0.25, 1.0)] == [0.0, 0.5, 2.0]  # type: ignore[misc]


@pytest.mark.parametrize("asked", [0.0, 7.0, 600.0])
@pytest.mark.case("RT-002")
def test_wait_that_the_registry_asked_for_is_never_cut_short(asked: float) -> None:
    error = RateLimitedError("slow", retry_after_s=asked)
    wait = RetryPolicy().wait_s(1, error, lambda: 0.5)
    assert asked < wait < asked + 1


def test_wait_asked_for_in_the_past_is_none() -> None:
    assert RetryPolicy().wait_s(1, RateLimitedError("slow", retry_after_s=-5.0), lambda: 0.0) >= 0


def spend(retry_state: RetryState, *errors: OciPushError) -> list[bool]:
    return [isinstance(retry_state.spend(error), Retried) for error in errors]


def test_a_budget_is_spent_by_failures_in_a_row() -> None:
    retry_state = RetryState(RetryPolicy(attempts=3), FakeClock(), lambda: 0.0)
    assert spend(retry_state, RESET, RESET) == [True, True]
    retry_state.got_on()
    assert spend(retry_state, RESET, RESET, RESET) == [True, True, False]


@pytest.mark.parametrize(("asked", "goes_on"), [(600.0, True), (601.0, False)])
def test_a_wait_beyond_the_cap_is_not_waited_for(asked: float, goes_on: bool) -> None:
    retry_state = RetryState(RetryPolicy(), FakeClock(), lambda: 0.0)
    assert spend(retry_state, UnavailableError("busy", retry_after_s=asked)) == [goes_on]


@pytest.mark.parametrize(
    ("error", "has_answered", "policy", "goes_on"),
    [
        (RESET, True, RetryPolicy(attempts=2, patience_s=60), True),
        (answer(UnavailableError, 503), True, RetryPolicy(attempts=2, patience_s=60), True),
        (answer(UnavailableError, 522), True, RetryPolicy(attempts=2, patience_s=60), True),
        (answer(UnavailableError, 500), True, RetryPolicy(attempts=2, patience_s=60), False),
        (RESET, False, RetryPolicy(attempts=2, patience_s=60), False),
        (RESET, True, RetryPolicy(attempts=2), False),
        (RESET, True, RetryPolicy(attempts=1, patience_s=60), False),
    ],
    ids=[
        "away",
        "away behind a proxy",
        "away behind a CDN",
        "there but failing",
        "never seen",
        "no patience",
        "no retries",
    ],
)
def test_only_a_registry_that_went_away_is_waited_for(
    error: OciPushError, has_answered: bool, policy: RetryPolicy, goes_on: bool
) -> None:
    clock = FakeClock()
    retry_state = RetryState(policy, clock, lambda: 0.0, has_answered=has_answered, behind_proxy=True)
    spend(retry_state, error)
    clock.time += 59
    assert spend(retry_state, error) == [goes_on]
    clock.time += 1
    assert spend(retry_state, error) == [False]


@pytest.mark.case("RT-007")
def test_a_single_request_does_not_wait_for_what_a_proxy_says() -> None:
    policy = RetryPolicy(attempts=2, patience_s=60)
    retry_state = RetryState(policy, FakeClock(), lambda: 0.0, has_answered=True)
    assert spend(retry_state, answer(UnavailableError, 503), answer(UnavailableError, 503)) == [True, False]


def test_an_error_that_was_given_up_says_after_how_many_attempts() -> None:
    with pytest.raises(NetworkError, match="reset; given up after 3 attempts"):
        run(FakeClock(), RetryPolicy(attempts=3), Flaky(*[NetworkError("reset") for _ in range(3)]))


def test_an_error_of_the_first_attempt_says_nothing_of_attempts() -> None:
    with pytest.raises(CredentialsError) as caught:
        run(FakeClock(), RetryPolicy(), Flaky(CredentialsError("no")))
    assert str(caught.value) == "no"


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
    assert str(caught.value) == "third; given up after 3 attempts"
    assert last.attempts == 1, "an error that exists is not edited: it may be told elsewhere too"
    assert action.calls == [1, 2, 3]


def test_what_will_not_pass_is_not_repeated() -> None:
    action = Flaky(CredentialsError("wrong password"))
    with pytest.raises(CredentialsError):
        run(FakeClock(), RetryPolicy(), action)
    assert action.calls == [1]


@pytest.mark.case("RT-010")
def test_wait_ends_at_the_deadline() -> None:
    clock = FakeClock()
    action = Flaky(UnavailableError("busy", retry_after_s=100.0))
    with pytest.raises(DeadlineError):
        attempts(Context(clock).child(seconds=5), RetryState(RetryPolicy(), clock, lambda: 0.0), action)
    assert action.calls == [1]


def test_cancelled_scope_begins_no_attempt() -> None:
    clock, action = FakeClock(), Flaky()
    context = Context(clock)
    context.cancel()
    with pytest.raises(Cancelled):
        attempts(context, RetryState(RetryPolicy(), clock, lambda: 0.0), action)
    assert action.calls == []


def test_what_a_stop_breaks_is_not_told_as_a_failure_that_will_be_tried_again() -> None:
    clock = FakeClock()
    context = Context(clock)
    told: list[Retried] = []

    def broken_by_the_stop(_: int) -> None:
        context.cancel(Cancelled("stopped by SIGINT", signal_number=2))
        raise NetworkError("the connection was closed before an answer came")

    with pytest.raises(Cancelled):
        attempts(context, RetryState(RetryPolicy(), clock, lambda: 0.0), broken_by_the_stop, on_retry=told.append)
    assert told == []
