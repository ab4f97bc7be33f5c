"""What decides whether a step runs and how a group ends: the keys of `when` and of `success_criteria`.

Upstream accepts any text as an expression or branch: an expression that cannot be read is false when it is reached, a
bad pattern matches no branch. So `check_conditions` warns, as far as that can be told before a run.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from oci_push.expressions.functions import get_function
from oci_push.expressions.hints import find_hint
from oci_push.expressions.javascript.values import BLANKS, ExpressionError, from_units, to_units
from oci_push.expressions.syntax import Binary, ExpressionCall, Fail, Find, parse
from oci_push.language.branches import find_bad_patterns
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Scalar
from oci_push.language.scalar_rules import Choice, String
from oci_push.language.scalars import VARIABLE
from oci_push.language.schema import ByShape, Entries, Field, Fields, Into, Items, OneOf
from oci_push.language.steps import (
    Branches,
    Condition,
    Conditions,
    Dependencies,
    Dependency,
    Hook,
    ParallelStep,
    Pipeline,
    Step,
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

_ALL_CHILDREN, _NO_CONDITIONS = SuccessCriteria(), Conditions()


def _condition(name: Scalar, expression: Text | None) -> Condition | None:
    return None if expression is None else Condition(name.text, expression)


def _dependency(name: Text | None = None, states: tuple[str, ...] = ()) -> Dependency | None:
    return None if name is None else Dependency(name, states or ("success",))


def _dependencies(
    all: tuple[Dependency, ...] | None = None,
    any: tuple[Dependency, ...] | None = None,
) -> Dependencies:
    return Dependencies((any or ()) if all is None else all, one_suffices=any is not None)


def _children(only: tuple[Text, ...] | None = None, ignore: tuple[Text, ...] = ()) -> SuccessCriteria:
    return SuccessCriteria(None if only is None else _words(only), _words(ignore))


def _criteria(
    steps: SuccessCriteria | tuple[Text, ...] = _ALL_CHILDREN, conditions: Conditions = _NO_CONDITIONS
) -> SuccessCriteria:
    """Return the parts as one; a plain list of names means `only`."""
    children = steps if isinstance(steps, SuccessCriteria) else _children(steps)
    return replace(children, conditions=conditions)


def _words(texts: tuple[Text, ...]) -> tuple[str, ...]:
    return tuple(text.text for text in texts)


_NAMES = Items(String(), least=1)
_EXPRESSIONS = Entries(String(max_length=MAX_CONDITION), pattern="^[A-Za-z0-9_]+$", into=_condition)
CONDITION = Fields(
    {
        "all": Field(_EXPRESSIONS, "Expressions that must all be true, each under a name of its own."),
        "any": Field(_EXPRESSIONS, "Expressions of which one must be true, each under a name of its own."),
    },
    into=Conditions,
)
_DEPENDENCY = Fields(
    {
        "name": Field(String(), "The step waited for.", required=True),
        "on": Field(
            Items(Choice(STATES), least=1), "States of it that suffice.", default=["success"], attribute="states"
        ),
    },
    into=_dependency,
)
_ALL_OR_ANY = Fields(
    {
        "all": Field(Items(_DEPENDENCY, least=1), "Every one of these must hold."),
        "any": Field(Items(_DEPENDENCY, least=1), "One of these must hold."),
    },
    into=_dependencies,
    is_choice=True,
)


DEPENDENCIES = ByShape("array", Into(Items(_DEPENDENCY, least=1), Dependencies), _ALL_OR_ANY)

WHEN = Fields(
    {
        "branch": Field(
            Fields(
                {
                    "only": Field(Items(String()), "Names, or /regular expressions/, of branches that run the step."),
                    "ignore": Field(Items(String()), "Names, or /regular expressions/, of branches that skip it."),
                },
                into=Branches,
            ),
            "Run depending on the branch (CF_BRANCH).",
            attribute="branches",
        ),
        "condition": Field(CONDITION, "Run depending on expressions.", attribute="conditions"),
        "steps": Field(DEPENDENCIES, "Run depending on the states of other steps.", attribute="dependencies"),
    },
    into=When,
)

_CHILDREN: OneOf[SuccessCriteria | tuple[Text, ...]] = OneOf(
    (
        Fields(
            {
                "only": Field(_NAMES, "These children decide."),
                "ignore": Field(_NAMES, "These children do not count."),
            },
            into=_children,
        ),
        _NAMES,
    )
)
SUCCESS_CRITERIA = Fields(
    {
        "steps": Field(_CHILDREN, "Which children decide about success."),
        "condition": Field(CONDITION, "Expressions over the children's results.", attribute="conditions"),
    },
    into=_criteria,
)


_ALWAYS_WRONG = ("===", "!==", "|", "&", "^", "<<", ">>", ">>>")
_STAND_IN = "x"
"""What variables are taken for: a name is fine in quotes, as a word, and as part of one."""


def check_conditions(pipeline: Pipeline, diagnostics: Diagnostics) -> None:
    """Warn about what can never be true."""
    if pipeline.success_criteria is not None:
        _conditions(pipeline.success_criteria.conditions, "success_criteria", diagnostics)
    for hook in pipeline.hooks:
        _hook(hook, "hooks", diagnostics)
    for step in pipeline.steps:
        _step(step, f"steps.{step.name}", diagnostics)


def find_fault(text: str) -> tuple[str, str] | None:
    """Return why an expression is always wrong, and what to write instead; nothing if it may be right."""
    filled = VARIABLE.sub(_STAND_IN, text)
    try:
        for one in parse(to_units(filled).strip(BLANKS)):
            if isinstance(one, Fail):
                raise ExpressionError(one.message, one.at)
            if isinstance(one, Binary) and one.operator in _ALWAYS_WRONG:
                raise ExpressionError(f"Invalid binary operator: {one.operator}", one.at)
            if isinstance(one, Find | ExpressionCall):
                wanted = len(get_function(one.function).parameters)
                if isinstance(one, ExpressionCall) and one.count != wanted:
                    raise ExpressionError(f"Expected {wanted} arguments for function '{one.function}'.", one.at)
    except ExpressionError as error:
        message = from_units(error.message)
        return message, find_hint(text, message, 0, {})
    return None


def _step(step: Step, path: str, diagnostics: Diagnostics) -> None:
    when = step.settings.when
    _conditions(when.conditions, f"{path}.when", diagnostics)
    diagnostics.warnings.extend(find_bad_patterns(when.branches, f"{path}.when.branch"))
    for hook in step.settings.hooks:
        _hook(hook, f"{path}.hooks", diagnostics)
    if isinstance(step, ParallelStep):
        if step.success_criteria is not None:
            _conditions(step.success_criteria.conditions, f"{path}.success_criteria", diagnostics)
        for inner in step.steps:
            _step(inner, f"{path}.steps.{inner.name}", diagnostics)


def _hook(hook: Hook, path: str, diagnostics: Diagnostics) -> None:
    for step in hook.steps:
        _step(step, f"{path}.{hook.event}", diagnostics)


def _conditions(conditions: Conditions, path: str, diagnostics: Diagnostics) -> None:
    for name, text in _named(conditions):
        fault = find_fault(text.text)
        if fault is not None:
            where = f"{path}.condition.{name}"
            hint = fault[1] or "the condition is false whenever it is reached"
            diagnostics.warn(text.location, where, f"expression is always false: {fault[0]}", hint=hint)


def _named(conditions: Conditions) -> Iterator[tuple[str, Text]]:
    for block, listed in (("all", conditions.all), ("any", conditions.any)):
        for condition in listed or ():
            yield f"{block}.{condition.name}", condition.expression
