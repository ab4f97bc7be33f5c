"""The functions of expressions, and numbers and texts as JavaScript has them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from oci_push.expressions.evaluate import Value, evaluate

NAMES: Mapping[str, Value] = {
    "my-step": {"result": "success"}, "ok": {"a.b": 1.0, "a": {"b": 2.0, "c d": {"e": "f"}, "null": None}, "s": "xyz"},
    "a.b": "dotted", "ends": "\u00a0x\ufeff",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("upper('straße')", "STRASSE"), ("lower('ÀΣ')", "àς"), ("upper('😀x')", "😀X"), ("length('')", 0),
        ("length('x😀')", 3), ("trim(ends)", "x"), ("trimLeft(ends)", "x\ufeff"), ("trimRight(ends)", "\u00a0x"),
        ("trim('\\v\\f a\\r\\n')", "a"), ("replace('hello there', 'e', 'a')", "hallo there"),
        ("replace('a', 'x', 'y')", "a"), ("replace('abc', '', '-')", "-abc"), ("replace('a.b', '.', '$$')", "a$b"),
        ("replace('abc', 'b', '[$&]')", "a[b]c"), ("replace('abc', 'b', '$`$\\'')", "aacc"),
        ("replace('abc', 'b', '$1')", "a$1c"), ("substring('hello world', 6, 11)", "world"),
        ("substring('hello', 3, 1)", "lo"), ("substring('hello', -5, 2)", "he"),
        ("substring('hello', 1.9, 99)", "ello"), ("substring('hello', 9, 10)", ""),
        ("substring('hello', 0/0, 2)", "he"), ("substring('hello', 2, 0/0)", "he"), ("substring('a😀b', 3, 4)", "b"),
        ("includes('abc', 'bc')", True), ("includes('abc', '')", True), ("includes('abc', 'B')", False),
        ("indexOf('codefresh', 'odef')", 1), ("indexOf('a', 'b')", -1), ("indexOf('😀b', 'b')", 2), ("round(2.5)", 3),
        ("round(-1.5)", -1), ("round(0.49999999999999994)", 0), ("round(-2.6)", -3), ("round(1e300)", 1e300),
        ("round(1e400)", float("inf")), ("1 / round(-0.2)", -float("inf")), ("floor(-1.5)", -2), ("floor(2.9)", 2),
        ("1 / floor(-0)", -float("inf")), ("floor(-1e400)", -float("inf")), ("Boolean('false')", True),
        ("Boolean('')", False), ("Boolean(0)", False), ("Boolean(0/0)", False), ("Number(' 12 ')", 12),
        ("Number('')", 0), ("Number('0x1F')", 31), ("Number('0b11')", 3), ("Number('0O17')", 15),
        ("Number('-1.5e2')", -150), ("Number('.5')", 0.5), ("Number('5.')", 5), ("Number('+7')", 7), ("Number(3)", 3),
        ("String('x')", "x"), ("Variable('my-step').result", "success"), ("Variable('a.b')", "dotted"),
        ("Member(Variable('my-step'), 'result')", "success"), ("Member(ok, 'a.b')", 1), ("Member(ok, 'a[\"b\"]')", 2),
        ("Member(ok, '[a].b')", 2), ("Member(ok, \"a['c d'].e\")", "f"), ("Member(ok, 'a.null')", None),
        ("Member(ok, 's.length')", 3), ("match('v1', '^v\\\\d$', false)", True), ("match('V1', '^v', false)", False),
        ("match('V1', '^v', true)", True), ("match('xay', 'a', false)", True),
        ("match('v1', '^v\\d$', false)", False), ("match('', '', false)", True),
    ],
)  # fmt: skip
def test_a_function_gives(text: str, value: Value) -> None:
    found = evaluate(text, NAMES)
    assert (found.result, found.error) == (value, "")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("7", "7"), ("-0", "0"), ("0.1 + 0.2", "0.30000000000000004"), ("1e21", "1e+21"),
        ("123456789012345680000", "123456789012345680000"), ("1e-6", "0.000001"), ("1.5e-7", "1.5e-7"),
        ("1e-7", "1e-7"), ("-12.5", "-12.5"), ("5e-324", "5e-324"), ("1e100", "1e+100"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"), ("0/0", "NaN"), ("1e400", "Infinity"),
        ("-1e400", "-Infinity"), ("100", "100"), ("1200.5", "1200.5"), ("-1e-9", "-1e-9"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_javascript_does(number: str, text: str) -> None:
    assert evaluate(f"String({number})", {}).result == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'hello'", "hello"), ("'1_000'", "1_000"), ("'0x'", "0x"), ("'-0x10'", "-0x10"), ("'Infinity'", "Infinity"),
        ("' -Infinity '", " -Infinity "), ("'1e999'", "1e999"), ("'1 2'", "1 2"), ("'.'", "."), ("'١'", "١"),
        ("0/0", "NaN"), (f"'0x{'f' * 300}'", f"0x{'f' * 300}"),
    ],
)  # fmt: skip
def test_what_is_no_finite_number_is_refused(text: str, shown: str) -> None:
    assert evaluate(f"Number({text})", {}).error == f"Error converting value '{shown}' to number"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope(missing)", "Unknown function: 'nope'"), ("startsWith('a', 'b')", "Unknown function: 'startsWith'"),
        ("upper()", "Expected 1 arguments for function 'upper'."),
        ("upper(missing, 1)", "Invalid identifier: 'missing'"),
        ("match('a', 'a')", "Expected 3 arguments for function 'match'."),
        ("upper(1)", "Invalid argument #0 of type number for function 'upper': expected string"),
        ("String(true)", "Invalid argument #0 of type boolean for function 'String': expected number,string"),
        ("Number(null)", "Invalid argument #0 of type null for function 'Number': expected number,string"),
        ("substring('a', '0', '1')", "Invalid argument #1 of type string for function 'substring': expected number"),
        ("match('a', 'a', 'i')", "Invalid argument #2 of type string for function 'match': expected boolean"),
        ("Member('ok', 'a')", "Invalid argument #0 of type string for function 'Member': expected object"),
        ("Member(ok, 'a.x')", "Undefined identifier member: 'a.x'"),
        ("Member(ok, '')", "Undefined identifier member: ''"),
        ("Member(ok, 's.x')", "Undefined identifier member: 's.x'"),
        ("Member(ok, '..')", "Undefined identifier member: '..'"), ("Variable('nope')", "Invalid identifier: 'nope'"),
        ("Variable(ok)", "Invalid argument #0 of type object"),
        ("match('a', '(', false)", "Invalid regular expression: /(/: Unterminated group"),
        ("match('a', '[', true)", "Invalid regular expression: /[/i: Unterminated character class"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told_in_the_known_words(text: str, message: str) -> None:
    assert evaluate(text, NAMES).error.startswith(message)


def test_a_search_that_takes_too_long_is_an_error() -> None:
    names: Mapping[str, Value] = {"text": "a" * 5000 + "!"}
    assert "took longer than 1 s" in evaluate("match(text, '(a|aa)*[bc]', false)", names).error
