"""`oci-push eval`: what a condition gives, and why."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated

from msgspec import Struct

from oci_push.cli.command import run_command, takes
from oci_push.cli.options import AsJson, Var, given_source, pairs
from oci_push.cli.output import say, say_json, tell
from oci_push.cli.words import Argument, Option
from oci_push.errors import ConfigError
from oci_push.expressions.evaluate import Evaluated, Value, evaluate
from oci_push.expressions.javascript.values import number_to_text
from oci_push.model.display import plain
from oci_push.runner.conditions import VariablesEvaluator
from oci_push.runtime.context import Context
from oci_push.variables.lookup import Variables

_WIDTH = 78
_RESULT = "result"


@takes()
def evaluate_command(
    expression: Annotated[str, Argument(metavar="EXPRESSION", help="As under when: condition:.")],
    var: Var = None,
    step: Annotated[
        list[str] | None,
        Option("Set a step's result, or another member of it.", metavar="NAME[.MEMBER]=VALUE"),
    ] = None,
    workflow: Annotated[str, Option("Set workflow.result.", metavar="RESULT")] = "running",
    as_json: AsJson = False,
) -> None:
    """Evaluate a condition: print true or false, and say why.

    Variables are replaced first; those that are not set stay as they are written. An error makes a condition false. The
    exit code is 0 either way, and 2 for what is no expression. Put -- before an expression that begins with a dash.
    """

    def work(context: Context) -> int:
        known = _Known.of(pairs(var, "--var", "NAME=VALUE"), step, workflow)
        done = known.variables.interpolate(expression)
        found = evaluate(done.text, known.names)
        if as_json:
            say_json(_to_json(done.text, done.undefined, found))
        else:
            _print(expression, done.text, done.undefined, found)
        return 2 if found.is_unread else 0

    run_command(work, what="eval")


class _Known(Struct, frozen=True):
    """What the options say: for ``${{…}}``, and by name for the expression itself."""

    variables: Variables
    names: Mapping[str, Value]

    @classmethod
    def of(cls, values: dict[str, str], steps: list[str] | None, workflow: str) -> _Known:
        variables = Variables([given_source("--var", values)])
        members: dict[str, dict[str, str]] = {}
        for name, value in pairs(steps, "--step", "NAME=RESULT or NAME.MEMBER=VALUE").items():
            step, _, member = name.partition(".")
            if not step:
                raise ConfigError(f"--step {name}={value}: the step's name is missing")
            members.setdefault(step, {})[member or _RESULT] = value
        for step, found in members.items():
            variables.export(step, found)
        states = {step: found.get(_RESULT, "pending") for step, found in members.items()}
        return cls(variables, VariablesEvaluator(variables).names(states, workflow))


def _to_json(text: str, undefined: tuple[str, ...], found: Evaluated) -> dict[str, object]:
    return {
        "value": found.truth,
        "result": _plain(found.result),
        "error": found.error or None,
        "hint": found.hint or None,
        "expression": text,
        "position": found.position,
        "undefined": list(undefined),
    }


def _plain(value: Value) -> object:
    """Return what JSON can hold: whole numbers without a point, and the words for what is no number."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return number_to_text(value)
    return int(value) if value.is_integer() else value


def _print(written: str, text: str, undefined: tuple[str, ...], found: Evaluated) -> None:
    say("true" if found.truth else "false")
    if text != written or found.error:
        _show(text, found.position)
    if found.error:
        tell(f"error: {found.error}")
    elif not isinstance(found.result, bool):
        tell(f"result: {_shown(found.result)}")
    if found.hint:
        tell(f"  hint: {found.hint}")
    for name in undefined:
        tell(f"note: {name} is not set and stays ${{{{{name}}}}}")


def _show(text: str, position: int | None) -> None:
    """Show the part of the expression round a place, on one line, with a mark below it."""
    line = plain(text)
    place = None if position is None else len(plain(text[:position]))
    start = 0 if place is None else max(0, min(place - _WIDTH // 2, len(line) - _WIDTH))
    before, after = "…" if start else "", "…" if start + _WIDTH < len(line) else ""
    tell(f"  {before}{line[start : start + _WIDTH]}{after}")
    if place is not None:
        tell(f"  {' ' * (len(before) + place - start)}^")


def _shown(value: Value) -> str:
    if isinstance(value, float):
        return number_to_text(value)
    return json.dumps(value, ensure_ascii=False)
