"""Who may send how much when: one gate for a host, one bandwidth for a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oci_push.errors import Cancelled
from oci_push.protocol.call import BytesBody
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.transport.limits import Bandwidth, ConcurrencyLimiter


def test_a_refusal_halves_and_a_burst_of_them_halves_once() -> None:
    limiter = ConcurrencyLimiter(16)
    for moment in (10.0, 10.1, 10.9):
        limiter.slow_down(moment)
    assert limiter.limit == 8
    limiter.slow_down(11.1)
    assert limiter.limit == 4


def test_at_least_one_is_let_in() -> None:
    limiter = ConcurrencyLimiter(2)
    for moment in (10.0, 20.0, 30.0):
        limiter.slow_down(moment)
    assert limiter.limit == 1


def test_quiet_adds_one_at_a_time_up_to_the_limit() -> None:
    limiter = ConcurrencyLimiter(4)
    limiter.slow_down(10.0)
    limits = []
    for moment in (12.0, 15.0, 16.0, 20.0, 25.0, 30.0):
        limiter.speed_up(moment)
        limits.append(limiter.limit)
    assert limits == [2, 3, 3, 4, 4, 4]


def test_the_time_that_the_registry_asked_for_is_not_quiet() -> None:
    limiter = ConcurrencyLimiter(4)
    limiter.slow_down(10.0)
    limiter.hold_until(40.0)
    limiter.speed_up(41.0)
    assert limiter.limit == 2


def test_a_measured_distance_does_not_undo_a_cut() -> None:
    limiter = ConcurrencyLimiter(4)
    limiter.slow_down(10.0)
    limiter.set_limit(16)
    assert limiter.limit == 2
    limiter.speed_up(15.0)
    assert limiter.limit == 3


@pytest.mark.case("RT-001")
def test_nobody_is_let_in_before_the_time_the_registry_named() -> None:
    clock, limiter = FakeClock(), ConcurrencyLimiter(4)
    limiter.hold_until(clock.monotonic() + 30)
    began = clock.monotonic()
    with limiter.inside(Context(clock)):
        assert clock.monotonic() - began == pytest.approx(30)


def test_bandwidth_bounds_all_bodies_together() -> None:
    clock, bandwidth = FakeClock(), Bandwidth(1000.0)
    context, began = Context(clock), clock.monotonic()
    sent = b"".join(bytes(block) for _ in range(2) for block in bandwidth.paced(BytesBody(b"x" * 5000), context))
    assert len(sent) == 10_000
    assert clock.monotonic() - began == pytest.approx(10, abs=0.3)


def test_a_large_block_is_cut_so_that_no_pause_is_long() -> None:
    clock = FakeClock()
    for _ in Bandwidth(1000.0).paced(BytesBody(b"x" * 5000), Context(clock)):
        pass
    assert max(clock.waits) <= 0.25


def test_no_bound_costs_no_wait_and_cuts_nothing() -> None:
    clock = FakeClock()
    blocks = list(Bandwidth().paced(BytesBody(b"x" * 5000), Context(clock)))
    assert ([len(block) for block in blocks], clock.waits) == ([5000], [])


def test_a_small_request_goes_past_large_ones_that_hold_every_place() -> None:
    limiter, context = ConcurrencyLimiter(2, spare=1), Context(FakeClock())
    with _held(limiter, 2), limiter.inside(context, small=True):
        assert limiter.busy == 3


def test_a_large_one_gets_no_spare_place_and_a_small_one_only_while_nothing_was_cut() -> None:
    limiter = ConcurrencyLimiter(2, spare=1)
    with _held(limiter, 2):
        assert not _is_let_in(limiter, small=False)
        assert _is_let_in(limiter, small=True)
        limiter.slow_down(10.0)
        assert not _is_let_in(limiter, small=True)


def test_without_spare_places_the_limit_is_the_limit() -> None:
    limiter = ConcurrencyLimiter(1)
    with _held(limiter, 1):
        assert not _is_let_in(limiter, small=True)


@contextmanager
def _held(limiter: ConcurrencyLimiter, count: int) -> Iterator[None]:
    """Hold places from threads of their own, as each has one at most."""
    ended, inside = threading.Event(), threading.Barrier(count + 1)

    def hold() -> None:
        with limiter.inside(Context(FakeClock())):
            inside.wait()
            ended.wait()

    threads = [threading.Thread(target=hold) for _ in range(count)]
    for thread in threads:
        thread.start()
    inside.wait()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _is_let_in(limiter: ConcurrencyLimiter, *, small: bool) -> bool:
    """Ask with a context that has been cancelled: who must wait is told so, and who need not is in."""
    context = Context(FakeClock())
    context.cancel()
    try:
        with limiter.inside(context, small=small):
            return True
    except Cancelled:
        return False
