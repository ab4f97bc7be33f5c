"""Branches: whether the build's branch is among those that a step wants, and among none that it does not.

An item is compared as it stands, or, written as ``/body/flags``, is a regular expression that is searched anywhere in
the name. Only letters that are flags may stand behind the last slash: ``/a/b`` is no expression but a name, which no
branch has, as git lets none begin with a slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from oci_push.errors import Diagnostic
from oci_push.expressions.javascript.pattern_syntax import PatternError
from oci_push.language.steps import Branches, Text

_EXPRESSION = re.compile(r"/(.+)/([dgimsuy]*)", re.DOTALL)


def allows(branches: Branches, branch: str | None) -> Decision:
    """Decide whether a step runs on `branch`; it must be in `only` and must not be in `ignore`, where they are given.

    Without a branch nothing is in `only`, and nothing in `ignore`. What cannot be searched for is taken not to match.
    Variables in the items have been replaced before.
    """
    if branches.only is not None:
        found = _search(branches.only, branch)
        if found.item is None:
            wanted = ", ".join(item.text for item in branches.only) or "(nothing)"
            said = f"{_described(branch)} is not among {wanted}{found.problem and f' ({found.problem})'}"
            return Decision(False, said, is_unknown=branch is None)
    if branches.ignore is not None:
        found = _search(branches.ignore, branch)
        if found.item is not None:
            return Decision(False, f"{_described(branch)} is ignored by {found.item}")
    return Decision(True)


def find_bad_patterns(branches: Branches, path: str) -> tuple[Diagnostic, ...]:
    """Return a warning for each item that no branch can match; `path` leads to the branches in the file."""
    listed = [*_places("only", branches.only), *_places("ignore", branches.ignore)]
    return tuple(
        item.location.problem(message, path=f"{path}.{place}", hint=hint)
        for place, item in listed
        for message, hint in _complaints(item.text)
    )


class _Found(Struct, frozen=True):
    """The item that matches, or why one could not be searched for."""

    item: str | None = None
    problem: str = ""


def _search(items: tuple[Text, ...], branch: str | None) -> _Found:
    if branch is None:
        return _Found()
    problem = ""
    for item in items:
        try:
            if _matches(item.text, branch):
                return _Found(item.text)
        except PatternError as error:
            problem = problem or str(error)
    return _Found(problem=problem)


def _matches(item: str, branch: str) -> bool:
    expression = _EXPRESSION.fullmatch(item)
    if expression is None:
        return item == branch
    # Imported here: the engine takes longer to import than all the rest, and most branches are plain names.
    from oci_push.expressions.javascript.patterns import compile_pattern

    return compile_pattern(expression[1], expression[2]).search(branch)


def _described(branch: str | None) -> str:
    return "the branch is not known (CF_BRANCH is not set), so it" if branch is None else f"branch {branch!r}"


def _places(block: str, items: tuple[Text, ...] | None) -> Iterator[tuple[str, Text]]:
    for number, item in enumerate(items or ()):
        yield f"{block}.{number}", item


def _complaints(item: str) -> Iterator[tuple[str, str]]:
    """Return message and hint for an item that matches nothing; one with a variable may still become a good one."""
    from oci_push.expressions.javascript.patterns import compile_pattern

    if "${{" in item:
        return
    if expression := _EXPRESSION.fullmatch(item):
        try:
            compile_pattern(expression[1], expression[2])
        except PatternError as problem:
            yield f"branch pattern matches nothing: {problem}", "correct the regular expression (JavaScript's syntax)"
    elif item.startswith("/"):
        hint = "write /expression/ for a regular expression, with flags such as i behind it, or the name without slash"
        yield f"branch {item!r} matches nothing: a name cannot begin with a slash", hint


class Decision(Struct, frozen=True):
    """Whether a step runs; `reason` says why not.

    `steps` are those without a result that keep it from running; `is_unknown` says that a value does that nobody knows.
    Where there is neither, the step's own conditions say no.
    """

    runs: bool
    reason: str = ""
    steps: tuple[str, ...] = ()
    is_unknown: bool = False
