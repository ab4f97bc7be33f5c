"""Groups of jobs on threads: order, bound, failure, nesting, and deadlines of blocked jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from oci_push.errors import Cancelled, DeadlineError, NetworkError, SourceError
from oci_push.runtime.clock import FakeClock, SystemClock
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import Outcome, attend, first_error, go, run_all, serve


@pytest.fixture
def context() -> Context:
    return Context(FakeClock())


def test_outcomes_come_in_the_order_of_the_jobs(context: Context) -> None:
    last = threading.Event()

    def first(_: Context) -> str:
        assert last.wait(120)
        return "first"

    def second(_: Context) -> str:
        last.set()
        return "second"

    assert [outcome.get() for outcome in run_all(context, [first, second], limit=2)] == ["first", "second"]


def test_no_jobs_give_no_outcomes(context: Context) -> None:
    assert run_all(context, [], limit=4) == []


@pytest.mark.parametrize("limit", [1, 3])
def test_never_more_than_the_limit_run_at_once(context: Context, limit: int) -> None:
    lock = threading.Lock()
    running, most = [0], [0]
    full = threading.Barrier(limit)

    def job(_: Context) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        full.wait(120)
        with lock:
            running[0] -= 1

    outcomes = run_all(context, [job] * (limit * 4), limit=limit)
    assert [outcome.error for outcome in outcomes] == [None] * (limit * 4)
    assert most[0] == limit


def test_failure_of_one_job_is_its_own(context: Context) -> None:
    error = SourceError("layer.tar: gone")

    def fail(_: Context) -> str:
        raise error

    outcomes = run_all(context, [fail, lambda _: "fine"], limit=1)
    assert (outcomes[0].error, outcomes[1].value) == (error, "fine")
    context.check()


def test_stop_on_error_gives_jobs_not_begun_the_same_error(context: Context) -> None:
    error = SourceError("layer.tar: gone")
    begun: list[int] = []

    def fail(_: Context) -> None:
        raise error

    def job(_: Context) -> None:
        begun.append(1)

    outcomes = run_all(context, [fail, job, job], limit=1, stop_on_error=True)
    assert [outcome.error for outcome in outcomes] == [error] * 3
    assert begun == []
    context.check()


def test_stop_on_error_wakes_a_blocked_sibling(context: Context) -> None:
    blocking = threading.Event()

    def blocked(inner: Context) -> None:
        woken = threading.Event()
        with inner.blocked(woken.set):
            blocking.set()
            assert woken.wait(120)
        inner.check()

    def fail(_: Context) -> None:
        assert blocking.wait(120)
        raise SourceError("gone")

    outcomes = run_all(context, [blocked, fail], limit=2, stop_on_error=True)
    assert [type(outcome.error) for outcome in outcomes] == [SourceError, SourceError]


def test_a_programming_mistake_stops_the_others(context: Context) -> None:
    def broken(_: Context) -> None:
        raise KeyError("x")

    outcomes = run_all(context, [broken, lambda _: None], limit=1)
    assert [type(outcome.error) for outcome in outcomes] == [KeyError, Cancelled]


def test_cancelled_scope_begins_no_job(context: Context) -> None:
    context.cancel(Cancelled(signal_number=15))
    outcomes = run_all(context, [lambda _: pytest.fail("begun")], limit=1)
    assert [outcome.error for outcome in outcomes] == [context.reason]


def test_nested_groups_do_not_wait_for_each_others_threads(context: Context) -> None:
    def outer(inner: Context) -> int:
        return sum(outcome.get() for outcome in run_all(inner, [lambda _: 1] * 4, limit=1))

    assert sum(outcome.get() for outcome in run_all(context, [outer] * 4, limit=1)) == 16


@pytest.mark.parametrize("jobs", [1, 3])
def test_deadline_ends_jobs_that_are_blocked(jobs: int) -> None:
    context = Context(SystemClock()).child(seconds=0.1, what="step p")

    def blocked(inner: Context) -> None:
        woken = threading.Event()
        with inner.blocked(woken.set):
            assert woken.wait(120)
        inner.check()

    outcomes = run_all(context, [blocked] * jobs, limit=jobs)
    assert [type(outcome.error) for outcome in outcomes] == [DeadlineError] * jobs


def test_deadline_that_a_job_set_itself_ends_it_while_blocked() -> None:
    def blocked(inner: Context) -> None:
        own = inner.child(seconds=0.1, what="blob")
        woken = threading.Event()
        with own.blocked(woken.set):
            assert woken.wait(120)
        own.check()

    outcomes = run_all(Context(SystemClock()), [blocked], limit=1)
    assert [type(outcome.error) for outcome in outcomes] == [DeadlineError]


def test_interrupted_wait_cancels_the_jobs() -> None:
    class Interrupting(FakeClock):
        def monotonic(self) -> float:
            if threading.current_thread() is threading.main_thread() and started.is_set():
                raise KeyboardInterrupt
            return super().monotonic()

    started, woken = threading.Event(), threading.Event()
    context = Context(Interrupting()).child(seconds=60)

    def blocked(inner: Context) -> None:
        with inner.blocked(woken.set):
            started.set()
            woken.wait(120)

    with pytest.raises(KeyboardInterrupt):
        run_all(context, [blocked], limit=1)
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


class TestServe:
    def test_gives_what_is_put_to_the_thread_that_called_in_order_and_then_the_result(self) -> None:
        taken: list[tuple[int, int]] = []

        def work(put: Callable[[int], None]) -> str:
            for number in range(5):
                put(number)
            return "done"

        here = threading.get_ident()
        done = serve(work, lambda n: taken.append((n, threading.get_ident())), on_tick=_nothing, on_break=_nothing)
        assert done == "done"
        assert taken == [(number, here) for number in range(5)]

    def test_raises_the_error_of_the_work(self) -> None:
        def fail(put: Callable[[object], None]) -> None:
            raise SourceError("gone")

        with pytest.raises(SourceError):
            serve(fail, _ignored, on_tick=_nothing, on_break=_nothing)

    def test_ticks_while_the_work_lasts(self) -> None:
        ticked = threading.Event()
        assert serve(lambda put: ticked.wait(120), _ignored, on_tick=ticked.set, on_break=_nothing)

    @pytest.mark.parametrize("kind", [LookupError, KeyboardInterrupt])
    def test_what_breaks_in_stops_the_work_is_waited_out_and_raised(self, kind: type[BaseException]) -> None:
        stop, ended = threading.Event(), threading.Event()

        def work(put: Callable[[int], None]) -> None:
            put(1)
            assert stop.wait(120)
            put(2)  # nobody hears it
            ended.set()

        def on_item(number: int) -> None:
            assert number == 1
            raise kind("of the listener")

        with pytest.raises(kind, match="of the listener"):
            serve(work, on_item, on_tick=_nothing, on_break=stop.set)
        assert ended.is_set()


def test_what_goes_is_run_on_a_thread_of_its_own() -> None:
    ran: list[int] = []
    done = threading.Event()

    def work() -> None:
        ran.append(threading.get_ident())
        done.set()

    go(work)
    assert done.wait(120)
    assert ran != [threading.get_ident()]


def _nothing() -> None: ...


def _ignored(item: object) -> None: ...
