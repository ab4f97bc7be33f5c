"""Steps that wait for steps: names that nobody has, and circles."""

from __future__ import annotations

import pytest

from oci_push.language.parse import read_pipeline


def read(mode: str, **waits: str) -> tuple[list[str], list[str]]:
    """Read a pipeline of steps with the given ``when.steps``; give errors and warnings."""
    steps = "\n".join(
        f"  {name}: {{type: push, candidate: x{f', when: {{steps: {given}}}' if given else ''}}}"
        for name, given in waits.items()
    )
    reading = read_pipeline(f"version: '1.0'\nmode: {mode}\nsteps:\n{steps}\n", "p.yml")
    return [one.message for one in reading.errors], [one.message for one in reading.warnings]


@pytest.mark.parametrize(
    ("waits", "circle"),
    [
        ({"a": "[{name: a}]"}, "a -> a"),
        ({"a": "[{name: b}]", "b": "[{name: a}]"}, "a -> b -> a"),
        ({"a": "[{name: b}]", "b": "{all: [{name: c}]}", "c": "{any: [{name: b}]}"}, "b -> c -> b"),
        ({"a": "{any: [{name: b}, {name: c}]}", "b": "[{name: a}]", "c": "[{name: a}]"}, "a -> b -> a"),
    ],
)
def test_steps_in_a_circle_are_refused_in_parallel_mode(waits: dict[str, str], circle: str) -> None:
    assert read("parallel", **waits)[0] == [f"steps wait for each other: {circle}"]


@pytest.mark.parametrize(
    "waits",
    [
        {"a": "", "b": "[{name: a}]", "c": "[{name: a}, {name: b}]"},
        {"a": "{any: [{name: b}, {name: c}]}", "b": "[{name: a}]", "c": ""},
        {"a": "[{name: b, on: [pending]}]", "b": "[{name: a}]"},
        {"a": "{any: [{name: b}, {name: nowhere}]}", "b": "[{name: a}]"},
    ],
)
def test_steps_that_can_start_are_no_circle(waits: dict[str, str]) -> None:
    assert read("parallel", **waits)[0] == []


def test_a_sequence_has_no_circles() -> None:
    assert read("sequential", a="[{name: b}]", b="[{name: a}]")[0] == []


def test_a_step_behind_a_circle_is_not_told_as_well() -> None:
    assert len(read("parallel", a="[{name: b}]", b="[{name: a}]", c="[{name: a}]")[0]) == 1


def test_a_name_that_no_step_has_is_a_warning() -> None:
    assert read("parallel", build="", a="[{name: biuld}]") == (
        [],
        ['"name" is no step of this pipeline. Current value: biuld '],
    )


def test_children_of_groups_may_be_waited_for() -> None:
    text = """
version: '1.0'
mode: parallel
steps:
  fan: {type: parallel, steps: {one: {type: push, candidate: x}}}
  last: {type: push, candidate: x, when: {steps: [{name: one}]}}
"""
    reading = read_pipeline(text, "p.yml")
    assert (reading.errors, reading.warnings) == ((), ())


def test_a_group_that_waits_for_who_waits_for_its_child_is_a_circle() -> None:
    text = """
version: '1.0'
mode: parallel
steps:
  fan: {type: parallel, when: {steps: [{name: last}]}, steps: {one: {type: push, candidate: x}}}
  last: {type: push, candidate: x, when: {steps: [{name: one}]}}
"""
    assert [one.message for one in read_pipeline(text, "p.yml").errors] == [
        "steps wait for each other: fan -> last -> fan"
    ]
