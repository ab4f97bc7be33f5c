"""The functions of the language: how many arguments of which types each takes, and what it makes of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.expressions.javascript.pattern_syntax import PatternError
from oci_push.expressions.javascript.values import (
    BLANKS,
    MAX_TEXT,
    ExpressionError,
    Value,
    bounded,
    from_units,
    is_true,
    number_to_text,
    text_to_number,
    to_units,
    type_of,
)

_TEXT, _NUMBER, _BOOLEAN, _OBJECT = ("string",), ("number",), ("boolean",), ("object",)
_SCALAR = ("number", "string")
_PLACEHOLDER = re.compile(r"\$([$&`'])")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PATH = re.compile(r"""\[(["'])((?:\\.|(?!\1)[^\\\n])*)\1\]|\[(-?\d+(?:\.\d+)?)\]|([^.\[\]]+)""")


class Function(Struct, frozen=True):
    """The types that each argument may have, and the work; `sees_names` gives it all variables first."""

    parameters: tuple[tuple[str, ...], ...]
    work: Callable[..., Value]
    sees_names: bool = False


def get_function(name: str) -> Function:
    """Find a function by its name; raises where the language has none."""
    if name not in FUNCTIONS:
        raise ExpressionError(f"Unknown function: '{name}'")
    return FUNCTIONS[name]


def call(name: str, arguments: Sequence[Value], names: Mapping[str, Value]) -> Value:
    """Check the arguments and do the work; texts go in and come out as UTF-16 units."""
    function = get_function(name)
    if len(arguments) != len(function.parameters):
        raise ExpressionError(f"Expected {len(function.parameters)} arguments for function '{name}'.")
    for number, (argument, types) in enumerate(zip(arguments, function.parameters, strict=True)):
        if type_of(argument) not in types:
            raise ExpressionError(
                f"Invalid argument #{number} of type {type_of(argument)} for function '{name}': "
                f"expected {','.join(types)}"
            )
    return function.work(names, *arguments) if function.sees_names else function.work(*arguments)


def find_variable(names: Mapping[str, Value], name: str) -> Value:
    """Return a variable's value as the evaluator holds it; raises where there is none."""
    known = from_units(name)
    try:
        if known in names:
            return _taken_in(names[known])
    except ConfigError as problem:  # variables in its value go round in a circle
        raise ExpressionError(str(problem)) from problem
    raise ExpressionError(f"Invalid identifier: '{name}'")


def find_member(holder: Value, name: str) -> Value:
    """Return a member of an object, or the length of a text; raises where there is none."""
    if isinstance(holder, str) and name == "length":
        return float(len(holder))
    known = from_units(name)
    if not isinstance(holder, Mapping) or known not in holder:
        raise ExpressionError(f"Undefined identifier member: '{name}'")
    return _taken_in(holder[known])


def _taken_in(value: Value) -> Value:
    if isinstance(value, str):
        return to_units(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _find_by_path(holder: Mapping[str, Value], path: str) -> Value:
    """Follow ``a.b`` or ``a["b"]``, unless the object has a member of just that name (lodash's `get`)."""
    if from_units(path) in holder:
        return find_member(holder, path)
    steps = [_path_step(found) for found in _PATH.finditer(path)]
    try:
        value: Value = holder
        for step in steps:
            value = find_member(value, step)
    except ExpressionError:
        steps = []
    if not steps:
        raise ExpressionError(f"Undefined identifier member: '{path}'")
    return value


def _path_step(found: re.Match[str]) -> str:
    quote, quoted, index, plain = found.groups()
    return _ESCAPED.sub(r"\1", quoted) if quote else index or plain


def _number(value: str | float) -> float:
    number = text_to_number(value) if isinstance(value, str) else value
    if not math.isfinite(number):
        raise ExpressionError(f"Error converting value '{_text(value)}' to number")
    return number


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else number_to_text(value)


def _floor(number: float) -> float:
    if not math.isfinite(number):
        return number
    return math.copysign(float(math.floor(number)), number)


def _round(number: float) -> float:
    """Round a half upwards, also below zero; adding a half first would lift 0.49999999999999994 to 1."""
    if not math.isfinite(number):
        return number
    below = float(math.floor(number))
    return math.copysign(below if number - below < 0.5 else below + 1, number)


def _upper(text: str) -> str:
    return bounded(to_units(from_units(text).upper()))


def _lower(text: str) -> str:
    return bounded(to_units(from_units(text).lower()))


def _replace(text: str, find: str, by: str) -> str:
    """Replace the first occurrence, with JavaScript's placeholders: ``$&`` is what was found, ``$'`` what follows."""
    before, found, after = text.partition(find) if find else ("", "", text)
    if not found and find:
        return text
    meaning = {"$": "$", "&": find, "`": before, "'": after}
    length = len(before) + len(after) + len(by) + sum(len(meaning[sign]) for sign in _PLACEHOLDER.findall(by))
    if length > MAX_TEXT:
        raise ExpressionError(f"Invalid string length: more than {MAX_TEXT} characters")
    return before + _PLACEHOLDER.sub(lambda placeholder: meaning[placeholder[1]], by) + after


def _substring(text: str, start: float, end: float) -> str:
    first = _to_index(start, len(text))
    last = len(text) if end < start else _to_index(end, len(text))
    return text[min(first, last) : max(first, last)]


def _to_index(number: float, length: int) -> int:
    return 0 if math.isnan(number) else int(min(max(number, 0), length))


def _match(text: str, body: str, ignores_case: bool) -> bool:
    # Imported here: the engine takes longer to import than all the rest of an evaluation, and few match.
    from oci_push.expressions.javascript.patterns import compile_pattern

    try:
        return compile_pattern(body, "i" if ignores_case else "").search(text)
    except PatternError as error:
        raise ExpressionError(str(error)) from error


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "Variable": Function((_TEXT,), find_variable, sees_names=True),
        "Member": Function((_OBJECT, _TEXT), _find_by_path),
        "String": Function((_SCALAR,), _text),
        "Number": Function((_SCALAR,), _number),
        "Boolean": Function((_SCALAR,), is_true),
        "round": Function((_NUMBER,), _round),
        "floor": Function((_NUMBER,), _floor),
        "upper": Function((_TEXT,), _upper),
        "lower": Function((_TEXT,), _lower),
        "trim": Function((_TEXT,), lambda text: text.strip(BLANKS)),
        "trimLeft": Function((_TEXT,), lambda text: text.lstrip(BLANKS)),
        "trimRight": Function((_TEXT,), lambda text: text.rstrip(BLANKS)),
        "length": Function((_TEXT,), lambda text: float(len(text))),
        "replace": Function((_TEXT, _TEXT, _TEXT), _replace),
        "substring": Function((_TEXT, _NUMBER, _NUMBER), _substring),
        "includes": Function((_TEXT, _TEXT), lambda text, part: part in text),
        "indexOf": Function((_TEXT, _TEXT), lambda text, part: float(text.find(part))),
        "match": Function((_TEXT, _TEXT, _BOOLEAN), _match),
    }
)
