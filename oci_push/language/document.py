"""YAML documents as nodes with places, resolved as YAML 1.2 says; the only file that imports yaml.

PyYAML's parser is used and its resolver is not, which is YAML 1.1's: ``on`` becomes a boolean, ``12:30`` a number.
Scalars are resolved in `plain`, as pipelines of this language are written for. Nor is its composer used, which
recurses: a file that is nested deep enough would end the process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.yaml_scalars import Timestamp, YamlValue, resolve_plain

if TYPE_CHECKING:
    import yaml

_MAX_BYTES = 16 * 1024 * 1024
_MAX_NODES = 500_000
_MAX_DEPTH = 100
_BARE_VARIABLE = re.compile(r"""(?:^|[\[{,:])\s*([^\s\[\]{},:"']*\$\{\{[^}\n]*\}\}[^\s\[\]{},"']*)""")
_TOKEN = re.compile(r"""\$\{\{([^\n,\[\]{}"'#]+)\}\}""")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = "tag:yaml.org,2002:"
_LONG_LINE, _LINES_BACK = 2000, 50
_TOO_DEEP = f"nested more than {_MAX_DEPTH} deep"
_TOO_MANY = "too many values (aliases count in full)"
_NO_KEY = "a key is missing before the colon"
_HINTS = {
    "cannot start any token": "put the value in quotes",
    "mapping values are not allowed": "put a value that holds a colon and a blank in quotes, or check the indentation",
    "did not find expected key": "check the indentation of this line and the one before",
    "expected '-' indicator": "check the indentation of this line and the one before",
}


class Location(Struct, frozen=True):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def problem(self, message: str, *, path: str = "", code: int = 0, hint: str | None = None) -> Diagnostic:
        """Return what is wrong here; `path` is the dotted way to the value, `code` the vendor's number."""
        return Diagnostic(message, self.file, self.line, self.column, path, code, hint)


_TAGGED: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "timestamp": (Timestamp,),
}
"""What a scalar with one of YAML's own tags must read as; other tags have no meaning here."""


class Scalar(Struct, frozen=True):
    """A scalar: its text as written and its value; `quoted` when the author said it is a string."""

    location: Location
    text: str
    value: YamlValue
    quoted: bool


class YamlSequence(Struct, frozen=True):
    """A list."""

    location: Location
    items: tuple[Node, ...]


class YamlEntry(Struct, frozen=True):
    """One key of a mapping and its value."""

    key: Scalar
    value: Node


class YamlMapping(Struct, frozen=True):
    """A mapping in the order written; no key is there twice."""

    location: Location
    entries: tuple[YamlEntry, ...]

    def entry(self, name: str) -> YamlEntry | None:
        """Return a key and its value, by the text of the key."""
        for entry in self.entries:
            if entry.key.text == name:
                return entry
        return None

    def get(self, name: str) -> Node | None:
        """Return a key's value."""
        found = self.entry(name)
        return found.value if found else None

    def without(self, *names: str) -> YamlMapping:
        """Return the mapping without some of its keys."""
        return YamlMapping(self.location, tuple(entry for entry in self.entries if entry.key.text not in names))

    def mapped(self, change: Callable[[YamlEntry], Node]) -> YamlMapping:
        """Return the mapping with each value changed."""
        return YamlMapping(self.location, tuple(YamlEntry(entry.key, change(entry)) for entry in self.entries))


Node: TypeAlias = Scalar | YamlSequence | YamlMapping


class Document(Struct, frozen=True):
    """A parsed file; `bare` are variables without quotes inside ``[ ]`` or ``{ }``, which are read as text."""

    root: Node
    path: str
    text: str
    bare: tuple[Scalar, ...] = ()


def load(text: str | bytes, path: str) -> Document:
    """Parse one YAML document; raises `ConfigError` with file, line and column."""
    import yaml

    if len(text) > _MAX_BYTES:
        raise _error(path, 1, 1, f"the file has more than {_MAX_BYTES // 1024 // 1024} MiB")
    if isinstance(text, bytes):
        text = _decoded(text, path)
    text = text.removeprefix("\ufeff")
    _check_printable(text, path)
    stand_in = _StandIn.for_text(text)
    builder = _Builder(path, stand_in)
    try:
        root = builder.read(yaml.parse(stand_in.put(text), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.MarkedYAMLError as problem:
        raise _explained(problem, text, path, stand_in) from problem
    except yaml.YAMLError as problem:
        raise _error(path, 1, 1, f"not YAML: {problem}") from problem
    if root is None:
        raise _error(path, 1, 1, "the file is empty")
    if builder.problems:
        raise ConfigError(problems=sorted(builder.problems, key=lambda one: (one.line, one.column)))
    return Document(root, path, text, tuple(builder.bare))


class _StandIn(Struct, frozen=True):
    """Hides the braces of ``${{NAME}}`` from YAML, to which they begin a mapping inside ``[ ]`` and ``{ }``.

    Each is replaced by one character that the text does not hold, so that every place stays where it is.
    """

    opening: str
    closing: str

    @classmethod
    def for_text(cls, text: str) -> _StandIn:
        """Return characters from the private area."""
        used = set(text)
        free = [char for code in range(0xE000, 0xF8FF) if (char := chr(code)) not in used]
        return cls(free[0], free[1]) if len(free) > 1 else cls("{", "}")

    def put(self, text: str) -> str:
        """Return a text without the braces of variables."""
        return _TOKEN.sub(lambda found: f"${self.opening * 2}{found[1]}{self.closing * 2}", text)

    def is_in(self, text: str) -> bool:
        """Return whether a text holds a variable."""
        return self.opening != "{" and self.opening in text

    def back(self, text: str) -> str:
        """Return a text with the braces back."""
        return text.replace(self.opening, "{").replace(self.closing, "}")


class _Open(Struct):
    """A collection's children so far; a mapping's keys and values take turns. `height` is the deepest child's."""

    location: Location
    is_mapping: bool
    is_flow: bool
    anchor: str | None
    before: int
    children: list[Node] = field(default_factory=list)
    height: int = 0


class _Anchored(Struct, frozen=True):
    """What an alias stands for, and how much that is; no node while it is still open."""

    node: Node | None
    size: int = 0
    height: int = 0


class _Builder:
    """Makes nodes of events, without recursion. Aliases share nodes, and are counted like what they stand for."""

    def __init__(self, path: str, stand_in: _StandIn) -> None:
        self._path = path
        self._stand_in = stand_in
        self.bare: list[Scalar] = []
        self._count = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self.problems: list[Diagnostic] = []

    def read(self, events: Iterable[yaml.Event]) -> Node | None:
        """Return the root; nothing for an empty file."""
        import yaml

        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                root = self._scalar(event)
                self._put(root, root.location, event.anchor)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event, is_mapping=isinstance(event, yaml.MappingStartEvent))
            elif isinstance(event, yaml.CollectionEndEvent):
                root = self._end()
            elif isinstance(event, yaml.AliasEvent):
                root = self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                location = self._location(event)
                raise _error(
                    self._path, location.line, location.column, "a second document begins here; one is allowed"
                )
        return root

    def _put(self, node: Node, location: Location, anchor: str | None, *, size: int = 1, height: int = 0) -> None:
        self._count += 1
        if self._count > _MAX_NODES or len(self._open) + height > _MAX_DEPTH:
            what = _TOO_MANY if self._count > _MAX_NODES else _TOO_DEEP
            raise _error(self._path, location.line, location.column, what)
        if anchor is not None:
            self._anchors[anchor] = _Anchored(node, size, height)
        if self._open:
            outer = self._open[-1]
            outer.children.append(node)
            outer.height = max(outer.height, height + 1)

    def _begin(self, event: yaml.CollectionStartEvent, *, is_mapping: bool) -> None:
        location = self._location(event)
        if len(self._open) >= _MAX_DEPTH:
            raise _error(self._path, location.line, location.column, _TOO_DEEP)
        if event.tag not in (None, "!", f"{_TAG}map" if is_mapping else f"{_TAG}seq"):
            self._unfit(location, event.tag)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(None)
        self._open.append(_Open(location, is_mapping, bool(event.flow_style), event.anchor, self._count))

    def _end(self) -> Node:
        done = self._open.pop()
        node = self._mapping(done) if done.is_mapping else YamlSequence(done.location, tuple(done.children))
        self._put(node, done.location, done.anchor, size=self._count + 1 - done.before, height=done.height)
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        location = self._location(event)
        found = self._anchors.get(event.anchor or "")
        if found is None or found.node is None:
            what = "has no anchor before it" if found is None else "stands inside what it stands for"
            raise _error(self._path, location.line, location.column, f"alias *{event.anchor} {what}")
        self._count += found.size - 1
        self._put(found.node, location, None, size=found.size, height=found.height)
        return found.node

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        location, text, tag = self._location(event), self._stand_in.back(event.value), event.tag
        if event.implicit[0] and self._open and self._open[-1].is_flow and self._stand_in.is_in(event.value):
            self.bare.append(Scalar(location, text, text, quoted=False))
        if tag is None:
            return Scalar(
                location, text, resolve_plain(text) if event.implicit[0] else text, quoted=not event.implicit[0]
            )
        if tag in ("!", f"{_TAG}str"):
            return Scalar(location, text, text, quoted=True)
        value = resolve_plain(text)
        if not isinstance(value, _TAGGED.get(tag.removeprefix(_TAG), ())):
            self._unfit(location, tag)
        return Scalar(location, text, value, quoted=False)

    def _mapping(self, done: _Open) -> YamlMapping:
        own: dict[str, YamlEntry] = {}
        merged: dict[str, YamlEntry] = {}
        for key, value in zip(done.children[::2], done.children[1::2], strict=True):
            if not isinstance(key, Scalar) or key.value is None:
                self._problem(key.location, _NO_KEY if isinstance(key, Scalar) else "a key must be plain text")
            elif key.text == "<<" and not key.quoted:
                for entry in self._merge(value):
                    merged.setdefault(entry.key.text, entry)
            elif key.text in own:
                first = own[key.text].key.location.line
                self._problem(key.location, f"duplicated mapping key {key.text!r} (first on line {first})")
            else:
                own[key.text] = YamlEntry(key, value)
        return YamlMapping(done.location, tuple({**merged, **own}.values()))

    def _merge(self, value: Node) -> tuple[YamlEntry, ...]:
        if isinstance(value, YamlMapping):
            return value.entries
        if isinstance(value, YamlSequence) and all(isinstance(item, YamlMapping) for item in value.items):
            return tuple(e for item in value.items if isinstance(item, YamlMapping) for e in item.entries)
        self._problem(value.location, "<< merges mappings only")
        return ()

    def _location(self, event: yaml.Event) -> Location:
        at = event.start_mark
        return Location(self._path, at.line + 1, at.column + 1) if at else Location(self._path, 1, 1)

    def _unfit(self, location: Location, tag: str) -> None:
        short = tag.replace(_TAG, "!!")
        self._problem(location, f"{short} does not fit here", f"remove {short}")

    def _problem(self, location: Location, message: str, hint: str | None = None) -> None:
        self.problems.append(location.problem(message, hint=hint))


def _decoded(raw: bytes, path: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = raw[: problem.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, problem.start - (raw.rfind(b"\n", 0, problem.start) + 1) + 1
        message = f"the file is not UTF-8 text: byte 0x{raw[problem.start]:02x} here"
        raise _error(path, line, column, message, "save it as UTF-8") from problem


def _check_printable(text: str, path: str) -> None:
    found = _UNPRINTABLE.search(text)
    if found is not None:
        line, column = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
        raise _error(path, line, column, f"control character U+{ord(found[0]):04X} is not allowed", "remove it")


def _explained(problem: yaml.MarkedYAMLError, text: str, path: str, stand_in: _StandIn) -> ConfigError:
    location = problem.problem_mark or problem.context_mark
    line, column = (location.line + 1, location.column + 1) if location else (1, 1)
    first = problem.context_mark.line + 1 if problem.context_mark else line
    lines = text.splitlines()
    if "nesting depth" in str(problem.problem):
        return _error(path, line, column, _TOO_DEEP)
    in_flow = "flow" in (problem.context or "")
    for number in range(line, max(0, first - 1, line - _LINES_BACK), -1) if in_flow else ():
        here = lines[number - 1][:_LONG_LINE] if number <= len(lines) else ""
        bare = _BARE_VARIABLE.search(here)
        if bare is not None:
            message = f"not YAML: a variable inside a flow list or mapping, [ ] or {{ }}, must be in quotes: {bare[1]}"
            return _error(
                path, number, bare.start(1) + 1, message, f'quote {bare[1]} inside [ ] and {{ }}: "{bare[1]}"'
            )
    said = stand_in.back(f"not YAML: {problem.problem or problem.context}")
    return _error(path, line, column, said, _hint(problem, lines, line))


def _hint(problem: yaml.MarkedYAMLError, lines: list[str], line: int) -> str | None:
    here = lines[line - 1] if line <= len(lines) else ""
    said = str(problem.problem)
    if "\t" in here[: len(here) - len(here.lstrip())] or "\\t" in said:
        return "indent with spaces, not with tabs"
    if "end of stream" in said and problem.context_mark:
        return f"what begins on line {problem.context_mark.line + 1} is not closed"
    return next((hint for words, hint in _HINTS.items() if words in said), None)


def _error(path: str, line: int, column: int, message: str, hint: str | None = None) -> ConfigError:
    return ConfigError(problems=[Location(path, line, column).problem(message, hint=hint)])
