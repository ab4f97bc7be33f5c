"""A rate lets so many through in any second, and the rest one after the other."""

from __future__ import annotations

from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.transport.limits import Rate


def _moments(rate: Rate, clock: FakeClock, count: int) -> list[float]:
    start, context, found = clock.time, Context(clock), []
    for _ in range(count):
        rate.wait(context)
        found.append(round(clock.time - start, 3))
    return found


def test_a_burst_passes_and_then_every_second_takes_its_number() -> None:
    assert _moments(Rate(10), FakeClock(), 21) == [0.0] * 10 + [1.0] * 10 + [2.0]


def test_a_pause_gives_the_burst_back() -> None:
    clock = FakeClock()
    rate = Rate(2)
    _moments(rate, clock, 2)
    clock.time += 5
    assert _moments(rate, clock, 2) == [0.0, 0.0]


def test_less_than_one_a_second_is_spaced_out() -> None:
    assert _moments(Rate(0.5), FakeClock(), 3) == [0.0, 2.0, 4.0]


def test_who_cleans_up_takes_a_turn_and_does_not_wait_for_it() -> None:
    clock = FakeClock()
    rate, context = Rate(1), Context(clock)
    rate.wait(context)
    rate.wait(context, urgent=True)
    assert clock.waits == []
    rate.wait(context)
    assert clock.waits == [2.0]
