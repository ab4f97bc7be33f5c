"""Scopes: cancel, deadline and waiting, on a clock that the test moves."""

from __future__ import annotations

import threading

import pytest

from oci_push.errors import Cancelled, DeadlineError, NetworkError
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


def test_fresh_scope_lets_work_go_on(clock: FakeClock) -> None:
    context = Context(clock)
    context.check()
    assert not context.is_cancelled


class TestCancel:
    def test_reason_is_raised_by_every_check_below(self, clock: FakeClock) -> None:
        root = Context(clock)
        grandchild = root.child().child()
        reason = NetworkError("reg.example: reset")
        root.cancel(reason)
        with pytest.raises(NetworkError) as caught:
            grandchild.check()
        assert caught.value is reason

    def test_without_a_reason_it_is_cancelled(self, clock: FakeClock) -> None:
        context = Context(clock)
        context.cancel()
        with pytest.raises(Cancelled):
            context.check()

    def test_first_reason_stays(self, clock: FakeClock) -> None:
        context = Context(clock)
        first = NetworkError("first")
        context.cancel(first)
        context.cancel(NetworkError("second"))
        assert context.reason is first

    def test_child_does_not_end_its_parent(self, clock: FakeClock) -> None:
        root = Context(clock)
        root.child().cancel()
        root.check()

    def test_child_of_a_cancelled_scope_is_born_cancelled(self, clock: FakeClock) -> None:
        root = Context(clock)
        root.cancel()
        assert root.child().is_cancelled

    def test_shielded_scope_outlives_the_cancel_for_its_time(self, clock: FakeClock) -> None:
        root = Context(clock, what="step p")
        root.cancel()
        shield = root.shielded(3)
        shield.check()
        clock.time += 3
        with pytest.raises(DeadlineError, match="step p"):
            shield.check()


class TestBlocked:
    def test_cancel_wakes_every_blocked_thread_below(self, clock: FakeClock) -> None:
        root = Context(clock)
        woken: list[str] = []
        with root.child().blocked(lambda: woken.append("one")), root.child().blocked(lambda: woken.append("two")):
            root.cancel()
        assert sorted(woken) == ["one", "two"]

    def test_waker_is_forgotten_after_the_block(self, clock: FakeClock) -> None:
        context = Context(clock)
        woken: list[str] = []
        with context.blocked(lambda: woken.append("late")):
            pass
        context.cancel()
        assert woken == []

    def test_inner_block_hides_the_outer_one_and_gives_it_back(self, clock: FakeClock) -> None:
        context = Context(clock)
        woken: list[str] = []
        with context.blocked(lambda: woken.append("outer")):
            with context.blocked(lambda: woken.append("inner")):
                pass
            context.cancel()
        assert woken == ["outer"]

    def test_cancelled_scope_lets_nobody_block(self, clock: FakeClock) -> None:
        context = Context(clock)
        context.cancel()
        with pytest.raises(Cancelled), context.blocked(lambda: None):
            pytest.fail("the block was entered")

    def test_two_threads_are_both_woken(self, clock: FakeClock) -> None:
        context = Context(clock)
        ready = threading.Barrier(3)
        woken = [threading.Event(), threading.Event()]

        def wait(event: threading.Event) -> None:
            with context.blocked(event.set):
                ready.wait(120)
                assert event.wait(120)

        threads = [threading.Thread(target=wait, args=(event,)) for event in woken]
        for thread in threads:
            thread.start()
        ready.wait(120)
        context.cancel()
        for thread in threads:
            thread.join(120)
        assert all(event.is_set() for event in woken)


class TestDeadline:
    def test_ends_the_work_and_names_it(self, clock: FakeClock) -> None:
        context = Context(clock).child(seconds=5, what="step deploy")
        clock.time += 4.9
        context.check()
        clock.time += 0.1
        with pytest.raises(DeadlineError, match="step deploy: time limit exceeded"):
            context.check()

    def test_parents_earlier_deadline_counts(self, clock: FakeClock) -> None:
        child = Context(clock).child(seconds=5).child(seconds=50)
        assert child.remaining(100) == pytest.approx(5)

    def test_own_earlier_deadline_counts(self, clock: FakeClock) -> None:
        child = Context(clock).child(seconds=50).child(seconds=5)
        assert child.remaining(100) == pytest.approx(5)

    def test_remaining_is_cut_to_what_is_asked(self, clock: FakeClock) -> None:
        assert Context(clock).child(seconds=50).remaining(7) == 7
        assert Context(clock).remaining(7) == 7

    def test_expire_does_nothing_before_the_deadline(self, clock: FakeClock) -> None:
        context = Context(clock).child(seconds=5)
        context.expire()
        assert not context.is_cancelled

    def test_expire_wakes_what_is_blocked(self, clock: FakeClock) -> None:
        context = Context(clock).child(seconds=5)
        woken: list[str] = []
        with context.blocked(lambda: woken.append("socket")):
            clock.time += 5
            context.expire()
        assert woken == ["socket"]

    def test_expire_of_a_scope_ends_those_below_whose_time_is_over(self, clock: FakeClock) -> None:
        root = Context(clock)
        short, long = root.child().child(seconds=5), root.child(seconds=50)
        clock.time += 5
        root.expire()
        assert (short.is_cancelled, long.is_cancelled, root.is_cancelled) == (True, False, False)


class TestSleep:
    def test_takes_exactly_its_time(self, clock: FakeClock) -> None:
        Context(clock).sleep(12)
        assert clock.waits == [12]

    def test_of_no_time_does_not_wait(self, clock: FakeClock) -> None:
        Context(clock).sleep(0)
        assert clock.waits == []

    def test_ends_at_the_deadline(self, clock: FakeClock) -> None:
        context = Context(clock).child(seconds=5)
        with pytest.raises(DeadlineError):
            context.sleep(60)
        assert clock.time == pytest.approx(1005.0)

    def test_ends_on_cancel_with_the_reason(self, clock: FakeClock) -> None:
        class Cancelling(FakeClock):
            def wait(self, flag: threading.Event, seconds: float | None) -> bool:
                context.cancel(NetworkError("sibling failed"))
                return flag.is_set()

        context = Context(Cancelling())
        with pytest.raises(NetworkError, match="sibling failed"):
            context.sleep(60)
