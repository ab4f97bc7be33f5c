"""Values of expressions as JavaScript has them: their types, their truth, numbers as text, texts as UTF-16 units.

Inside the evaluator a text is a string of UTF-16 units: a character beyond U+FFFF is its two surrogates. Lengths,
indexes, comparison and search then mean what they mean to JavaScript, with Python's own operations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias

Value: TypeAlias = "str | float | bool | Mapping[str, Value] | None"
"""What a variable may hold and an expression gives; a mapping is an object."""

BLANKS = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f"
    "\u3000\ufeff"
)
"""What JavaScript trims."""

MAX_TEXT = 200_000
"""The longest text that an operation may make, in units: `replace` inside `replace` grows without end."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_PREFIXED = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_BASES = {"x": 16, "o": 8, "b": 2}


class ExpressionError(Exception):
    """Why an expression has no value; `at` is the place in its trimmed units, where one is known."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


def to_units(text: str) -> str:
    """Split characters beyond U+FFFF into their surrogates."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    return "".join(char if char <= "\uffff" else _surrogates(ord(char)) for char in text)


def from_units(text: str) -> str:
    """Join surrogates that belong together; a lonely one stays."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def type_of(value: Value) -> str:
    """Name a value's type as error messages do."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "number"


def is_true(value: Value) -> bool:
    """Convert to a boolean: empty text, zero, NaN and null are false, everything else is true."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return isinstance(value, Mapping) or bool(value)


def bounded(text: str) -> str:
    """Refuse a text that has grown too long."""
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"Invalid string length: more than {MAX_TEXT} characters")
    return text


def number_to_text(number: float) -> str:
    """Write a number as JavaScript prints it: ``7``, ``0.1``, ``1e+21``."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    # Python's shortest digits are JavaScript's; only where the point is put, and from when an exponent, differs.
    digits, exponent = f"{Decimal(repr(abs(number))):e}".split("e")
    digits = digits.replace(".", "").rstrip("0")
    shown = _place_point(digits, int(exponent) + 1)
    return f"-{shown}" if number < 0 else shown


def text_to_number(text: str) -> float:
    """Convert as ``Number(text)`` does: blanks round it do not count, no text is 0, nonsense is NaN."""
    stripped = text.strip(BLANKS)
    if not stripped:
        return 0.0
    if _DECIMAL.fullmatch(stripped):
        return float(stripped)
    if _PREFIXED.fullmatch(stripped):
        try:
            return float(int(stripped[2:], _BASES[stripped[1].lower()]))
        except OverflowError:
            return math.inf
    if stripped in ("Infinity", "+Infinity", "-Infinity"):
        return -math.inf if stripped.startswith("-") else math.inf
    return math.nan


def _place_point(digits: str, point: int) -> str:
    """Write decimal `digits` with the point after the first `point` of them (ECMA-262, Number::toString)."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{mantissa}e{point - 1:+d}"


def _surrogates(code: int) -> str:
    offset = code - 0x10000
    return chr(0xD800 + (offset >> 10)) + chr(0xDC00 + (offset & 0x3FF))
