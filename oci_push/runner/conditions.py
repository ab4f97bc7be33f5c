"""Judging: conditions, branches and dependencies of steps, with the variables and results of one run."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import cast

from oci_push.errors import ConfigError
from oci_push.expressions.evaluate import Evaluated, Value, evaluate
from oci_push.expressions.syntax import parse
from oci_push.language.branches import Decision, allows
from oci_push.language.scalars import to_boolean
from oci_push.language.steps import Branches, Condition, Conditions, Dependencies, Dependency, Flag, Text, When
from oci_push.model.outcomes import Status
from oci_push.variables.derived import DERIVED
from oci_push.variables.lookup import Variables, names_in

_OF_GIT = ("CF_BRANCH", "CF_REVISION", "CF_BRANCH_TAG_NORMALIZED")
_FINISHED = frozenset({Status.SUCCESS, Status.FAILURE, Status.SKIPPED, Status.TERMINATED})
_WITHOUT_RESULT = frozenset({Status.PENDING, Status.SKIPPED})
_ALWAYS_THERE = frozenset({"CF_BRANCH", "CF_REVISION", *(n for n, one in DERIVED.items() if one.base in _OF_GIT)})
_STEP_NAMES = re.compile(r"\bsteps\.([\w-]+)|(?<![\w.\"'-])([\w-]+)\.result\b")
_MOST_READ = 1024
_SHOWN = 80


class VariablesEvaluator:
    """Judge by variables, and by what steps have exported to them."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        # Steps that wait are judged again and again by the same texts.
        self._read = lru_cache(_MOST_READ)(parse)

    def allows(self, when: When, states: Mapping[str, str], workflow: str) -> Decision:
        """Ask branches, then dependencies, then conditions; all must agree."""
        if when.branches.only is not None or when.branches.ignore is not None:
            branch = allows(self._interpolated(when.branches), self._variables.names().get("CF_BRANCH"))
            if not branch.runs:
                return branch
        if when.dependencies is not None:
            waits = _dependencies(when.dependencies, states)
            if not waits.runs:
                return waits
        return self.holds(when.conditions, states, workflow)

    def _interpolated(self, branches: Branches) -> Branches:
        def done(items: tuple[Text, ...] | None) -> tuple[Text, ...] | None:
            if items is None:
                return None
            return tuple(Text(self._variables.interpolate(item.text).text, item.location) for item in items)

        return Branches(done(branches.only), done(branches.ignore))

    def holds(self, conditions: Conditions, states: Mapping[str, str], workflow: str) -> Decision:
        """Want every expression under `all` and, where `any` is given, one of those."""
        if conditions.all is None and conditions.any is None:
            return Decision(True)
        names = self.names(states, workflow)
        for condition in conditions.all or ():
            found = self.evaluate(condition.expression.text, names)
            if not found.truth:
                said = f"condition {condition.name!r} is false: {_why(condition.expression.text, found)}"
                return self._no(said, (condition,), states)
        if conditions.any is None:
            return Decision(True)
        tried = []
        for condition in conditions.any:
            found = self.evaluate(condition.expression.text, names)
            if found.truth:
                return Decision(True)
            tried.append(f"{condition.name!r}: {_why(condition.expression.text, found)}")
        said = f"no condition of any is true ({'; '.join(tried) or 'it is empty'})"
        return self._no(said, conditions.any, states)

    def _no(self, reason: str, conditions: tuple[Condition, ...], states: Mapping[str, str]) -> Decision:
        """Return a no, with the steps and variables in false conditions that have no value yet and should have one."""
        text = "\n".join(condition.expression.text for condition in conditions)
        steps = tuple(name for name in _asked(text) if states.get(name) in _WITHOUT_RESULT)
        is_unknown = any(name in _ALWAYS_THERE and self._variables.lookup(name) is None for name in names_in(text))
        return Decision(False, reason, steps, is_unknown)

    def flag(self, flag: Flag) -> bool | None:
        """Read a switch; a variable that is no boolean says nothing."""
        if flag is None or isinstance(flag, bool):
            return flag
        return to_boolean(self._variables.interpolate(flag.text).text.strip())

    def evaluate(self, expression: str, names: Mapping[str, Value]) -> Evaluated:
        """Evaluate an expression after replacing its variables; what is wrong with them makes it false as well."""
        try:
            done = self._variables.interpolate(expression)
        except ConfigError as problem:
            return Evaluated(error=str(problem))
        found = evaluate(done.text, names, read=self._read)
        if found.error and done.secrets:
            return Evaluated(error="cannot be evaluated; the reason could show a secret")
        return found

    def names(self, states: Mapping[str, str], workflow: str) -> Mapping[str, Value]:
        """Return what expressions may name: variables, ``steps``, each step by its bare name, and ``workflow``."""
        steps = _Steps(states, self._variables.exports())
        own: dict[str, Value] = {"steps": steps, "workflow": {"result": workflow}}
        # A look-up costs nothing for what is not asked: conditions are many, and so are steps.
        return ChainMap(own, cast("dict[str, Value]", steps), cast("dict[str, Value]", self._variables.names()))


class _Steps(Mapping[str, Value]):
    """The outputs of each step by its name, put together when it is asked for."""

    def __init__(self, states: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]]) -> None:
        self._states = states
        self._outputs = outputs

    def __getitem__(self, name: str) -> Value:
        return {**self._outputs.get(name, {}), "name": name, "result": str(self._states[name])}

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


def _dependencies(wanted: Dependencies, states: Mapping[str, str]) -> Decision:
    missing = [one for one in wanted.steps if not _is_met(one, states)]
    if not missing or (wanted.one_suffices and len(missing) < len(wanted.steps)):
        return Decision(True)
    told = "; ".join(_waits(one, states) for one in missing)
    said = f"none of its steps is as wanted: {told}" if wanted.one_suffices else told
    without = (one.name.text for one in missing if states.get(one.name.text) in _WITHOUT_RESULT)
    is_unknown = any(one.name.text not in states for one in missing)
    return Decision(False, said, tuple(dict.fromkeys(without)), is_unknown)


def _asked(expression: str) -> tuple[str, ...]:
    """Name what may be steps in an expression: ``steps.NAME``, or ``NAME.member`` outside of words in quotes."""
    return tuple(dict.fromkeys(name for found in _STEP_NAMES.findall(expression) for name in found if name))


def _is_met(wanted: Dependency, states: Mapping[str, str]) -> bool:
    state = states.get(wanted.name.text, "")
    return any(state == word or (word == "finished" and state in _FINISHED) for word in wanted.states)


def _waits(wanted: Dependency, states: Mapping[str, str]) -> str:
    name = wanted.name.text
    state = states.get(name)
    if state is None:
        return f"waits for step {name!r}, which does not exist"
    words = " or ".join(wanted.states)
    never = " (it did not run)" if state == Status.SKIPPED and Status.SKIPPED not in wanted.states else ""
    return f"step {name!r} is {state}{never}, not {words}"


def _why(expression: str, found: Evaluated) -> str:
    short = expression if len(expression) <= _SHOWN else f"{expression[: _SHOWN - 1]}…"
    return f"{short} ({found.error})" if found.error else short
