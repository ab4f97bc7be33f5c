"""Who may send how much when: one gate for a host, one bandwidth for a run."""

from __future__ import annotations

import pytest

from oci_push.protocol.call import BytesBody
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Scope
from oci_push.transport.limits import Bandwidth, Gate


def test_a_refusal_halves_and_a_burst_of_them_halves_once() -> None:
    gate = Gate(16)
    for moment in (10.0, 10.1, 10.9):
        gate.slow_down(moment)
    assert gate.limit == 8
    gate.slow_down(11.1)
    assert gate.limit == 4


def test_at_least_one_is_let_in() -> None:
    gate = Gate(2)
    for moment in (10.0, 20.0, 30.0):
        gate.slow_down(moment)
    assert gate.limit == 1


def test_quiet_adds_one_at_a_time_up_to_the_limit() -> None:
    gate = Gate(4)
    gate.slow_down(10.0)
    limits = []
    for moment in (12.0, 15.0, 16.0, 20.0, 25.0, 30.0):
        gate.speed_up(moment)
        limits.append(gate.limit)
    assert limits == [2, 3, 3, 4, 4, 4]


def test_the_time_that_the_registry_asked_for_is_not_quiet() -> None:
    gate = Gate(4)
    gate.slow_down(10.0)
    gate.hold_until(40.0)
    gate.speed_up(41.0)
    assert gate.limit == 2


def test_a_measured_distance_does_not_undo_a_cut() -> None:
    gate = Gate(4)
    gate.slow_down(10.0)
    gate.set_limit(16)
    assert gate.limit == 2
    gate.speed_up(15.0)
    assert gate.limit == 3


@pytest.mark.case("RT-001")
def test_nobody_is_let_in_before_the_time_the_registry_named() -> None:
    clock, gate = FakeClock(), Gate(4)
    gate.hold_until(clock.monotonic() + 30)
    began = clock.monotonic()
    with gate.inside(Scope(clock)):
        assert clock.monotonic() - began == pytest.approx(30)


def test_bandwidth_bounds_all_bodies_together() -> None:
    clock, bandwidth = FakeClock(), Bandwidth(1000.0)
    scope, began = Scope(clock), clock.monotonic()
    sent = b"".join(bytes(block) for _ in range(2) for block in bandwidth.paced(BytesBody(b"x" * 5000), scope))
    assert len(sent) == 10_000
    assert clock.monotonic() - began == pytest.approx(10, abs=0.3)


def test_a_large_block_is_cut_so_that_no_pause_is_long() -> None:
    clock = FakeClock()
    for _ in Bandwidth(1000.0).paced(BytesBody(b"x" * 5000), Scope(clock)):
        pass
    assert max(clock.waits) <= 0.25


def test_no_bound_costs_no_wait_and_cuts_nothing() -> None:
    clock = FakeClock()
    blocks = list(Bandwidth().paced(BytesBody(b"x" * 5000), Scope(clock)))
    assert ([len(block) for block in blocks], clock.waits) == ([5000], [])
