"""Single flight: one makes, all get; failures and stale values are not kept."""

from __future__ import annotations

import threading

import pytest

from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import run_all


def test_value_is_made_once_and_given_to_all_who_ask_at_once() -> None:
    values: SingleFlight[str, object] = SingleFlight()
    made: list[object] = []
    together = threading.Barrier(8)

    def make() -> object:
        made.append(object())
        return made[-1]

    def ask(_: Context) -> object:
        together.wait(120)
        return values.get("token", make)

    outcomes = run_all(Context(FakeClock()), [ask] * 8, limit=8)
    assert len(made) == 1
    assert {id(outcome.get()) for outcome in outcomes} == {id(made[0])}


def test_keys_are_made_independently() -> None:
    values: SingleFlight[str, str] = SingleFlight()
    inner_done = threading.Event()

    def outer() -> str:
        values.get("b", lambda: "inner")
        inner_done.set()
        return "outer"

    assert values.get("a", outer) == "outer"
    assert inner_done.is_set()


def test_failure_is_not_kept() -> None:
    values: SingleFlight[str, str] = SingleFlight()

    def fail() -> str:
        raise OSError("first")

    with pytest.raises(OSError, match="first"):
        values.get("a", fail)
    assert values.get("a", lambda: "second") == "second"


def test_one_who_waited_for_a_failure_tries_itself() -> None:
    values: SingleFlight[str, str] = SingleFlight()
    making, failing = threading.Event(), threading.Event()

    def fail() -> str:
        making.set()
        assert failing.wait(120)
        raise OSError("the first one's own end")

    def first(_: Context) -> str:
        return values.get("a", fail)

    def second(_: Context) -> str:
        assert making.wait(120)
        failing.set()
        return values.get("a", lambda: "mine")

    outcomes = run_all(Context(FakeClock()), [first, second], limit=2)
    assert isinstance(outcomes[0].error, OSError)
    assert outcomes[1].get() == "mine"


def test_value_gone_bad_is_made_again() -> None:
    values: SingleFlight[str, int] = SingleFlight()
    values.get("a", lambda: 1)
    assert values.get("a", lambda: 2, lambda value: value > 1) == 2
    assert values.get("a", lambda: 3, lambda value: value > 1) == 2


def test_dropped_value_is_made_again() -> None:
    values: SingleFlight[str, int] = SingleFlight()
    values.get("a", lambda: 1)
    values.drop("a")
    assert values.peek("a") is None
    assert values.get("a", lambda: 2) == 2


def test_drop_of_a_value_that_was_replaced_does_nothing() -> None:
    values: SingleFlight[str, list[int]] = SingleFlight()
    old = values.get("a", lambda: [1])
    new = values.get("a", lambda: [2], lambda value: value is not old)
    values.drop("a", old)
    assert values.peek("a") is new


def test_items_lists_what_was_made() -> None:
    values: SingleFlight[str, int] = SingleFlight()
    values.get("a", lambda: 1)
    values.get("b", lambda: 2)
    assert sorted(values.items()) == [("a", 1), ("b", 2)]
