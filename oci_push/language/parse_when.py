"""Building `when` and `success_criteria` out of checked nodes."""

from __future__ import annotations

from oci_push.language.document import Node, Sequence
from oci_push.language.read import child, entries, items, text, texts, words
from oci_push.language.steps import (
    Branches,
    Condition,
    Conditions,
    Dependencies,
    Dependency,
    SuccessCriteria,
    Text,
    When,
)


def parse_when(node: Node | None) -> When:
    """Build what decides whether a step runs; nothing asked where there is nothing."""
    branch = child(node, "branch")
    return When(
        Branches(_listed(child(branch, "only")), _listed(child(branch, "ignore"))),
        parse_conditions(child(node, "condition")),
        _dependencies(child(node, "steps")),
    )


def parse_conditions(node: Node | None) -> Conditions:
    """Build the expressions under `all` and `any`."""
    return Conditions(_conditions(child(node, "all")), _conditions(child(node, "any")))


def parse_success_criteria(node: Node | None) -> SuccessCriteria | None:
    """Build what makes a group successful; a plain list of names means `only`."""
    if node is None:
        return None
    steps = child(node, "steps")
    only = steps if isinstance(steps, Sequence) else child(steps, "only")
    return SuccessCriteria(
        None if only is None else words(only), words(child(steps, "ignore")), parse_conditions(child(node, "condition"))
    )


def _listed(node: Node | None) -> tuple[Text, ...] | None:
    return None if node is None else texts(node)


def _conditions(node: Node | None) -> tuple[Condition, ...] | None:
    if node is None:
        return None
    return tuple(
        Condition(entry.key.text, found) for entry in entries(node) if (found := text(entry.value)) is not None
    )


def _dependencies(node: Node | None) -> Dependencies | None:
    if node is None:
        return None
    listed = node if isinstance(node, Sequence) else child(node, "all") or child(node, "any")
    found = []
    for item in items(listed):
        name, states = text(child(item, "name")), words(child(item, "on"))
        if name is not None:
            found.append(Dependency(name, states or ("success",)))
    return Dependencies(tuple(found), one_suffices=child(node, "any") is not None)
