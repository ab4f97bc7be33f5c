"""Advice: what somebody who made a usual mistake is told to write."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from oci_push.expressions.evaluate import Value, evaluate

STEP: Mapping[str, Value] = {"result": "success"}
NAMES: Mapping[str, Value] = {"CF_BRANCH": "main", "my-step": STEP, "ok": STEP, "steps": {"ok": STEP, "my-step": STEP}}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1 === 1", "write =="), ("1 !== 2", "write !="), ("true & true", "write &&"), ("true | true", "write ||"),
        ("1 << 2", "the language has no such operator"), ("ok.result = 'x'", "write == to compare"),
        ("main == 'main'", 'put a text in quotes, and a variable too: "${{NAME}}"'),
        ("CF_BRNCH == 'x'", "did you mean CF_BRANCH?"),
        ("${{X}} == 'a'", 'the variable X is not set; in quotes it stays as it is written: "${{X}}"'),
        ("'a' == ${{ X }}", 'the variable X is not set; in quotes it stays as it is written: "${{X}}"'),
        ("my-step.result == 'success'", 'a name with a dash is read as a subtraction: write Variable("my-step")'),
        ("steps.my-step.result == 'x'", 'a name with a dash is read as a subtraction: write Variable("my-step")'),
        ("unknown-step.result == 'x'", 'a name with a dash is read as a subtraction: write Variable("unknown-step")'),
        ("True", "write true"), ("upper == 'x'", "upper is a function: write upper(…)"),
        ("steps.okk.result", "did you mean ok?"), ("ok.reslt", "did you mean result?"),
        ("Variable('my-stp').result", "did you mean my-step?"),
        ("ok.result\u00a0== 'x'", "there is a blank that is not the usual one: type it anew"),
        ("CF_BRANCH\u00a0== 'x'", "there is a blank that is not the usual one: type it anew"),
        ("true and false", "write && for and"), ("true OR false", "write || for OR"),
        ("'a' 'b'", "an operator is missing here; texts are put in quotes, conditions joined with && or ||"),
        ("contains('a', 'b')", "did you mean includes?"), ("Upper('a')", "did you mean upper?"),
        ("indexof('a', 'b')", "did you mean indexOf?"),
        ("startsWith('a', 'b')", 'write match(text, "^start", false)'),
        ("subsrting('a', 1, 2)", "did you mean substring?"),
        ("CF_BRANCH.includes('x')", 'texts have no functions: write includes(text, "x")'),
        ("match('a', 'b')", 'write match(text, "regular expression", false); the last argument tells '
         "whether case is ignored"),
        ("Member('ok', 'result')", 'write Member(Variable("name"), "member")'),
        ("substring('a', '0', '1')", "indexes are numbers, without quotes"),
        ("!'x'", 'compare, or convert: Boolean("text")'),
        ("1 == '1'", "both sides must be of one type: convert with Number(…) or String(…)"),
        ("ok", "compare one of its members, such as .result"),
        ("ok['result']", 'write a.b for a["b"], or Member(a, "b")'), ("true ? 1 : 2", "use && and || instead"),
        ("[1]", "compare with each value, joined with ||"), ("0a1b2c3 == 'x'", "put a text in quotes"),
        ("x" * 12_001, "shorten it, or the variables in it"),
        ("'it's'", "a quote inside a text needs a backslash before it, or the other kind round the text"),
    ],
)  # fmt: skip
def test_a_usual_mistake_is_answered_with_what_to_write(text: str, hint: str) -> None:
    found = evaluate(text, NAMES)
    assert found.error
    assert found.hint == hint


def test_an_unknown_function_without_relatives_is_answered_with_the_list() -> None:
    assert evaluate("qqqqqq(1)", {}).hint.startswith("there are Variable, Member, String")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ok.result == 'finished'", "a step's result is never 'finished': "
         "it is success, failure, skipped, pending or running"),
        ('ok.result != "error"', "a step's result is never 'error': "
         "it is success, failure, skipped, pending or running"),
        ("match('v1', '^v\\d$', false)", 'a backslash in a text must be doubled: match("v1", "^v\\\\d$", false)'),
        ("match('v1', '^v\\\\d$', false)", ""), ("ok.result == 'success'", ""), ("1 + 1 == 2", ""),
    ],
)  # fmt: skip
def test_what_is_surely_not_meant_is_told_without_an_error(text: str, hint: str) -> None:
    found = evaluate(text, NAMES)
    assert (found.error, found.hint) == ("", hint)


@pytest.mark.parametrize("text", ["1 / 0", "1 == null", "1e308 * 10", "upper()"])
def test_what_explains_itself_has_no_hint(text: str) -> None:
    found = evaluate(text, NAMES)
    assert found.error
    assert found.hint == ""
