"""What holds for every expression: it ends, it raises nothing, and it gives what Python's own operators give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_push.expressions.evaluate import Value, evaluate
from oci_push.expressions.functions import FUNCTIONS
from oci_push.expressions.javascript.values import from_units, number_to_text, text_to_number, to_units

NAMES: Mapping[str, Value] = {
    "a": "text", "n": 2.5, "ok": {"result": "success", "deep": {"x": None}}, "nothing": None, "yes": True,
    "my-step": {"result": "skipped"}, "steps": {"my-step": {"result": "skipped"}},
}  # fmt: skip
WORDS = [
    *FUNCTIONS, *NAMES, "(", ")", "[", "]", ".", ",", ";", "?", ":", "!", "-", "+", "*", "/", "%", "~", "==", "!=",
    "===", "<", ">=", "<<", "&&", "||", "&", "|", "=", "true", "false", "null", "this", "result", "0", "1", "2.5",
    "1e9", "'a'", "''", '"b"', "'", "\\", " ", "\n", "${{X}}", "@", "é", "😀", "\ud83d",
]  # fmt: skip
SOUPS = st.builds(str.join, st.sampled_from(["", " "]), st.lists(st.sampled_from(WORDS), max_size=30))


def check(text: str) -> None:
    """Evaluate anything at all."""
    found = evaluate(text, NAMES)
    assert not (found.error and found.truth)
    assert found.position is None or 0 <= found.position <= len(text)
    assert not isinstance(found.result, Mapping)


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_any_text_ends_in_a_value_or_an_error(text: str) -> None:
    check(text)


@given(SOUPS)
def test_any_sequence_of_words_ends_in_a_value_or_an_error(text: str) -> None:
    check(text)


@dataclass(frozen=True)
class Written:
    """Hold an expression and the value that Python gives it."""

    text: str
    value: int | bool | str


def whole_numbers() -> st.SearchStrategy[Written]:
    """Build arithmetic of whole numbers small enough to be exact."""
    leaves = st.integers(0, 9).map(lambda n: Written(str(n), n))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda a, b: Written(f"({a.text} + {b.text})", a.value + b.value), inner, inner),
            st.builds(lambda a, b: Written(f"({a.text}-{b.text})", a.value - b.value), inner, inner),
            st.builds(
                lambda a, b: Written(f"({a.text} * ({b.text} % 10))", a.value * int(math.fmod(b.value, 10))),
                inner,
                inner,
            ),
            st.builds(lambda a: Written(f"-{a.text}", -a.value), inner),
        ),
        max_leaves=12,
    )


def flat_sums() -> st.SearchStrategy[Written]:
    """Build arithmetic without parentheses, which Python reads with the same precedence."""
    terms = st.lists(st.tuples(st.sampled_from([" + ", " - ", "*", "<=", "=="]), st.integers(0, 9)), max_size=3)

    def joined(first: int, rest: list[tuple[str, int]]) -> Written | None:
        if sum(operator in ("<=", "==") for operator, _ in rest) > 1:
            return None  # Python chains comparisons, this language does not
        text = str(first) + "".join(f"{operator}{number}" for operator, number in rest)
        return Written(text, eval(text))

    return st.builds(joined, st.integers(0, 9), terms).filter(lambda written: written is not None)


def booleans() -> st.SearchStrategy[Written]:
    """Build joins of comparisons."""
    numbers = whole_numbers()
    leaves = st.one_of(
        st.booleans().map(lambda value: Written(str(value).lower(), value)),
        st.builds(lambda a, b: Written(f"{a.text} < {b.text}", a.value < b.value), numbers, numbers),
        st.builds(lambda a, b: Written(f"({a.text} == {b.text})", a.value == b.value), numbers, numbers),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda a, b: Written(f"({a.text} && {b.text})", a.value and b.value), inner, inner),
            st.builds(lambda a, b: Written(f"({a.text}||{b.text})", a.value or b.value), inner, inner),
            st.builds(lambda a: Written(f"!({a.text})", not a.value), inner),
        ),
        max_leaves=8,
    )


def quoted(text: str) -> str:
    """Write a text as a literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def texts() -> st.SearchStrategy[Written]:
    """Build texts of characters that are one unit each, so that Python counts the same."""
    leaves = st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF), max_size=5).map(
        lambda t: Written(quoted(t), t)
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda a, b: Written(f"({a.text} + {b.text})", a.value + b.value), inner, inner),
            st.builds(
                lambda a, n: Written(f"substring({a.text}, {n}, {n + 2})", a.value[n : n + 2]), inner, st.integers(0, 3)
            ),
            st.builds(lambda a: Written(f"upper({a.text})", a.value.upper()), inner),
            st.builds(
                lambda a, b: Written(f"String(indexOf({a.text}, {b.text}))", str(a.value.find(b.value))), inner, inner
            ),
        ),
        max_leaves=6,
    )


@pytest.mark.parametrize(
    "written", [whole_numbers(), flat_sums(), booleans(), texts()], ids=["whole", "flat", "booleans", "texts"]
)
def test_values_are_what_python_gives(written: st.SearchStrategy[Written]) -> None:
    @given(written)
    def compare(one: Written) -> None:
        found = evaluate(one.text, {})
        assert (found.result, found.error) == (one.value, "")

    compare()


@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_are_ordered_by_their_units(left: str, right: str) -> None:
    names: Mapping[str, Value] = {"left": left, "right": right}
    assert evaluate("left < right", names).truth == (left.encode("utf-16-be") < right.encode("utf-16-be"))
    assert evaluate("left == right", names).truth == (left == right)
    assert evaluate("left.length", names).result == len(left.encode("utf-16-be")) // 2


@given(st.floats())
def test_a_number_is_read_back_as_it_was_written(number: float) -> None:
    written = number_to_text(number)
    again = text_to_number(written)
    assert again == number or (math.isnan(again) and math.isnan(number))
    assert len(written) <= 25


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_splitting_into_units_and_joining_are_inverse(text: str) -> None:
    assert from_units(to_units(text)) == text
    assert all(char <= "\uffff" for char in to_units(text))
