"""Typed values out of checked nodes: what a key holds, or nothing where it is absent or was found wrong before."""

from __future__ import annotations

from oci_push.language import scalars
from oci_push.language.document import Entry, Mapping, Node, Scalar, Sequence
from oci_push.language.steps import Flag, Text


def child(node: Node | None, key: str) -> Node | None:
    """Return a mapping's value; anything else has none."""
    return node.get(key) if isinstance(node, Mapping) else None


def entries(node: Node | None) -> tuple[Entry, ...]:
    """Return a mapping's entries; anything else has none."""
    return node.entries if isinstance(node, Mapping) else ()


def items(node: Node | None) -> tuple[Node, ...]:
    """Return a list's items; anything else has none."""
    return node.items if isinstance(node, Sequence) else ()


def text(node: Node | None) -> Text | None:
    """Return a string that is not empty."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
        return Text(node.value, node.mark)
    return None


def texts(node: Node | None) -> tuple[Text, ...]:
    """Return a list's strings."""
    return tuple(found for item in items(node) if (found := text(item)) is not None)


def words(node: Node | None) -> tuple[str, ...]:
    """Return a list's strings, where places do not matter."""
    return tuple(found.text for found in texts(node))


def word(node: Node | None) -> str:
    """Return a string, or an empty one."""
    found = text(node)
    return found.text if found else ""


def number(node: Node | None, default: float) -> float:
    """Return a number, or `default`."""
    value = scalars.number(node)
    return default if value is None else value


def flag(node: Node | None, *, strict: bool = False) -> Flag:
    """Return a switch: said, left to a variable, or not said."""
    if node is None:
        return None
    value = scalars.boolean(node, strict=strict)
    return text(node) if value is None and scalars.is_variable(node) else value
