"""YAML documents as nodes with places, resolved as YAML 1.2 says; the only file that imports yaml.

PyYAML composes nodes and keeps their marks, but its resolver is YAML 1.1's: ``on`` becomes a boolean, ``12:30`` a
number. Scalars are therefore resolved here, by YAML 1.2's core schema plus timestamps and merge keys, as js-yaml 4
does, which is what pipelines of this language are written for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from oci_push.errors import ConfigError, Problem

if TYPE_CHECKING:
    import yaml

_MAX_NODES = 500_000
_MAX_DEPTH = 100
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_OCTAL = re.compile(r"[-+]?0o[0-7_]+")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+")
_BINARY = re.compile(r"[-+]?0b[01_]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{4}-\d{1,2}-\d{1,2}(?:[Tt]|[ \t]+)\d{1,2}:\d{2}:\d{2}"
    r"(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d{2})?))?"
)
_BARE_VARIABLE = re.compile(r"[\[{,]\s*(\$\{\{[^}]*\}\})")


@dataclass(frozen=True, slots=True)
class Mark:
    """Name a place in a file; line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Timestamp:
    """Stand for a plain scalar that is a date, which no field of the language accepts."""

    text: str


Plain: TypeAlias = str | int | float | bool | Timestamp | None


@dataclass(frozen=True, slots=True)
class Scalar:
    """Hold a scalar: its text as written and its value; `quoted` when the author said it is a string."""

    mark: Mark
    text: str
    value: Plain
    quoted: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """Hold a list."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one key of a mapping and its value."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Hold a mapping in the order written; no key is there twice."""

    mark: Mark
    entries: tuple[Entry, ...]

    def entry(self, name: str) -> Entry | None:
        """Find a key by its text."""
        return next((entry for entry in self.entries if entry.key.text == name), None)

    def get(self, name: str) -> Node | None:
        """Find a key's value."""
        found = self.entry(name)
        return found.value if found else None

    def keys(self) -> tuple[str, ...]:
        """List the keys' texts."""
        return tuple(entry.key.text for entry in self.entries)


Node: TypeAlias = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Document:
    """Hold a parsed file."""

    root: Node
    path: str
    text: str


def load(text: str | bytes, path: str) -> Document:
    """Parse one YAML document; raises `ConfigError` with file, line and column."""
    import yaml

    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            raise _error(path, 1, 1, "the file is not UTF-8 text") from problem
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = text.removeprefix("\ufeff")
    try:
        _check_depth(yaml.parse(text, loader), path)
        nodes = list(yaml.compose_all(text, loader))
    except yaml.MarkedYAMLError as problem:
        raise _explained(problem, text, path) from problem
    except yaml.YAMLError as problem:
        raise _error(path, 1, 1, f"not YAML: {problem}") from problem
    if len(nodes) > 1:
        mark = nodes[1].start_mark
        raise _error(path, mark.line + 1, mark.column + 1, "a second document begins here; one is allowed")
    if not nodes or nodes[0] is None:
        raise _error(path, 1, 1, "the file is empty")
    builder = _Builder(path)
    root = builder.build(nodes[0], 0)
    if builder.problems:
        raise ConfigError(problems=builder.problems)
    return Document(root, path, text)


def to_plain(node: Node) -> object:
    """Give a node as plain Python values; a `Timestamp` stays one."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [to_plain(item) for item in node.items]
    return {entry.key.text: to_plain(entry.value) for entry in node.entries}


class _Builder:
    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, depth: int) -> Node:
        import yaml

        mark = Mark(self._path, node.start_mark.line + 1, node.start_mark.column + 1)
        # Aliases are expanded, so a bomb of them is counted like what it stands for.
        self._count += 1
        if self._count > _MAX_NODES or depth > _MAX_DEPTH:
            what = (
                f"nested more than {_MAX_DEPTH} deep"
                if depth > _MAX_DEPTH
                else "too many values (aliases count in full)"
            )
            raise _error(self._path, mark.line, mark.column, what)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, mark)
        if isinstance(node, yaml.SequenceNode):
            return Sequence(mark, tuple(self.build(item, depth + 1) for item in node.value))
        assert isinstance(node, yaml.MappingNode)  # noqa: S101  # there are three kinds of nodes
        return self._mapping(node, mark, depth)

    def _scalar(self, node: yaml.ScalarNode, mark: Mark) -> Scalar:
        quoted = bool(node.style)  # the C loader says "" where the Python one says None
        return Scalar(mark, node.value, node.value if quoted else resolve_plain(node.value), quoted)

    def _mapping(self, node: yaml.MappingNode, mark: Mark, depth: int) -> Mapping:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            key = self.build(key_node, depth + 1)
            if not isinstance(key, Scalar):
                self._problem(key.mark, "a key must be plain text")
                continue
            value = self.build(value_node, depth + 1)
            if key.text == "<<" and not key.quoted:
                for entry in self._merge(value):
                    merged.setdefault(entry.key.text, entry)
            elif key.text in own:
                first = own[key.text].key.mark.line
                self._problem(key.mark, f"duplicated mapping key {key.text!r} (first on line {first})")
            else:
                own[key.text] = Entry(key, value)
        return Mapping(mark, tuple({**merged, **own}.values()))

    def _merge(self, value: Node) -> tuple[Entry, ...]:
        if isinstance(value, Mapping):
            return value.entries
        if isinstance(value, Sequence) and all(isinstance(item, Mapping) for item in value.items):
            return tuple(e for item in value.items if isinstance(item, Mapping) for e in item.entries)
        self._problem(value.mark, "<< merges mappings only")
        return ()

    def _problem(self, mark: Mark, message: str) -> None:
        self.problems.append(Problem(message, self._path, mark.line, mark.column))


def resolve_plain(text: str) -> Plain:
    """Give a plain scalar's value by YAML 1.2's core schema, as js-yaml 4 reads it."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    digits = text.replace("_", "")
    if not text.endswith("_"):
        if _INTEGER.fullmatch(text):
            return int(digits) if len(digits) < 300 else float(digits)
        for pattern, base in ((_OCTAL, 8), (_HEX, 16), (_BINARY, 2)):
            if pattern.fullmatch(text):
                sign = -1 if digits[0] == "-" else 1
                return sign * int(digits.lstrip("+-")[2:] or "0", base)
        if _FLOAT.fullmatch(text) and any(c.isdigit() for c in text) and text[-1] not in "eE":
            return float(digits)
    special = text.lower().lstrip("+-")
    if special == ".inf" and text.lstrip("+-") in (".inf", ".Inf", ".INF"):
        return float("-inf") if text.startswith("-") else float("inf")
    if text in (".nan", ".NaN", ".NAN"):
        return float("nan")
    return Timestamp(text) if _TIMESTAMP.fullmatch(text) else text


def _check_depth(events: Iterable[yaml.Event], path: str) -> None:
    """Refuse deep nesting before composing, which recurses: in C that ends the process, not in an exception."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                mark = event.start_mark
                line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
                raise _error(path, line, column, f"nested more than {_MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _explained(problem: yaml.MarkedYAMLError, text: str, path: str) -> ConfigError:
    mark = problem.problem_mark or problem.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    bare = _BARE_VARIABLE.search(here)
    hint = None
    if bare:
        hint = f'quote {bare[1]} inside [ ] and {{ }}: "{bare[1]}"'
    elif "\t" in here[: len(here) - len(here.lstrip())] or "\\t" in str(problem.problem):
        hint = "indent with spaces, not with tabs"
    return _error(path, line, column, f"not YAML: {problem.problem or problem.context}", hint)


def _error(path: str, line: int, column: int, message: str, hint: str | None = None) -> ConfigError:
    return ConfigError(problems=[Problem(message, path, line, column, hint=hint)])
