"""What commands, arguments and options are called and do, as rows: help and the manual page are made from the same."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from oci_push.cli.words import (
    LOGIN,
    OUTPUT,
    SAFETY,
    SOURCE,
    SPEED,
    TARGET,
    Argument,
    Command,
    Option,
    Parameter,
    parameters,
)

HEADINGS = ("Arguments", TARGET, SOURCE, LOGIN, SPEED, SAFETY, OUTPUT, "Options")
HELP = ("-h, --help", "Show this.")


class Row(Struct, frozen=True):
    """One line of a list: what is written, and what it does."""

    written: str
    text: str


class Described(Struct, frozen=True):
    """A command: what is written after its name, what it does in paragraphs, and its rows by heading."""

    usage: str
    paragraphs: tuple[str, ...]
    headings: Mapping[str, Sequence[Row]]


def describe(command: Command) -> Described:
    """Return what there is to say of a command."""
    takes = parameters(command)
    found: dict[str, list[Row]] = {heading: [] for heading in HEADINGS}
    for one in takes:
        heading = "Arguments" if isinstance(one.marker, Argument) else one.marker.under
        found[heading].append(Row(written(one), told(one)))
    found["Options"].append(Row(*HELP))
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return Described(
        usage(takes),
        tuple(" ".join(paragraph.split()) for paragraph in paragraphs),
        {heading: rows for heading, rows in found.items() if rows},
    )


def usage(takes: Sequence[Parameter]) -> str:
    """Return what is written after a command's name."""
    arguments = [one.metavar for one in takes if isinstance(one.marker, Argument)]
    return " ".join(["[OPTIONS]", *arguments])


def written(one: Parameter) -> str:
    """Return an argument's name, or an option's words, the short one first, and what its value is called."""
    if isinstance(one.marker, Argument):
        return one.metavar
    words = ", ".join(part for name in reversed(one.names) for part in name.split("/"))
    return f"{words} {one.metavar}".rstrip()


def told(one: Parameter) -> str:
    """Return what a parameter does, its bounds and its value where none is given."""
    text = one.marker.help
    if isinstance(one.marker, Option) and one.is_many:
        text += " May be given several times."
    if _is_worth_saying(one.default):
        value = f"{one.default:g}" if isinstance(one.default, float) else one.default
        text += f" [default: {value}]"
    return text


def _is_worth_saying(default: Any) -> bool:
    """Return whether a default says something: nothing, no and 0 (which help explains) do not."""
    return default is not inspect.Parameter.empty and bool(default)
