"""Groups of jobs on threads: order, bound, failure, nesting, and deadlines of blocked jobs."""

from __future__ import annotations

import threading

import pytest

from oci_push.errors import Cancelled, DeadlineError, NetworkError, SourceError
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Scope
from oci_push.runtime.tasks import Outcome, attend, first_error, run_all


@pytest.fixture
def scope() -> Scope:
    return Scope(FakeClock())


def test_outcomes_come_in_the_order_of_the_jobs(scope: Scope) -> None:
    last = threading.Event()

    def first(_: Scope) -> str:
        assert last.wait(120)
        return "first"

    def second(_: Scope) -> str:
        last.set()
        return "second"

    assert [outcome.get() for outcome in run_all(scope, [first, second], limit=2)] == ["first", "second"]


def test_no_jobs_give_no_outcomes(scope: Scope) -> None:
    assert run_all(scope, [], limit=4) == []


@pytest.mark.parametrize("limit", [1, 3])
def test_never_more_than_the_limit_run_at_once(scope: Scope, limit: int) -> None:
    lock = threading.Lock()
    running, most = [0], [0]
    full = threading.Barrier(limit)

    def job(_: Scope) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        full.wait(120)
        with lock:
            running[0] -= 1

    outcomes = run_all(scope, [job] * (limit * 4), limit=limit)
    assert [outcome.error for outcome in outcomes] == [None] * (limit * 4)
    assert most[0] == limit


def test_failure_of_one_job_is_its_own(scope: Scope) -> None:
    error = SourceError("layer.tar: gone")

    def fail(_: Scope) -> str:
        raise error

    outcomes = run_all(scope, [fail, lambda _: "fine"], limit=1)
    assert (outcomes[0].error, outcomes[1].value) == (error, "fine")
    scope.check()


def test_stop_on_error_gives_jobs_not_begun_the_same_error(scope: Scope) -> None:
    error = SourceError("layer.tar: gone")
    begun: list[int] = []

    def fail(_: Scope) -> None:
        raise error

    def job(_: Scope) -> None:
        begun.append(1)

    outcomes = run_all(scope, [fail, job, job], limit=1, stop_on_error=True)
    assert [outcome.error for outcome in outcomes] == [error] * 3
    assert begun == []
    scope.check()


def test_stop_on_error_wakes_a_blocked_sibling(scope: Scope) -> None:
    blocking = threading.Event()

    def blocked(inner: Scope) -> None:
        woken = threading.Event()
        with inner.blocked(woken.set):
            blocking.set()
            assert woken.wait(120)
        inner.check()

    def fail(_: Scope) -> None:
        assert blocking.wait(120)
        raise SourceError("gone")

    outcomes = run_all(scope, [blocked, fail], limit=2, stop_on_error=True)
    assert [type(outcome.error) for outcome in outcomes] == [SourceError, SourceError]


def test_a_programming_mistake_stops_the_others(scope: Scope) -> None:
    def broken(_: Scope) -> None:
        raise KeyError("x")

    outcomes = run_all(scope, [broken, lambda _: None], limit=1)
    assert [type(outcome.error) for outcome in outcomes] == [KeyError, Cancelled]


def test_cancelled_scope_begins_no_job(scope: Scope) -> None:
    scope.cancel(Cancelled(signal_number=15))
    outcomes = run_all(scope, [lambda _: pytest.fail("begun")], limit=1)
    assert [outcome.error for outcome in outcomes] == [scope.reason]


def test_nested_groups_do_not_wait_for_each_others_threads(scope: Scope) -> None:
    def outer(inner: Scope) -> int:
        return sum(outcome.get() for outcome in run_all(inner, [lambda _: 1] * 4, limit=1))

    assert sum(outcome.get() for outcome in run_all(scope, [outer] * 4, limit=1)) == 16


@pytest.mark.parametrize("jobs", [1, 3])
def test_deadline_ends_jobs_that_are_blocked(jobs: int) -> None:
    scope = Scope(SystemClock()).child(seconds=0.1, what="step p")

    def blocked(inner: Scope) -> None:
        woken = threading.Event()
        with inner.blocked(woken.set):
            assert woken.wait(120)
        inner.check()

    outcomes = run_all(scope, [blocked] * jobs, limit=jobs)
    assert [type(outcome.error) for outcome in outcomes] == [DeadlineError] * jobs


def test_deadline_that_a_job_set_itself_ends_it_while_blocked() -> None:
    def blocked(inner: Scope) -> None:
        own = inner.child(seconds=0.1, what="blob")
        woken = threading.Event()
        with own.blocked(woken.set):
            assert woken.wait(120)
        own.check()

    outcomes = run_all(Scope(SystemClock()), [blocked], limit=1)
    assert [type(outcome.error) for outcome in outcomes] == [DeadlineError]


def test_interrupted_wait_cancels_the_jobs() -> None:
    class Interrupting(FakeClock):
        def monotonic(self) -> float:
            if threading.current_thread() is threading.main_thread() and started.is_set():
                raise KeyboardInterrupt
            return super().monotonic()

    started, woken = threading.Event(), threading.Event()
    scope = Scope(Interrupting()).child(seconds=60)

    def blocked(inner: Scope) -> None:
        with inner.blocked(woken.set):
            started.set()
            woken.wait(120)

    with pytest.raises(KeyboardInterrupt):
        run_all(scope, [blocked], limit=1)
    assert woken.wait(120)


class TestFirstError:
    def test_is_none_when_all_is_well(self) -> None:
        assert first_error([Outcome(1), Outcome(2)]) is None

    def test_passes_over_the_echo_of_a_cancel(self) -> None:
        real = NetworkError("reset")
        assert first_error([Outcome(error=Cancelled()), Outcome(error=real)]) is real

    def test_prefers_a_programming_mistake(self) -> None:
        broken = KeyError("x")
        assert first_error([Outcome(error=NetworkError("reset")), Outcome(error=broken)]) is broken

    def test_gives_the_cancel_when_there_is_nothing_else(self) -> None:
        echo = Cancelled()
        assert first_error([Outcome(1), Outcome(error=echo)]) is echo


class TestAttend:
    def test_gives_the_value(self) -> None:
        assert attend(lambda: 7, lambda: None).get() == 7

    def test_gives_the_error_as_an_outcome(self) -> None:
        def fail() -> None:
            raise SourceError("gone")

        with pytest.raises(SourceError):
            attend(fail, lambda: None).get()

    def test_ticks_while_the_work_lasts(self) -> None:
        ticked = threading.Event()
        assert attend(lambda: ticked.wait(120), ticked.set).get()
