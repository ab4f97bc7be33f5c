"""Scalars as the vendor's validator sees them, and typed values out of checked nodes.

It is JavaScript with joi 9, which converts text that reads as a number or a boolean. What is absent, or was found wrong
before, reads as nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from oci_push.language.document import Node, Scalar, YamlEntry, YamlMapping, YamlSequence
from oci_push.language.steps import HOOK_EVENTS, Flag, Text
from oci_push.language.yaml_scalars import Timestamp

VARIABLE = re.compile(r"\$\{{2}(.+?)\}{2}")
BOOLEAN_WORDS = frozenset({"true", "yes", "on", "1", "false", "no", "off", "0"})
_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\s*")


def js_length(text: str) -> int:
    """Return the number of UTF-16 units, as JavaScript does."""
    return len(text) + sum(char > "\uffff" for char in text)


def any_case(word: str) -> str:
    """Return a pattern for a word in any letter case."""
    return "".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in word)


def matches(pattern: str, text: str) -> bool:
    """Return whether JavaScript finds a pattern: ``$`` does not match before a last line break, digits are ASCII."""
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
    """Return a finite number, also out of text; a boolean is none."""
    if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, int | float | str):
        return None
    if isinstance(node.value, str) and not _NUMBER.fullmatch(node.value):
        return None
    value = float(node.value)
    return value if float("-inf") < value < float("inf") else None


def boolean(node: Node | None, *, strict: bool = False) -> bool | None:
    """Return what joi takes for a boolean; with `strict`, a YAML boolean only."""
    if not isinstance(node, Scalar):
        return None
    if isinstance(node.value, bool):
        return node.value
    if strict or not isinstance(node.value, str | int | float):
        return None
    return to_boolean(shown(node))


def to_boolean(text: str) -> bool | None:
    """Return a word that joi takes for a boolean, in any letter case."""
    word = text.lower()
    return word in _TRUE_WORDS if word in BOOLEAN_WORDS else None


def is_variable(node: Node) -> bool:
    """Return whether the whole value is ``${{…}}``, by the vendor's pattern."""
    return isinstance(node, Scalar) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value) is not None


def child(node: Node | None, key: str) -> Node | None:
    """Return a mapping's value; anything else has none."""
    return node.get(key) if isinstance(node, YamlMapping) else None


def entries(node: Node | None) -> tuple[YamlEntry, ...]:
    """Return a mapping's entries; anything else has none."""
    return node.entries if isinstance(node, YamlMapping) else ()


def items(node: Node | None) -> tuple[Node, ...]:
    """Return a list's items; anything else has none."""
    return node.items if isinstance(node, YamlSequence) else ()


def text(node: Node | None) -> Text | None:
    """Return a string that is not empty."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
        return Text(node.value, node.location)
    return None


def texts(node: Node | None) -> tuple[Text, ...]:
    """Return a list's strings."""
    return tuple(found for item in items(node) if (found := text(item)) is not None)


def word(node: Node | None) -> str:
    """Return a string, or an empty one."""
    found = text(node)
    return found.text if found else ""


def flag(node: Node | None, *, strict: bool = False) -> Flag:
    """Return a switch: said, left to a variable, or not said."""
    if node is None:
        return None
    value = boolean(node, strict=strict)
    return text(node) if value is None and is_variable(node) else value


def step_type(step: YamlMapping) -> str:
    """Return a step's type as written; one without is ``freestyle``, one that is no text gives nothing."""
    kind = step.get("type")
    if kind is None:
        return "freestyle"
    return kind.value if isinstance(kind, Scalar) and isinstance(kind.value, str) else ""


def walk_steps(steps: Node | None, path: str) -> Iterator[tuple[YamlEntry, str]]:
    """Yield the steps of all levels, parents first, with the path of each; whatever their types are."""
    for entry in entries(steps):
        where = f"{path}.{entry.key.text}"
        yield entry, where
        yield from walk_steps(child(entry.value, "steps"), f"{where}.steps")


def walk_hooks(owner: YamlMapping, path: str) -> Iterator[tuple[Node, str]]:
    """Yield the steps that stand in the hooks of a step or of the pipeline, of all levels, with the path of each."""
    for event in HOOK_EVENTS:
        hook, where = child(owner.get("hooks"), event), f"{path}.hooks.{event}".lstrip(".")
        inner = child(hook, "exec")
        if inner is not None:
            hook, where = inner, f"{where}.exec"
        steps = child(hook, "steps")
        if steps is None and hook is not None:
            yield hook, where
        for step, at in walk_steps(steps, f"{where}.steps"):
            yield step.value, at
