"""Expressions: what operators and names give, and which words say that they give nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from oci_push.errors import ConfigError
from oci_push.expressions.evaluate import MAX_LENGTH, MAX_SEARCHES, Evaluated, Value, evaluate
from oci_push.expressions.javascript.values import MAX_TEXT

OK: Mapping[str, Value] = {"result": "success", "x.y": 5.0, "deep": {"er": 2.0, "a-b": None}}
NAMES: Mapping[str, Value] = {
    "CF_BRANCH": "main", "ok": OK, "my-step": {"result": "success"}, "other": {"result": "failure"}, "nothing": None,
    "five": 5, "yes": True, "steps": {"ok": OK, "my-step": {"result": "success"}}, "workflow": {"result": "running"},
    "b": "result", "smile": "x😀",
}  # fmt: skip


def result(text: str) -> Value:
    """Evaluate what has a value."""
    found = evaluate(text, NAMES)
    assert found.error == ""
    return found.result


def error(text: str) -> str:
    """Evaluate what has none."""
    found = evaluate(text, NAMES)
    assert not found.truth
    return found.error


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("10 - 4 - 3", 3), ("2 * 3 % 4", 2), ("-5 % 3", -2), ("5.5 % 2", 1.5),
        ("- - 1", 1), ("1 + + 1", 2), ("1 - -1", 2), (".5 + 1.", 1.5), ("01", 1), ("1e3", 1000), ("2E-2", 0.02),
        ("1 == 1 == true", True), ("1 < 2 == true", True), ("true || false && false", True), ("!true == false", True),
        ("!0", True), ("!five", False), ("1 != 2 && 1 <= 1 && 2 >= 1 && !(1 > 1)", True), ("-1 / 0", -float("inf")),
        ("1 / -0", -float("inf")), ("1e400 - 1", float("inf")), ("0 / 2", 0), ("7 / 2", 3.5), ("1;", 1), (";1", 1),
        ("'a' + \"b\"", "ab"), ("'a\\n\\t\\q\\''", "a\n\tq'"), ('"it\'s"', "it's"), ("'\\x41'", "x41"),
        ("'a\nb'", "a\nb"), ('"10" < "9"', True), ('"Z" < "a"', True), ('"b" >= "ab"', True),
        ('"\uffff" > "😀"', True), ("'' == null", False), ("null == null", True), ("'x' != null", True),
        ("nothing == 'x'", False), ("ok == ok", True), ("ok == steps.ok", True), ("ok == other", False),
        ("ok != null", True), ("yes", True), ("CF_BRANCH", "main"), ("ok.result", "success"),
        ("steps . ok\n.result", "success"), ("ok.deep.er", 2), ("five + 1", 6), ("(ok).result", "success"),
        ("ok[result] == 'success'", True), ("steps[ok].result", "success"), ("CF_BRANCH.length", 4),
        ("smile.length", 3), ("(upper)('x')", "X"), ("length ('ab')", 2), ("()", False), ("", False),
        (" \t\n\u00a0\ufeff", False), (";,", False), ("\ufefftrue\u2003", True),
    ],
)  # fmt: skip
def test_an_expression_has_a_value(text: str, value: Value) -> None:
    assert result(text) == value


@pytest.mark.parametrize(
    ("text", "truth"),
    [("''", False), ("0", False), ("-0", False), ("0/0", False), (".", False), ("null", False), ("false", False),
     ("'false'", True), ("' '", True), ("-1", True), ("1e400", True)],
)  # fmt: skip
def test_values_are_true_as_in_javascript(text: str, truth: bool) -> None:
    assert evaluate(text, {}).truth is truth
    assert evaluate(text, {}).error == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 == '1'", "The operator == cannot be used with number,string. It can only be used with the types: "
         "number,string,nullableString,object,boolean"),
        ("1 != null", "The operator != cannot be used with number,null."),
        ("true == 'true'", "The operator == cannot be used with boolean,string."),
        ("ok == 'x'", "The operator == cannot be used with object,string."),
        ("null < 'a'", "The operator < cannot be used with null,string. It can only be used with the types: "
         "number,string"),
        ("true < false", "The operator < cannot be used with boolean,boolean."),
        ("'a' + 1", "The operator + cannot be used with string,number. It can only be used with the types: "
         "number,string"),
        ("'3' * 2", "The operator * cannot be used with string,number. It can only be used with the types: number"),
        ("'a' && true", "The operator && cannot be used with string,boolean. It can only be used with the types: "
         "boolean"),
        ("!'x'", "The operator ! cannot be used with string. It can only be used with the types: number,boolean"),
        ("!nothing", "The operator ! cannot be used with null."),
        ("-true", "The operator - cannot be used with boolean."),
        ("+'1'", "The operator + cannot be used with string. It can only be used with the types: number"),
        ("1 / 0", "Division of 1 by 0"), ("2.5 / 0", "Division of 2.5 by 0"), ("-1 / -0", "Division of -1 by 0"),
        ("1e300 / 1e-300", "Division of 1e+300 by 0"), ("5 % 0", "Modulo of 5 by 0"), ("0 % 0", "Modulo of 0 by 0"),
        ("1e400 % 2", "Modulo of Infinity by 0"), ("1e300 * 1e300", "Numeric overflow"),
        ("missing", "Invalid identifier: 'missing'"), ("ok.missing", "Undefined identifier member: 'missing'"),
        ("five.x", "Undefined identifier member: 'x'"), ("nothing.x", "Undefined identifier member: 'x'"),
        ("CF_BRANCH.size", "Undefined identifier member: 'size'"), ("my-step.result", "Invalid identifier: 'my'"),
        ("ok", "Cannot evaluate object variable directly"), ("steps", "Cannot evaluate object variable directly"),
        ("true || steps.missing.result == 'x'", "Undefined identifier member: 'missing'"),
        ("false && missing", "Invalid identifier: 'missing'"), ("missing === 1", "Invalid identifier: 'missing'"),
        ("1 === 1", "Invalid binary operator: ==="), ("5 & 3", "Invalid binary operator: &"),
        ("1 !== 1", "Invalid binary operator: !=="), ("1 >>> 1", "Invalid binary operator: >>>"),
        ("~five", "Invalid unary operator: ~"), ("~missing", "Invalid identifier: 'missing'"),
        ("this", "keyword 'this' not supported."),
        ("missing ? 1 : 2", "Trinary operator (?:) currently not supported."),
        ("[missing, 2]", "Array literals ([1, 2, 3]) currently not supported."),
        ("ok['result']", "Invalid identifier member: 'undefined'"),
        ("ok.true", "Invalid identifier member: 'undefined'"), ("missing['x']", "Invalid identifier: 'missing'"),
        ("a b", "Cannot handle compound expressions."), ("a, b", "Cannot handle compound expressions."),
        ("a; b", "Cannot handle compound expressions."),
        ("CF_BRANCH.includes('x')", "Invalid function name type: 'MemberExpression'"),
        ("upper('x')('y')", "Invalid function name type: 'CallExpression'"),
        ("(1 + 1)(2)", "Invalid function name type: 'BinaryExpression'"),
        ("()(2)", "Invalid function name type: 'undefined'"), ("!", "Expected expression after !"),
        ("- == 1", "Expected expression after -"), ("== 1", "Expected expression before =="),
        ("().x", "Expected expression before ."),
    ],
)  # fmt: skip
def test_an_error_is_false_and_told_in_the_known_words(text: str, message: str) -> None:
    assert error(text).startswith(message)


def test_both_sides_of_a_join_are_wanted() -> None:
    assert error("yes || ok") == (
        "The operator || cannot be used with boolean,object. It can only be used with the types: boolean"
    )


def test_an_expression_may_be_as_long_as_the_limit_in_units() -> None:
    assert result("1" + "+1" * ((MAX_LENGTH - 1) // 2)) == MAX_LENGTH // 2
    message = "length must be less than or equal to 12000 characters long"
    assert error(" " * MAX_LENGTH + "1") == message
    assert error(f"'{'😀' * (MAX_LENGTH // 2)}'") == message


def test_texts_do_not_grow_beyond_use() -> None:
    long = {"long": "x" * MAX_TEXT}
    assert evaluate("long == long && long != ''", long).truth
    for text in ("long + 'y'", "replace(long, 'x', '$&$&')", "upper(long + 'x')", "upper(sharp)"):
        assert evaluate(text, {**long, "sharp": "ß" * MAX_TEXT}).error.startswith("Invalid string length")


def test_searches_are_counted_as_each_may_take_its_time() -> None:
    search = "match(CF_BRANCH, 'x|main', false)"
    assert result(" && ".join([search] * MAX_SEARCHES)) is True
    found = evaluate(" && ".join([search] * (MAX_SEARCHES + 1)), NAMES)
    assert found.error == "More than 30 calls of function 'match'"
    assert found.position == (len(search) + 4) * MAX_SEARCHES
    assert found.hint == 'join the regular expressions: match(text, "one|other", false)'


def test_a_variable_that_cannot_be_made_is_an_error() -> None:
    class Circle(dict[str, Value]):
        def __getitem__(self, name: str) -> Value:
            raise ConfigError(f"variable {name} refers to itself")

    assert evaluate("A == 'x'", Circle(A="")) == Evaluated(error="variable A refers to itself", position=0)


@pytest.mark.parametrize(
    ("text", "position"),
    [("a", 0), ("  a", 2), ("'😀' == a", 7), ("1 +\n 'x'", 2), ("ok.x", 3), ("ok.result ? 1 : 2", 10), ("yes yes", 4),
     ("f(1)", 0), ("1 == upper(1)", 5), ("'abc", 4), ("1)", 1), ("1 == ", 4)],
)  # fmt: skip
def test_an_error_knows_its_place_in_characters(text: str, position: int) -> None:
    assert evaluate(text, NAMES).position == position
