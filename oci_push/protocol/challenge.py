"""Challenges: the WWW-Authenticate header, parsed as RFC 9110 §11.6.1 writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PIECE = (
    rf'\s*(?P<name>{_NAME})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_NAME}[^\s,]*))\s*(?:,|$)'
    rf"|\s*(?P<scheme>{_NAME})(?:\s+|,|$)|\s*,"
)


class Challenge(Struct, frozen=True):
    """One way in that a registry offers; `scheme` and parameter names are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes that a Bearer challenge names, in canonical form."""
        return canonical(self.parameters.get("scope", "").split())


def parse(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Read every challenge of every header value; what cannot be read ends the value, without an error."""
    found: list[tuple[str, dict[str, str]]] = []
    piece = re.compile(_PIECE)
    for text in headers:
        position = 0
        while position < len(text):
            match = piece.match(text, position)
            if not match or match.end() == position:
                break
            position = match.end()
            if match["scheme"]:
                found.append((match["scheme"].lower(), {}))
            elif match["name"] and found:
                quoted = match["quoted"]
                value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match["plain"]
                found[-1][1].setdefault(match["name"].lower(), value)
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def canonical(scopes: Iterable[str]) -> tuple[str, ...]:
    """Merge scopes: one per resource, actions sorted and without repeats, first resource first.

    A name may hold a port, so a scope is split at its first and its last colon (distribution, token scope).
    """
    merged: dict[str, set[str]] = {}
    for scope in scopes:
        resource, _, text = scope.rpartition(":")
        actions = {action for action in text.split(",") if action}
        if ":" not in resource or not actions:
            merged.setdefault(scope, set())  # no scope of the grammar: passed on as it is
            continue
        merged.setdefault(resource, set()).update(actions)
    return tuple(
        f"{resource}:{','.join(['*'] if '*' in actions else sorted(actions))}" if actions else resource
        for resource, actions in merged.items()
    )


def covers(granted: Iterable[str], wanted: Iterable[str]) -> bool:
    """Return whether every action in `wanted` is in `granted`."""
    have: dict[str, set[str]] = {}
    for scope in granted:
        resource, _, actions = scope.rpartition(":")
        have.setdefault(resource, set()).update(actions.split(","))
    for scope in wanted:
        resource, _, actions = scope.rpartition(":")
        found = have.get(resource, set())
        if "*" not in found and not set(actions.split(",")) <= found:
            return False
    return True
