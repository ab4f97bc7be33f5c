"""The operators of the language: which types each takes, always the same on both sides, and what it makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar, cast

from oci_push.expressions.javascript.values import ExpressionError, Value, bounded, is_true, number_to_text, type_of

_COMPARED = ("number", "string", "nullableString", "object", "boolean")
_ORDERED = ("number", "string")
_BINARY_TYPES: dict[str, tuple[str, ...]] = {
    "||": ("boolean",), "&&": ("boolean",), "==": _COMPARED, "!=": _COMPARED, "<": _ORDERED, ">": _ORDERED,
    "<=": _ORDERED, ">=": _ORDERED, "+": _ORDERED, "-": ("number",), "*": ("number",), "/": ("number",),
    "%": ("number",),
}  # fmt: skip
_UNARY_TYPES = {"+": ("number",), "-": ("number",), "!": ("number", "boolean")}
_CALCULATIONS = "+-*/%"
Ordered = TypeVar("Ordered", str, float)


def unary(operator: str, value: Value) -> Value:
    """Apply an operator to one operand."""
    if operator not in _UNARY_TYPES:
        raise ExpressionError(f"Invalid unary operator: {operator}")
    _check_types(operator, _UNARY_TYPES[operator], value)
    if operator == "!":
        return not is_true(value)
    number = cast(float, value)  # the other operators take numbers only
    return -number if operator == "-" else number


def binary(operator: str, left: Value, right: Value) -> Value:
    """Apply an operator to two operands; both have been evaluated, also those of ``||`` and ``&&``."""
    if operator not in _BINARY_TYPES:
        raise ExpressionError(f"Invalid binary operator: {operator}")
    _check_types(operator, _BINARY_TYPES[operator], left, right)
    match operator:
        case "||":
            return is_true(left) or is_true(right)
        case "&&":
            return is_true(left) and is_true(right)
        case "==":
            return _is_same(left, right)
        case "!=":
            return not _is_same(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return bounded(left + right) if operator == "+" else _is_in_order(operator, left, right)
    numbers = cast(float, left), cast(float, right)  # no other type is left
    return _calculate(operator, *numbers) if operator in _CALCULATIONS else _is_in_order(operator, *numbers)


def _is_same(left: Value, right: Value) -> bool:
    """Compare values of one type; objects are the same only if they are one and the same object."""
    return left is right if isinstance(left, Mapping) or isinstance(right, Mapping) else left == right


def _is_in_order(operator: str, left: Ordered, right: Ordered) -> bool:
    match operator:
        case "<":
            return left < right
        case ">":
            return left > right
        case "<=":
            return left <= right
        case _:
            return left >= right


def _calculate(operator: str, left: float, right: float) -> float:
    """Calculate as IEEE 754 says; some of its special results are errors here, others (``-1/0``) slip through."""
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            product = left * right
            if product == math.inf:
                raise ExpressionError("Numeric overflow")
            return product
        case "/":
            quotient = _divide(left, right)
            if quotient == math.inf:
                raise ExpressionError(f"Division of {number_to_text(left)} by 0")
            return quotient
        case _:
            if math.isinf(left) or right == 0 or math.isnan(left) or math.isnan(right):
                raise ExpressionError(f"Modulo of {number_to_text(left)} by 0")
            return math.fmod(left, right)


def _divide(left: float, right: float) -> float:
    if right != 0:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)


def _check_types(operator: str, allowed: tuple[str, ...], *operands: Value) -> None:
    types = [type_of(operand) for operand in operands]
    if not any(all(_is_of(type_name, wanted) for type_name in types) for wanted in allowed):
        raise ExpressionError(
            f"The operator {operator} cannot be used with {','.join(types)}. "
            f"It can only be used with the types: {','.join(allowed)}"
        )


def _is_of(type_name: str, wanted: str) -> bool:
    """Return whether a type will do; in JavaScript null is an object too."""
    if wanted == "nullableString":
        return type_name in ("string", "null")
    return type_name == wanted or (type_name == "null" and wanted == "object")
