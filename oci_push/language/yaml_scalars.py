"""What a plain scalar means: YAML 1.2's core schema plus timestamps, as js-yaml 4 reads it."""

from __future__ import annotations

import re
from typing import TypeAlias

from msgspec import Struct

_MOST_DIGITS = 300
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_OCTAL = re.compile(r"[-+]?0o[0-7_]+")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+")
_BINARY = re.compile(r"[-+]?0b[01_]+")
_FLOAT = re.compile(r"(?:[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?|\.(?=_*[0-9])[0-9_]+)(?:[eE][-+]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{4}-\d{1,2}-\d{1,2}(?:[Tt]|[ \t]+)\d{1,2}:\d{2}:\d{2}"
    r"(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d{2})?))?",
    re.ASCII,
)


class Timestamp(Struct, frozen=True):
    """A plain scalar that is a date, which no field of the language accepts."""

    text: str


YamlValue: TypeAlias = str | int | float | bool | Timestamp | None


def resolve_plain(text: str) -> YamlValue:
    """Return a plain scalar's value by YAML 1.2's core schema, as js-yaml 4 reads it."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if text[0] in "+-.0123456789":
        number = _number(text)
        if number is not None:
            return number
        if _TIMESTAMP.fullmatch(text):
            return Timestamp(text)
    return text


def _number(text: str) -> int | float | None:
    digits = text.replace("_", "")
    if not text.endswith("_"):
        if _INTEGER.fullmatch(text):
            return _bounded(int(digits) if len(digits) < _MOST_DIGITS else float(digits))
        for pattern, base in ((_OCTAL, 8), (_HEX, 16), (_BINARY, 2)):
            if pattern.fullmatch(text):
                sign = -1 if digits[0] == "-" else 1
                return _bounded(sign * int(digits.lstrip("+-")[2:] or "0", base))
        if _FLOAT.fullmatch(text):
            return float(digits)
    if text.lstrip("+-") in (".inf", ".Inf", ".INF") and len(text) < 6:
        return float("-inf") if text.startswith("-") else float("inf")
    return float("nan") if text in (".nan", ".NaN", ".NAN") else None


def _bounded(value: int | float) -> int | float:
    """Return infinity for what is beyond a double, as JavaScript does."""
    try:
        return value if float(value) not in (float("inf"), float("-inf")) else float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
