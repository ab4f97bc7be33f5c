"""The reference, as Markdown made from the program: its commands, the forms of its files and results, its errors.

Each function of `PARTS` returns one part. What a part says is what the program itself reads, checks or prints with.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import schemas
from marking import plain, table

from oci_push import errors
from oci_push.cli.app import GROUPS, command_of
from oci_push.cli.schema import FORMS
from oci_push.cli.words import LOGIN, OUTPUT, SAFETY, SOURCE, SPEED, TARGET, Argument, Parameter, parameters

HEADINGS = (TARGET, SOURCE, LOGIN, SPEED, SAFETY, OUTPUT)
_VALUES = {"int": "N", "float": "SECONDS", "Path": "PATH", "str": "TEXT"}


# Commands


def commands() -> str:
    """Return every command with its arguments and options, in the groups of the program's own help."""
    parts = []
    for title, group in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_command(words, summary, place) for words, summary, place in _each(group)]
    return "\n".join(parts)


def _each(group: Mapping[str, tuple[str, Any]], *above: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    for name, (summary, place) in group.items():
        if isinstance(place, str):
            yield (*above, name), summary, place
        else:
            yield from _each(place, *above, name)


def _command(words: tuple[str, ...], summary: str, place: str) -> str:
    command = command_of(place)
    takes = parameters(command)
    arguments = [one for one in takes if isinstance(one.marker, Argument)]
    options = [one for one in takes if not isinstance(one.marker, Argument)]
    usage = " ".join(["oci-push", *words, *(["[OPTIONS]"] if options else []), *map(_usage, arguments)])
    text = inspect.cleandoc(command.__doc__ or summary).replace("\b\n", "")
    parts = [f"### {' '.join(words)}\n", f"```text\n{usage}\n```\n", f"{_paragraphs(text)}\n"]
    if arguments:
        rows = [(f"`{one.marker.metavar}`", _meaning(one)) for one in arguments]
        parts.append(table(("argument", "meaning"), rows))
    for heading in sorted({one.marker.under for one in options}, key=lambda name: (*HEADINGS, name).index(name)):
        under = [one for one in options if one.marker.under == heading]
        rows = [(_names(one), _meaning(one)) for one in under]
        parts.append(table((heading if len(options) > len(under) else "option", "meaning"), rows))
    return "\n".join(parts)


def _paragraphs(text: str) -> str:
    """Return a docstring as Markdown; what is indented is an example."""
    blocks = re.split(r"\n\s*\n", text)
    return "\n\n".join(f"```text\n{block}\n```" if block.startswith("  ") else plain(block) for block in blocks)


def _usage(one: Parameter) -> str:
    return one.marker.metavar if one.is_required else f"[{one.marker.metavar}]"


def _names(one: Parameter) -> str:
    metavar = "" if one.kind is bool else f" {one.marker.metavar or _VALUES.get(one.kind.__name__, 'TEXT')}"
    return ", ".join(f"`{name}{metavar if name.startswith('--') else ''}`" for name in one.names)


def _meaning(one: Parameter) -> str:
    more = []
    if one.is_many:
        more.append("may be given several times")
    if not one.is_required and one.default not in (None, False, "", ()) and one.kind is not bool:
        more.append(f"default `{one.default}`")
    return plain(one.marker.help) + (f" *({'; '.join(more)})*" if more else "")


# Files that people write, and what comes out


def configuration() -> str:
    """Return the keys of oci-push.yaml, those of a registry in a table of their own."""
    return schemas.written(
        FORMS["config"](), {"registries": "A registry", "create_repository": "Creating repositories"}
    )


def pipeline() -> str:
    """Return the keys of a pipeline: the root's, a push step's, and what these refer to."""
    return schemas.written(FORMS["pipeline"](), {}, defs=_PIPELINE_PARTS)


_PIPELINE_PARTS = {  # those whose keys have a rule of their own: a parallel step's are checked as its children's are
    "push": "The push step",
    "build": "The build step",
    "when": "when",
    "retry": "retry",
    "hooks": "hooks",
    "notes": "metadata and annotations",
}


def replication() -> str:
    """Return the keys of a file of replication rules."""
    return schemas.written(FORMS["replication"](), {"rules": "A rule", "destinations": "A destination"})


def mirror() -> str:
    """Return the keys of a file of images to be mirrored."""
    return schemas.written(FORMS["mirror"](), {"images": "An entry"})


def policy() -> str:
    """Return the keys of a policy of who must have signed."""
    return schemas.written(FORMS["policy"](), {"policies": "A policy", "require": "What must be"})


def report() -> str:
    """Return the fields of reports."""
    return schemas.printed(FORMS["report"]())


def plan() -> str:
    """Return the fields of plans."""
    return schemas.printed(FORMS["plan"]())


def events() -> str:
    """Return the events and their fields."""
    return schemas.printed(FORMS["events"]())


def other_forms() -> str:
    """Return the JSON of the commands that have no page of their own."""
    others = [name for name in FORMS if name not in _WITH_PAGES]
    return "\n".join(
        f"## {name}\n\n" + re.sub(r"^## ", "### ", schemas.printed(FORMS[name]()), flags=re.MULTILINE)
        for name in others
    )


_WITH_PAGES = ("pipeline", "config", "replication", "mirror", "policy", "report", "plan", "events")


# Errors


def error_classes() -> str:
    """Return every class of error: its exit code, what it reports, and whether it may pass."""
    rows = []
    for kind, depth in _tree(errors.OciPushError):
        indent = "&nbsp;&nbsp;&nbsp;" * depth
        is_passing = "yes" if kind.transient else "no"
        if kind is errors.NetworkError:
            is_passing = "yes, unless it is about trust"
        doc = inspect.getdoc(kind) or ""
        rows.append((f"{indent}`{kind.__name__}`", _exit_code(kind), is_passing, plain(doc.split("\n\n")[0])))
    return table(("class", "exit code", "may pass", "what"), rows)


def _exit_code(kind: type[errors.OciPushError]) -> str:
    return "130, 143" if kind is errors.Cancelled else str(kind.exit_code)


def _tree(kind: type[errors.OciPushError], depth: int = 0) -> Iterator[tuple[type[errors.OciPushError], int]]:
    yield kind, depth
    for under in kind.__subclasses__():
        if under.__module__ == errors.__name__:
            yield from _tree(under, depth + 1)


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "configuration": configuration,
    "pipeline": pipeline,
    "replication": replication,
    "mirror": mirror,
    "policy": policy,
    "report": report,
    "plan": plan,
    "events": events,
    "other-forms": other_forms,
    "error-classes": error_classes,
}
