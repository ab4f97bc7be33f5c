"""What checks find: errors and warnings with their places, collected so that all are told at once.

Beside them stands what only the vendor's own validator refuses: things that its documentation describes or that make
sense here, and that this program runs. Nobody is bothered with those who does not ask (``validate --strict``).
"""

from __future__ import annotations

from collections.abc import Iterable

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.document import Location, Node, Scalar
from oci_push.language.scalars import shown

_LONGEST_SHOWN = 200
_FAR = 5
"""Edits between two words from which on nobody asks whether one was meant."""


class Diagnostics:
    """Problems in the order in which they are found."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self.upstream: list[Diagnostic] = []

    def error(self, location: Location, path: str, message: str, *, code: int = 0, hint: str | None = None) -> None:
        """Add what makes the file unusable; `code` is the vendor's number."""
        self.errors.append(location.problem(message, path=path, code=code, hint=hint))

    def warn(self, location: Location, path: str, message: str, *, code: int = 0, hint: str | None = None) -> None:
        """Add what is strange but has a meaning."""
        self.warnings.append(location.problem(message, path=path, code=code, hint=hint))

    def refused_upstream(self, location: Location, path: str, message: str, *, code: int = 0, hint: str) -> None:
        """Add what is fine here and an error for the vendor's validator, in its words; `hint` says what we do."""
        self.upstream.append(location.problem(message, path=path, code=code, hint=hint))

    def bare_variables(self, found: Iterable[Scalar]) -> None:
        """Add variables without quotes in flow collections: text here, as the vendor's page writes them; no YAML."""
        for scalar in found:
            message = f"{scalar.text} has no quotes inside [ ] or {{ }}, which YAML does not allow; it is read as text"
            hint = f'write "{scalar.text}"'
            self.warn(scalar.location, "", message, hint=hint)
            self.refused_upstream(scalar.location, "", "not YAML: a flow list or mapping goes on strangely", hint=hint)

    def add(self, other: Diagnostics, *, as_warnings: bool = False) -> None:
        """Take over what another collection holds; `as_warnings` makes errors of it harmless."""
        (self.warnings if as_warnings else self.errors).extend(other.errors)
        self.warnings.extend(other.warnings)
        self.upstream.extend(other.upstream)

    def once(self) -> None:
        """Drop what was said before at the same place: steps out of one `matrix` share their lines."""
        for problems in (self.errors, self.warnings, self.upstream):
            kept = {(one.file, one.line, one.column, one.message): one for one in reversed(problems)}
            problems[:] = reversed(kept.values())

    def raise_errors(self) -> None:
        """Raise one `ConfigError` with every error, if there is any."""
        if self.errors:
            raise ConfigError(problems=self.errors)


def must(key: str, wanted: str, node: Node, *, secret: bool = False) -> str:
    """Return what `key` must be, and what it is where that helps and is no secret."""
    message = f'"{key}" must {wanted}'
    return message if secret else with_value(message, node)


def with_value(message: str, node: Node) -> str:
    """Return a message with the value, unless it is false for JavaScript; the blank at the end is the vendor's."""
    if not isinstance(node, Scalar) or not node.value or node.value != node.value:
        return message
    return f"{message}. Current value: {cut(shown(node))} "


def not_allowed(key: str, allowed: tuple[str, ...]) -> str:
    """Return that a key is unknown, and which one was probably meant."""
    near = suggest(key, allowed)
    return f'"{key}" is not allowed. Did you mean "{near}"?' if near else f'"{key}" is not allowed'


def suggest(key: str, allowed: tuple[str, ...]) -> str:
    """Return the key meant: the shortest that begins with `key`, else the nearest within four edits; or nothing."""
    longer = sorted((name for name in allowed if name.startswith(key)), key=len)
    if longer:
        return longer[0]
    near = [(distance(key, name), name) for name in allowed if abs(len(key) - len(name)) < 3]
    return min((found for found in near if found[0] < _FAR), key=lambda found: found[0], default=(0, ""))[1]


def distance(one: str, other: str) -> int:
    """Return the number of edits between two words (Levenshtein), up to the number from which on nobody asks."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
        if min(row) >= _FAR:
            return _FAR
    return row[-1]


def cut(text: str) -> str:
    """Return, shortened, what is quoted of a file."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
