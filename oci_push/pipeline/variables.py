"""Variables: ``${{NAME}}`` in values and keys. What is not defined stays exactly as it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from oci_push.errors import ConfigError

_TOKEN = re.compile(r"\$\{\{(.+?)\}\}")  # the first }} closes; the vendor's own pattern
_MAX_ROUNDS = 10

Lookup = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Interpolated:
    """Hold a text after interpolation, and the names it still lacks."""

    text: str
    undefined: tuple[str, ...] = ()


class Variables:
    """Look names up in several sources, first come first served; members of steps are added as they end."""

    def __init__(self, *sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._members: dict[str, str] = {}

    def lookup(self, name: str) -> str | None:
        """Give a variable or a step's member (``steps.NAME.member`` or ``NAME.member``)."""
        for source in self._sources:
            if name in source:
                return source[name]
        return self._members.get(name.removeprefix("steps."))

    def export(self, step: str, members: Mapping[str, str]) -> None:
        """Make a finished step's members known to later steps."""
        for member, value in members.items():
            self._members[f"{step}.{member}"] = value

    def interpolate(self, text: str) -> Interpolated:
        """Replace what is defined."""
        return interpolate(text, self.lookup)


def interpolate(text: str, lookup: Lookup) -> Interpolated:
    """Replace every defined variable, also inside values, a bounded number of times; a circle is an error."""
    undefined: list[str] = []

    def expand(value: str, chain: tuple[str, ...]) -> str:
        def replace(match: re.Match[str]) -> str:
            name = match[1].strip()
            found = lookup(name)
            if found is None:
                undefined.append(name)
                return match[0]
            if name in chain:
                raise ConfigError(f"variable {name} refers to itself ({' -> '.join((*chain, name))})")
            if len(chain) >= _MAX_ROUNDS:
                raise ConfigError(f"variable {chain[0]} refers to others more than {_MAX_ROUNDS} deep")
            return expand(found, (*chain, name))

        return _TOKEN.sub(replace, value)

    result = expand(text, ())
    return Interpolated(result, tuple(dict.fromkeys(undefined)))


def names_in(text: str) -> tuple[str, ...]:
    """List the names a text refers to."""
    return tuple(match[1].strip() for match in _TOKEN.finditer(text))


def only_name(text: str) -> str | None:
    """Give the name if the text is one variable and nothing else."""
    match = _TOKEN.fullmatch(text.strip())
    return match[1].strip() if match else None
