"""What is read without Typer is what Typer would read; and whatever it would refuse is left to it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oci_push.cli.app import COMMANDS, command_of
from oci_push.cli.typed import application, every_command
from oci_push.cli.words import Argument, Option, Parameter, call, parameters, read

LEAVES = list(every_command(COMMANDS))
TAKES = {path: parameters(command_of(place)) for path, place in LEAVES}
WORDS = [
    "a",
    "-",
    "--",
    "",
    "1",
    "0",
    "-1",
    "1.5",
    "nan",
    "1e3",
    "٣",
    "x=y",
    "--help",
    "-h",
    "-q",
    "-qj",
    "-j4",
    "a b",
    "é",
]


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Undo what ``--debug`` does to the log of this process."""
    log = logging.getLogger("oci_push")
    level, handlers = log.level, list(log.handlers)
    yield
    log.setLevel(level)
    log.handlers[:] = handlers


def by_typer(path: Sequence[str], words: Sequence[str]) -> dict[str, Any] | None:
    """Return what Typer gives the command, defaults left out; ``None`` where it does not call it."""
    called: list[dict[str, Any]] = []
    place = dict(LEAVES)[tuple(path)]

    def taking(**given: Any) -> None:
        called.append(given)

    taking.__signature__ = signature(command_of(place), eval_str=True)  # type: ignore[attr-defined]
    app = application([*path], COMMANDS, lambda _: taking, about="", help_names=("-h", "--help"))
    with pytest.raises(SystemExit):
        app([*path, *words], prog_name="oci-push")
    if not called:
        return None
    usual = {one.name: one.default for one in TAKES[tuple(path)]}
    return {name: value for name, value in called[0].items() if value != usual[name] and value != []}


@st.composite
def lines(draw: st.DrawFn) -> tuple[tuple[str, ...], list[str]]:
    path = draw(st.sampled_from([path for path, _ in LEAVES]))
    names = [name for one in TAKES[path] for name in one.names]
    names = [part for name in names for part in name.split("/")] or ["--none"]
    option = st.sampled_from(names)
    value = st.sampled_from([*WORDS, *(choice for one in TAKES[path] for choice in one.choices)])
    joined = st.builds("{}={}".format, option, value)
    word = st.one_of(option, option, joined, value, st.sampled_from(["a", "b.c/d:1"]))
    return path, draw(st.lists(word, max_size=8))


@given(lines())
@example((("push",), ["a", "b", "--tag", "1", "-t", "2", "--jobs=4", "--quiet"]))
@example((("run",), ["p.yml", "--no-require-push"]))
@example((("sandbox",), ["--port", "65536"]))
def test_both_ways_read_the_same(line: tuple[tuple[str, ...], list[str]]) -> None:
    path, words = line
    plain = read(TAKES[path], words)
    if plain is None:
        return
    usual = {one.name: one.default for one in TAKES[path]}
    assert {name: value for name, value in plain.items() if value != usual[name]} == by_typer(path, words)


@pytest.mark.parametrize("path", [path for path, _ in LEAVES], ids=" ".join)
def test_a_line_with_every_option_is_read_without_typer(path: tuple[str, ...]) -> None:
    words = []
    for one in TAKES[path]:
        if isinstance(one.marker, Argument):
            words.append(one.choices[-1] if one.choices else "a")
            continue
        name = one.names[-1]
        if "/" not in name:
            value = one.choices[-1] if one.choices else {int: "2", float: "2.5"}.get(one.kind, "v")
            words += [name] if one.kind is bool else [name, value]
    plain = read(TAKES[path], words)
    assert plain is not None
    assert plain == by_typer(path, words)


DONE: list[bool] = []


def debugging(debug: Annotated[bool, Option("", acts=DONE.append)] = False) -> None:
    DONE.append(debug)


def test_an_option_that_acts_does_so_when_it_is_given() -> None:
    DONE.clear()
    for words in (["--debug"], []):
        call(debugging, parameters(debugging), read(parameters(debugging), words) or {})
    assert DONE == [True, True, False]


def test_every_value_outside_the_choices_is_refused_with_those_that_there_are() -> None:
    for takes in TAKES.values():
        for one in takes:
            if one.choices:
                problem, hint = one.refusal("no-such-value")
                assert one.value("no-such-value") is None
                assert problem == "'no-such-value' is not known"
                assert all(choice in hint for choice in one.choices)
                assert [one.refusal(choice) for choice in one.choices] == [("", "")] * len(one.choices)


def test_every_value_has_a_name_that_says_what_it_is() -> None:
    bare = [
        (path, one.names) for path, takes in TAKES.items() for one in takes if one.kind is not bool and not one.metavar
    ]
    assert bare == []


def test_numbers_that_are_no_plain_ones_are_left_to_typer() -> None:
    timeout = next(one for one in TAKES[("push",)] if one.name == "timeout")
    assert [timeout.value(word) for word in ("5", "0.5", "-5", "nan", "inf", "1e9", "", "5d")] == [
        5.0,
        0.5,
        *[None] * 6,
    ]
    assert [timeout.value(word) for word in ("90s", "2m", "1.5h", "500ms")] == [90, 120, 5400, 0.5]
    assert isinstance(timeout, Parameter)
    assert math.isfinite(timeout.value("5"))
    report = next(one for one in TAKES[("push",)] if one.name == "report")
    assert report.value("x") == Path("x")
