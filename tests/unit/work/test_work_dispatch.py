"""What is done when: waits, limits, fairness between registries, and workers that go."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_work_files import unit

from oci_push.engine.unit import UnitResult
from oci_push.errors import Cancelled, NetworkError, SourceError
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.work.dispatch import MAX_LOST, Dispatcher
from oci_push.work.engine import Lost, Report
from oci_push.work.planning import in_waves
from oci_push.work.results import WorkResult
from oci_push.work.shards import Shard, share
from oci_push.work.units import WorkUnit


class ByHand:
    """An engine whose units end when, and as, a test says."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.obeys = True
        self.under_way: dict[str, WorkUnit] = {}
        self.begun: list[str] = []
        self.asked_to_stop: list[str] = []
        self._reports: list[Report] = []

    def submit(self, unit: WorkUnit) -> None:
        self.under_way[unit.key] = unit
        self.begun.append(path_of(unit))

    def wait(self, timeout_s: float) -> Sequence[Report]:
        found, self._reports = self._reports, []
        return found

    def cancel(self, key: str = "") -> None:
        for one in [key] if key else list(self.under_way):
            self.asked_to_stop.append(path_of(self.under_way[one]))
            if not self.obeys:
                continue
            self.end(self.under_way[one], Cancelled())

    def close(self) -> None:
        pass

    def end(self, unit: WorkUnit, error: Exception | None = None, *, learns: str = "") -> None:
        there = {Digest.of(learns.encode()): (unit.push.targets[0].repository,)} if learns else {}
        done = UnitResult(error=error)  # type: ignore[arg-type]
        self.under_way.pop(unit.key)
        self._reports.append(WorkResult(unit.key, unit.name, done, learned=there))

    def lose(self, unit: WorkUnit, *, has_begun: bool = True) -> None:
        self.under_way.pop(unit.key)
        self._reports.append(Lost(unit.key, "its worker was killed by signal 9", has_begun=has_begun))


def path_of(unit: WorkUnit) -> str:
    return unit.push.targets[0].repository.path


@pytest.fixture
def context() -> Context:
    return Context(FakeClock())


def test_one_brings_a_large_layer_and_the_others_are_told_where_it_is(context: Context) -> None:
    engine = ByHand(8)
    dispatcher = Dispatcher(engine)
    units = [unit(f"n{n}", large=["base"]) for n in range(4)]
    for one in units:
        dispatcher.add(one)
    assert engine.begun == ["n0"]
    engine.end(units[0], learns="base")
    dispatcher.turn(context)
    assert engine.begun == ["n0", "n1", "n2", "n3"]
    assert all(
        one.mounts == {Digest.of(b"base"): (Repository("a.example", "n0"),)} for one in engine.under_way.values()
    )


def test_nobody_waits_for_a_layer_that_its_first_unit_could_not_bring(context: Context) -> None:
    engine = ByHand(8)
    dispatcher = Dispatcher(engine)
    units = [unit(f"n{n}", large=["base"]) for n in range(3)]
    for one in units:
        dispatcher.add(one)
    engine.end(units[0], NetworkError("gone"))
    dispatcher.turn(context)
    assert engine.begun == ["n0", "n1", "n2"]


def test_another_brings_a_layer_where_the_image_that_was_to_is_not_there(context: Context) -> None:
    engine = ByHand(8)
    dispatcher = Dispatcher(engine)
    units = [unit(f"n{n}", large=["base"]) for n in range(4)]
    for one in units:
        dispatcher.add(one)
    for number in range(2):
        engine.end(units[number], SourceError("no such file"))
        dispatcher.turn(context)
        assert engine.begun == ["n0", "n1", "n2"][: number + 2]
    engine.end(units[2], learns="base")
    dispatcher.turn(context)
    assert engine.begun == ["n0", "n1", "n2", "n3"]
    engine.end(units[3])
    dispatcher.turn(context)
    assert dispatcher.is_idle


def test_a_registry_that_never_answers_leaves_half_of_the_places_to_another(context: Context) -> None:
    engine = ByHand(4)
    dispatcher = Dispatcher(engine)
    for number in range(20):
        dispatcher.add(unit(f"slow{number}", "slow.example"))
        dispatcher.add(unit(f"fast{number}", "fast.example"))
    for _ in range(20):
        for one in [one for one in engine.under_way.values() if one.hosts == ("fast.example",)]:
            engine.end(one)
        dispatcher.turn(context)
    assert sum(one.startswith("fast") for one in engine.begun) == 20
    assert sum(one.hosts == ("slow.example",) for one in engine.under_way.values()) == 4


def test_a_limit_holds_for_its_registry_alone() -> None:
    engine = ByHand(6)
    dispatcher = Dispatcher(engine, {"a.example": 1})
    for number in range(5):
        dispatcher.add(unit(f"a{number}", "a.example"))
        dispatcher.add(unit(f"b{number}", "b.example"))
    assert sorted(engine.begun) == ["a0", "b0", "b1", "b2", "b3", "b4"]


def test_a_unit_whose_worker_went_is_done_again_but_not_for_ever(context: Context) -> None:
    engine, ended = ByHand(1), []
    dispatcher = Dispatcher(engine)
    first = unit("n0")
    dispatcher.add(first, done=ended.append)
    for _ in range(MAX_LOST):
        engine.lose(first)
        dispatcher.turn(context)
    assert engine.begun == ["n0"] * MAX_LOST
    assert [str(one.error) for one in ended] == ["oci:n0 to a.example/n0:1: its worker was killed by signal 9"]
    assert dispatcher.is_idle


def test_a_worker_that_goes_before_it_begins_is_no_fault_of_its_unit(context: Context) -> None:
    engine = ByHand(1)
    dispatcher = Dispatcher(engine)
    first = unit("n0")
    dispatcher.add(first)
    for _ in range(4 * MAX_LOST):
        engine.lose(first, has_begun=False)
        dispatcher.turn(context)
    engine.end(first)
    dispatcher.turn(context)
    assert dispatcher.is_idle


def test_a_cancel_begins_nothing_more_and_ends_what_is_under_way(context: Context) -> None:
    engine, ended = ByHand(2), []
    dispatcher = Dispatcher(engine)
    for number in range(5):
        dispatcher.add(unit(f"n{number}"), done=ended.append)
    context.cancel(Cancelled("stopped", signal_number=2))
    dispatcher.work(context)
    assert engine.begun == ["n0", "n1"] == engine.asked_to_stop
    assert [one.is_stopped for one in ended] == [True] * 5


def test_the_same_unit_twice_is_done_again_after_the_first(context: Context) -> None:
    engine, ended = ByHand(2), []
    dispatcher = Dispatcher(engine)
    one = unit("n0")
    for _ in range(3):
        dispatcher.add(one, done=ended.append)
    for number in range(1, 4):
        assert engine.begun == ["n0"] * number
        engine.end(one)
        dispatcher.turn(context)
        assert len(ended) == number
    assert dispatcher.is_idle


def test_who_no_longer_wants_a_unit_takes_it_from_nobody_else(context: Context) -> None:
    engine, first, second = ByHand(1), [], []
    dispatcher = Dispatcher(engine)
    one = unit("n0")
    dispatcher.add(one, done=first.append)
    dispatcher.cancel(dispatcher.add(one, done=second.append), NetworkError("too late"))
    assert [str(result.error) for result in second] == ["too late"]
    assert not engine.asked_to_stop
    engine.end(one)
    dispatcher.turn(context)
    assert [result.error for result in first] == [None]
    assert dispatcher.is_idle


def test_a_worker_that_goes_while_its_unit_is_stopped_is_no_reason_to_do_that_again(context: Context) -> None:
    engine, ended = ByHand(1), []
    engine.obeys = False
    dispatcher = Dispatcher(engine)
    one = unit("n0")
    dispatcher.cancel(dispatcher.add(one, done=ended.append), NetworkError("too late"))
    assert engine.asked_to_stop == ["n0"]
    engine.lose(one)
    dispatcher.turn(context)
    assert engine.begun == ["n0"]
    assert [str(result.error) for result in ended] == ["too late"]


def test_a_unit_that_was_given_up_while_it_waited_never_begins(context: Context) -> None:
    engine, ended = ByHand(4), []
    dispatcher = Dispatcher(engine)
    seed, held = unit("n0", large=["base"]), unit("n1", large=["base"])
    dispatcher.add(seed)
    given_up = dispatcher.add(held, done=ended.append)
    dispatcher.add(held, done=ended.append)
    dispatcher.cancel(given_up, NetworkError("too late"))
    engine.end(seed, learns="base")
    dispatcher.turn(context)
    assert engine.begun == ["n0", "n1"]
    engine.end(held)
    dispatcher.turn(context)
    assert [str(one.error) for one in ended] == ["too late", "None"]
    assert dispatcher.is_idle


def test_a_cancel_ends_each_wish_for_a_unit_once(context: Context) -> None:
    engine, ended = ByHand(1), []
    dispatcher = Dispatcher(engine)
    for name in ("n0", "n1", "n1", "n2", "n1"):
        dispatcher.add(unit(name), done=ended.append)
    context.cancel(Cancelled("stopped", signal_number=2))
    dispatcher.work(context)
    assert engine.begun == ["n0"]
    assert sorted(one.name for one in ended) == [f"oci:{n} to a.example/{n}:1" for n in ("n0", "n1", "n1", "n1", "n2")]


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("pqrs"), max_size=3, unique=True), st.sampled_from(["a.example", "b.example"])
        ),
        max_size=30,
    ),
    st.integers(1, 40),
    st.sets(st.integers(0, 29)),
)
@settings(max_examples=100)
def test_every_shard_does_all_of_its_units_whoever_has_or_fails_those_that_they_were_to_follow(
    kinds, count: int, failing: set[int]
) -> None:
    units = in_waves(unit(f"n{number}", host, large) for number, (large, host) in enumerate(kinds))
    begun: list[str] = []
    for number in range(1, count + 1):
        engine = ByHand(3)
        dispatcher = Dispatcher(engine)
        for one in share(units, Shard(number, count)):
            dispatcher.add(one)
        while engine.under_way:
            for one in list(engine.under_way.values()):
                is_there = int(path_of(one)[1:]) not in failing
                engine.end(one, None if is_there else SourceError("no such file"))
            dispatcher.turn(Context(FakeClock()))
        assert dispatcher.is_idle
        begun += engine.begun
    assert sorted(begun) == sorted(path_of(one) for one in units)
