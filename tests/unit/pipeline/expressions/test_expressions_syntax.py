"""Expressions that cannot be read, deep ones, and long ones."""

from __future__ import annotations

import pytest

from oci_push.expressions.evaluate import MAX_LENGTH, evaluate
from oci_push.expressions.syntax import MAX_DEPTH


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 'x'", 'Unexpected "=" at character 2'), ("1)", 'Unexpected ")" at character 1'),
        ("@", 'Unexpected "@" at character 0'), ("`x`", 'Unexpected "`" at character 0'),
        ("a:b", 'Unexpected ":" at character 1'), ("!=1", 'Unexpected "=" at character 1'),
        ("; ;", 'Unexpected ";" at character 2'), ("'abc", 'Unclosed quote after "abc" at character 4'),
        ("'a\\'", "Unclosed quote after \"a'\" at character 4"), ("'a\\", 'Unclosed quote after "a" at character 3'),
        ("(1", "Unclosed ( at character 2"), ("(1 2)", "Unclosed ( at character 3"),
        ("a[1", "Unclosed [ at character 3"), ("f(1", "Expected ) at character 3"),
        ("f(", "Expected ) at character 2"), ("[1, 2", "Expected ] at character 5"),
        ("f(1;2)", "Expected comma at character 3"), ("f(())", "Expected comma at character 4"),
        ("f(,1)", "Unexpected token , at character 3"), ("f(1,)", "Unexpected token ) at character 5"),
        ("f(1,,2)", "Unexpected token , at character 5"), ("1 +", "Expected expression after + at character 3"),
        ("||", "Expected expression after || at character 2"),
        ("a &&& b", "Expected expression after && at character 4"),
        ("1 == ()", "Expected expression after == at character 7"), ("a ? 1", "Expected : at character 5"),
        ("a ?", "Expected expression at character 3"), ("a ? 1 :", "Expected expression at character 7"),
        ("0x10", "Variable names cannot start with a number (0x) at character 1"),
        ("1a", "Variable names cannot start with a number (1a) at character 1"),
        ("1.2.3", "Unexpected period at character 3"),
        ("'abc'.length", "Variable names cannot start with a number (.l) at character 6"),
        ("1e", "Expected exponent (1e) at character 2"), ("1e+x", "Expected exponent (1e+x) at character 3"),
        ("a.", "Unexpected end at character 2"), ("a.1", "Unexpected 1 at character 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_place(text: str, message: str) -> None:
    found = evaluate(text, {})
    assert (found.truth, found.error) == (False, message)


@pytest.mark.parametrize("text", ["[1,,2]", "[,]", "[]", "[[1], [2]]"])
def test_lists_are_read_and_refused(text: str) -> None:
    assert evaluate(text, {}).error == "Array literals ([1, 2, 3]) currently not supported."


def test_commas_between_arguments_may_be_missing() -> None:
    assert evaluate("includes('abc' 'b')", {}).truth


def test_a_fault_in_reading_comes_before_one_in_evaluating() -> None:
    assert evaluate("missing == (1", {}).error == "Unclosed ( at character 13"


@pytest.mark.parametrize(
    ("opening", "closing"), [("(", ")"), ("upper(", ")"), ("a[", "]"), ("[", "]"), ("1 ? ", " : 1")]
)
def test_nesting_is_bounded(opening: str, closing: str) -> None:
    deepest = MAX_DEPTH - 1
    assert "deep" not in evaluate(opening * deepest + "a" + closing * deepest, {"a": "x"}).error
    assert evaluate(opening * MAX_DEPTH + "a" + closing * MAX_DEPTH, {}).error.startswith(
        "Nested more than 100 deep at"
    )


@pytest.mark.parametrize(
    "unit", ["(", ")", "[", "!", "-", "~", "+", "a.", "a[", "f(", "'", "\\", "1?", "?", ",", ";", ".", "é", "\0"]
)
def test_the_longest_expressions_end_in_an_answer(unit: str) -> None:
    evaluate(unit * (MAX_LENGTH // len(unit)), {"a": {}})


def test_signs_may_be_many() -> None:
    assert evaluate("!" * 11_998 + "1", {}).result is True
    assert evaluate("- " * 5_999 + "1", {}).result == -1


def test_members_and_calls_may_follow_each_other_without_end() -> None:
    assert evaluate("a" + ".a" * 5_000, {"a": {}}).error == "Undefined identifier member: 'a'"
    assert evaluate("f" + "()" * 5_000, {}).error == "Invalid function name type: 'CallExpression'"
