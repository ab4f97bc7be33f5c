"""What decides whether a step runs and how a group ends: the keys of `when` and of `success_criteria`."""

from __future__ import annotations

from msgspec import Struct

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, YamlMapping, YamlSequence
from oci_push.language.scalars import child, entries, items, text, texts, words
from oci_push.language.schema import Choice, Entries, Field, Fields, Items, OneOf, String
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

MAX_CONDITION = 12_000
STATES = (
    "success",
    "running",
    "failure",
    "skipped",
    "pending",
    "terminating",
    "terminated",
    "finished",
    "approved",
    "denied",
)

_NAMES = Items(String(), least=1)
_EXPRESSIONS = Entries(String(max_length=MAX_CONDITION), pattern="^[A-Za-z0-9_]+$")
CONDITION = Fields(
    {
        "all": Field(_EXPRESSIONS, "Expressions that must all be true, each under a name of its own."),
        "any": Field(_EXPRESSIONS, "Expressions of which one must be true, each under a name of its own."),
    }
)
_DEPENDENCY = Fields(
    {
        "name": Field(String(), "The step waited for.", required=True),
        "on": Field(Items(Choice(STATES), least=1), "States of it that suffice.", default=["success"]),
    }
)
_ALL_OR_ANY = Fields(
    {
        "all": Field(Items(_DEPENDENCY, least=1), "Every one of these must hold."),
        "any": Field(Items(_DEPENDENCY, least=1), "One of these must hold."),
    }
)


class DependenciesRule(Struct, frozen=True):
    """Want a list of steps waited for, or exactly one of `all` and `any`."""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check the form that the value has."""
        if isinstance(node, YamlSequence):
            Items(_DEPENDENCY, least=1).check(key, node, path, diagnostics)
            return
        _ALL_OR_ANY.check(key, node, path, diagnostics)
        if not isinstance(node, YamlMapping):
            return
        given = [name for name in ("all", "any") if node.entry(name) is not None]
        if not given:
            diagnostics.error(node.mark, path, f'"{key}" must contain at least one of [all, any]')
        elif len(given) == 2:
            message = f'"{key}" contains a conflict between exclusive peers [all, any]'
            diagnostics.error(node.mark, path, message, hint="keep one of them")

    def to_json(self) -> dict[str, object]:
        """Return both forms."""
        return {
            "anyOf": [
                Items(_DEPENDENCY, least=1).to_json(),
                {**_ALL_OR_ANY.to_json(), "minProperties": 1, "maxProperties": 1},
            ]
        }


WHEN = Fields(
    {
        "branch": Field(
            Fields(
                {
                    "only": Field(Items(String()), "Names, or /regular expressions/, of branches that run the step."),
                    "ignore": Field(Items(String()), "Names, or /regular expressions/, of branches that skip it."),
                }
            ),
            "Run depending on the branch (CF_BRANCH).",
        ),
        "condition": Field(CONDITION, "Run depending on expressions."),
        "steps": Field(DependenciesRule(), "Run depending on the states of other steps."),
    }
)

SUCCESS_CRITERIA = Fields(
    {
        "steps": Field(
            OneOf(
                (
                    Fields(
                        {
                            "only": Field(_NAMES, "These children decide."),
                            "ignore": Field(_NAMES, "These children do not count."),
                        }
                    ),
                    _NAMES,
                )
            ),
            "Which children decide about success.",
        ),
        "condition": Field(CONDITION, "Expressions over the children's results."),
    }
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
    only = steps if isinstance(steps, YamlSequence) else child(steps, "only")
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
    listed = node if isinstance(node, YamlSequence) else child(node, "all") or child(node, "any")
    found = []
    for item in items(listed):
        name, states = text(child(item, "name")), words(child(item, "on"))
        if name is not None:
            found.append(Dependency(name, states or ("success",)))
    return Dependencies(tuple(found), one_suffices=child(node, "any") is not None)
