"""What work costs is counted where it is done, and for whom it is done."""

from __future__ import annotations

import pytest

from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.costs import Cost, Costs
from oci_push.runtime.phases import timed
from oci_push.runtime.tasks import run_all


def test_a_phase_inside_another_is_not_counted_twice() -> None:
    clock, costs = FakeClock(), Costs()
    context = Context(clock)
    with costs.phase("outer", clock):
        context.sleep(1)
        with costs.phase("inner", clock):
            context.sleep(2)
        with costs.phase("outer", clock):
            context.sleep(4)
        context.sleep(8)
    assert costs.total().phases == {"outer": 13.0, "inner": 2.0}


def test_time_counts_also_where_the_work_fails() -> None:
    context = Context(FakeClock())

    @timed("blobs")
    def work(inner: Context) -> None:
        inner.sleep(3)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        work(context)
    assert context.costs.total().phases == {"blobs": 3.0}


def test_what_is_done_below_a_scope_adds_to_its_costs_and_to_those_above() -> None:
    context = Context(FakeClock())
    own, other = Costs(), Costs()
    inner = context.spending(own)
    context.spending(other).costs.request()
    for one in (inner, inner.child(), inner.lingering(1), inner.shielded(1)):
        one.costs.request()
    run_all(inner, [lambda one: one.costs.retry(0.5)] * 4, limit=2)
    context.costs.sent(7)
    assert own.total() == Cost(requests=4, retries=4, waited_s=2.0)
    assert other.total() == Cost(requests=1)
    assert context.costs.total() == Cost(requests=5, retries=4, waited_s=2.0, bytes_sent=7)


def test_a_scope_that_spends_ends_with_the_one_above() -> None:
    context = Context(FakeClock())
    inner = context.spending(Costs())
    context.cancel()
    assert inner.is_cancelled


def test_costs_add_up_phase_by_phase() -> None:
    first = Cost(1, 2, 0.5, 10, {"look": 1.0, "blobs": 2.0})
    assert first + Cost(1, 0, 0.5, 5, {"blobs": 1.0}) == Cost(2, 2, 1.0, 15, {"look": 1.0, "blobs": 3.0})
