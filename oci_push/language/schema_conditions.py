"""Reading the expressions and branch patterns of a pipeline, as far as that goes before a run.

Upstream accepts any text: an expression that cannot be read is false when it is reached, a bad pattern matches no
branch. So these are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_push.expressions.functions import get_function
from oci_push.expressions.hints import find_hint
from oci_push.expressions.javascript.values import BLANKS, ExpressionError, from_units, to_units
from oci_push.expressions.syntax import Binary, ExpressionCall, Fail, Find, parse
from oci_push.language.branches import find_bad_patterns
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.scalars import VARIABLE
from oci_push.language.steps import Conditions, Hook, ParallelStep, Pipeline, Step, Text

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
    """Say why an expression is always wrong, and what to write instead; nothing if it may be right."""
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
            diagnostics.warn(text.mark, where, f"expression is always false: {fault[0]}", hint=hint)


def _named(conditions: Conditions) -> Iterator[tuple[str, Text]]:
    for block, listed in (("all", conditions.all), ("any", conditions.any)):
        for condition in listed or ():
            yield f"{block}.{condition.name}", condition.expression
