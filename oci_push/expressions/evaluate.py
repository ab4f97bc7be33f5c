"""The value of an expression: the instructions are carried out on a stack, with strict types and no coercion.

Any error makes an expression false; it is told beside the value and never raised. Which types an operator takes, the
order in which faults are met and the words of the messages are those of the vendor's public evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, assert_never

from msgspec import Struct

from oci_push.expressions.functions import call, find_member, find_variable, get_function
from oci_push.expressions.hints import find_hint
from oci_push.expressions.javascript.operators import binary, unary
from oci_push.expressions.javascript.values import BLANKS, ExpressionError, Value, from_units, is_true, to_units
from oci_push.expressions.syntax import (
    Binary,
    ExpressionCall,
    Fail,
    Find,
    Instruction,
    Load,
    Member,
    Push,
    Unary,
    parse,
)

__all__ = ["MAX_LENGTH", "MAX_SEARCHES", "Evaluated", "Value", "evaluate"]

MAX_LENGTH = 12_000
"""The longest expression, in UTF-16 units, before and after variables are put in."""


MAX_SEARCHES = 30
"""How many calls of ``match`` one expression may have: each of them may take as long as a search may."""


Read: TypeAlias = Callable[[str], tuple[Instruction, ...]]


class Evaluated(Struct, frozen=True):
    """An expression's value, or the error that makes it false.

    `hint` says what to write instead; there may be one without an error. `position` counts the characters of the text
    before the place of the error. `is_unread` says that the text is no expression at all.
    """

    result: Value = None
    error: str = ""
    hint: str = ""
    position: int | None = None
    is_unread: bool = False

    @property
    def truth(self) -> bool:
        """Return whether a condition with this value holds."""
        return not self.error and is_true(self.result)


def evaluate(text: str, names: Mapping[str, Value], *, read: Read = parse) -> Evaluated:
    """Evaluate an expression whose ``${{…}}`` are already replaced; `names` are the variables it may use.

    `read` is for whoever evaluates the same texts again and again and keeps what they were read as.
    """
    all_units = to_units(text)
    units = all_units.strip(BLANKS)
    is_unread = True
    try:
        if len(all_units) > MAX_LENGTH:
            raise ExpressionError(f"length must be less than or equal to {MAX_LENGTH} characters long")
        code = read(units)
        is_unread = False
        result = _run(code, names)
        if isinstance(result, Mapping):
            raise ExpressionError("Cannot evaluate object variable directly", 0)
    except ExpressionError as error:
        message = from_units(error.message)
        position = None
        if error.at is not None:
            skipped = len(all_units) - len(all_units.lstrip(BLANKS))
            position = len(from_units(all_units[: skipped + error.at]))
        hint = find_hint(text, message, position or 0, names)
        return Evaluated(error=message, hint=hint, position=position, is_unread=is_unread)
    return Evaluated(from_units(result) if isinstance(result, str) else result, hint=find_hint(text, "", 0, names))


def _run(code: tuple[Instruction, ...], names: Mapping[str, Value]) -> Value:
    searches = [step.at for step in code if isinstance(step, ExpressionCall) and step.function == "match"]
    if len(searches) > MAX_SEARCHES:
        raise ExpressionError(f"More than {MAX_SEARCHES} calls of function 'match'", searches[MAX_SEARCHES])
    stack: list[Value] = []
    for step in code:
        try:
            _carry_out(step, stack, names)
        except ExpressionError as error:
            raise ExpressionError(error.message, step.at) from error
    (result,) = stack
    return result


def _carry_out(step: Instruction, stack: list[Value], names: Mapping[str, Value]) -> None:
    match step:
        case Push(value=value):
            stack.append(value)
        case Load(name=name):
            stack.append(find_variable(names, name))
        case Member(name=name):
            stack.append(find_member(stack.pop(), name))
        case Unary(operator=operator):
            stack.append(unary(operator, stack.pop()))
        case Binary(operator=operator):
            right = stack.pop()
            stack.append(binary(operator, stack.pop(), right))
        case Find(function=function):
            get_function(function)
        case ExpressionCall(function=function, count=count):
            arguments = stack[len(stack) - count :]
            del stack[len(stack) - count :]
            stack.append(call(function, arguments, names))
        case Fail(message=message):
            raise ExpressionError(message)
        case _:
            assert_never(step)
