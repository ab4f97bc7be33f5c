"""The words of a command line: the markers that options are declared with, and a reader of what is plain.

A library for command lines takes as long to load as a small push takes in all. So a line of known options with good
values is read here, and all else (help, completion, several short options in one word, mistakes and what is said of
them) is left to Typer, for which `cli.typed` turns the same markers into its own. `read` returns ``None`` wherever it
is not sure: it never reads what Typer would read otherwise.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_origin

from msgspec import Struct

Command: TypeAlias = Callable[..., None]
TARGET, SOURCE, LOGIN, SPEED, SAFETY, OUTPUT = "Target", "Source", "Login and TLS", "Speed", "Safety", "Output"
"""The headings of help."""
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,15})?", re.ASCII)
_SECONDS = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(ms|[smh]?)", re.ASCII)
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Option(Struct, frozen=True):
    """An option as it is declared: `help`, and the `name` where it is not that of the parameter that is annotated.

    ``--yes/--no`` names both words of a choice. `choices` are the only values, `min` and `max` bound a number; `acts`
    is called with a value that is given; `under` is the heading of help that it stands under.
    """

    help: str
    name: str = ""
    short: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    acts: Callable[[Any], None] | None = None
    under: str = "Options"


class Argument(Struct, frozen=True):
    """An argument as it is declared."""

    help: str
    metavar: str
    choices: tuple[str, ...] = ()


class Parameter:
    """One parameter: `names` are an option's words, `kind` a value's type, `is_many` whether there may be several."""

    __slots__ = ("default", "is_many", "kind", "marker", "name", "names")

    def __init__(self, parameter: inspect.Parameter) -> None:
        self.name = parameter.name
        self.default = parameter.default
        hint, marker = get_args(parameter.annotation)
        self.marker: Option | Argument = marker
        self.names: tuple[str, ...] = ()
        if isinstance(self.marker, Option):
            long = self.marker.name or f"--{self.name.replace('_', '-')}"
            self.names = (long, *filter(None, [self.marker.short]))
        hint = next((one for one in get_args(hint) if one is not type(None)), hint) if _is_union(hint) else hint
        self.is_many = get_origin(hint) is list
        self.kind: type = get_args(hint)[0] if self.is_many else hint

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the only values, where there are such."""
        return self.marker.choices

    @property
    def metavar(self) -> str:
        """Return what help calls its value; empty of one that has none."""
        if self.marker.metavar or self.kind is bool:
            return self.marker.metavar
        return "|".join(self.choices) or {int: "N", float: "SECONDS"}.get(self.kind, "")

    @property
    def is_required(self) -> bool:
        """Return whether there must be a value."""
        return self.default is inspect.Parameter.empty

    def value(self, word: str) -> Any:
        """Return the value of a word; ``None`` where it is not plainly one."""
        if not word or (word.startswith("-") and word != "-"):
            return None
        if self.kind in (str, Path):
            return self.kind(word) if not self.choices or word in self.choices else None
        if self.kind is float:
            span = seconds(word)
            return None if span is None or self._outside(span) else span
        number = _NUMBER.fullmatch(word)
        if number is None or number[1]:
            return None
        value = self.kind(word)
        return None if self._outside(value) else value

    def refusal(self, word: str) -> tuple[str, str]:
        """Return what is wrong with a word as a value, and what would be right; empty texts where it is good."""
        if word in self.choices or self.kind in (bool, Path) or (self.kind is str and not self.choices):
            return "", ""
        if self.choices:
            import difflib

            near = difflib.get_close_matches(word, self.choices, n=1)
            known = listed(self.choices)
            return f"{word!r} is not known", f"did you mean {near[0]}? known: {known}" if near else known
        number: float | None
        try:
            number = seconds(word) if self.kind is float else self.kind(word)
        except ValueError:
            return f"{word!r} is no whole number", ""
        if number is None:
            return f"{word!r} is no number of seconds", "such as 90, 90s or 2m; 0 is none"
        outside = self._outside(number)
        return (f"{word} is {outside}", "") if outside else ("", "")

    def _outside(self, number: float) -> str:
        least, most = (self.marker.min, self.marker.max) if isinstance(self.marker, Option) else (None, None)
        if least is not None and number < least:
            return f"less than {least:g}"
        return f"more than {most:g}" if most is not None and number > most else ""


def seconds(word: str) -> float | None:
    """Return how long is meant: ``90``, ``90s``, ``1.5m``, ``2h`` or ``500ms``; ``None`` where that is no time."""
    found = _SECONDS.fullmatch(word)
    return None if found is None else float(found[1]) * _UNITS[found[2]]


def listed(texts: Sequence[str]) -> str:
    """Return words as a sentence has them: ``a, b or c``."""
    return " or ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def parameters(command: Command) -> list[Parameter]:
    """Return what a command takes, in the order of its signature."""
    return [Parameter(one) for one in inspect.signature(command, eval_str=True).parameters.values()]


def read(takes: Sequence[Parameter], words: Sequence[str]) -> Mapping[str, Any] | None:
    """Return what a line of words gives a command; ``None`` where Typer must look at it."""
    named = {name: one for one in takes for name in one.names}
    given: dict[str, Any] = {}
    plain: list[str] = []
    left = iter(words)
    for word in left:
        if not word.startswith("-") or word == "-":
            plain.append(word)
            continue
        name, has_value, text = word.partition("=")
        option = named.get(name)
        if option is None or (has_value and (option.kind is bool or not name.startswith("--"))):
            return None
        value = True if option.kind is bool else option.value(text if has_value else next(left, ""))
        if value is None:
            return None
        if option.is_many:
            given.setdefault(option.name, []).append(value)
        else:
            given[option.name] = value
    return given if _take_arguments(takes, plain, given) else None


def call(command: Command, takes: Sequence[Parameter], given: Mapping[str, Any]) -> None:
    """Call a command with what was read, after the options that act at once."""
    for one in takes:
        if isinstance(one.marker, Option) and one.marker.acts is not None and one.name in given:
            one.marker.acts(given[one.name])
    command(**given)


def _take_arguments(takes: Sequence[Parameter], plain: list[str], given: dict[str, Any]) -> bool:
    """Give the words that are no options to the arguments, of which only the last may take many."""
    for argument in (one for one in takes if isinstance(one.marker, Argument)):
        values = [argument.value(word) for word in (plain if argument.is_many else plain[:1])]
        if None in values:
            return False
        if values:
            given[argument.name] = values if argument.is_many else values[0]
        plain = plain[len(values) :]
    return not plain and not any(one.is_required and one.name not in given for one in takes)


def _is_union(hint: Any) -> bool:
    return type(None) in get_args(hint)
