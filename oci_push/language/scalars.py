"""Scalars as the vendor's validator sees them: what is a number, a boolean, a variable, and how a value is printed.

It is JavaScript with joi 9, which converts text that reads as a number or a boolean.
"""

from __future__ import annotations

import re

from oci_push.language.document import Node, Scalar
from oci_push.language.yaml_scalars import Timestamp

VARIABLE = re.compile(r"\$\{{2}(.+?)\}{2}")
BOOLEAN_WORDS = frozenset({"true", "yes", "on", "1", "false", "no", "off", "0"})
_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\s*")


def js_length(text: str) -> int:
    """Count UTF-16 units, as JavaScript does."""
    return len(text) + sum(char > "\uffff" for char in text)


def any_case(word: str) -> str:
    """Return a pattern for a word in any letter case."""
    return "".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in word)


def matches(pattern: str, text: str) -> bool:
    """Search as JavaScript does: ``$`` does not match before a last line break, and digits are ASCII."""
    return re.search(pattern.replace("$", r"\Z"), text, re.ASCII) is not None


def shown(node: Scalar) -> str:
    """Return a value as JavaScript prints it."""
    value = node.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if value is None:
        return "null"
    return value.text if isinstance(value, Timestamp) else str(value)


def number(node: Node | None) -> float | None:
    """Read a finite number, also out of text; a boolean is none."""
    if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, int | float | str):
        return None
    if isinstance(node.value, str) and not _NUMBER.fullmatch(node.value):
        return None
    value = float(node.value)
    return value if float("-inf") < value < float("inf") else None


def boolean(node: Node | None, *, strict: bool = False) -> bool | None:
    """Read what joi takes for a boolean; with `strict`, a YAML boolean only."""
    if not isinstance(node, Scalar):
        return None
    if isinstance(node.value, bool):
        return node.value
    if strict or not isinstance(node.value, str | int | float):
        return None
    return to_boolean(shown(node))


def to_boolean(text: str) -> bool | None:
    """Read a word that joi takes for a boolean, in any letter case."""
    word = text.lower()
    return word in _TRUE_WORDS if word in BOOLEAN_WORDS else None


def is_variable(node: Node) -> bool:
    """Say whether the whole value is ``${{…}}``, by the vendor's pattern."""
    return isinstance(node, Scalar) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value) is not None
