"""One table of typed fields checks a YAML file, reads it into values, and is written as JSON Schema for editors.

Pipelines, ``oci-push.yaml`` and the file of replication rules are such tables. A rule's `check` says what is wrong and
where; its `read` builds the value of what was checked, and gives nothing for what is wrong; `to_json` describes it. The
rules for single values are in `scalar_rules`; here are those for lists and mappings.

The kinds of rules and their wording are those of joi 9, with which the vendor's validator is made, so that people find
messages by searching. Which keys exist is in `schema_steps`, `config_schema` and their neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, Protocol, TypeVar

from msgspec import Struct, field

from oci_push.language.diagnostics import Diagnostics, must, not_allowed
from oci_push.language.document import Node, Scalar, YamlMapping, YamlSequence
from oci_push.language.scalars import (
    child,
    entries,
    items,
    matches,
)

_MOST_SUGGESTIONS = 100
"""To find what was meant takes time, and a file with more mistakes is something else."""


def _ignored(*_: object, **__: object) -> Any:  # fits every table; its value is never looked at
    """Read nothing: what a table only checks."""
    return None


T = TypeVar("T")
Part = TypeVar("Part")
T_co = TypeVar("T_co", covariant=True)


class NodeRule(Protocol[T_co]):
    """Check one value, read it, and describe itself."""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Add what is wrong with the value of `key`."""

    def read(self, node: Node) -> T_co:
        """Return the value of a node that was checked."""

    def to_json(self) -> dict[str, object]:
        """Return the rule as JSON Schema."""


class Items(Struct, Generic[T], frozen=True):
    """A list whose items obey `rule`; `secret` keeps a wrong value out of messages."""

    rule: NodeRule[T | None]
    least: int = 0
    secret: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check the list, then its items, which are named by their index."""
        if not isinstance(node, YamlSequence):
            written = node.text if isinstance(node, Scalar) and node.value and not self.secret else ""
            hint = f"write it as a list: [{written}]" if written else None
            diagnostics.error(node.location, path, must(key, "be an array", node, secret=self.secret), hint=hint)
            return
        if len(node.items) < self.least:
            diagnostics.error(node.location, path, f'"{key}" must contain at least {self.least} items')
        for index, item in enumerate(node.items):
            self.rule.check(str(index), item, f"{path}.{index}", diagnostics)

    def read(self, node: Node) -> tuple[T, ...]:
        """Return the values of the items."""
        return tuple(value for item in items(node) if (value := self.rule.read(item)) is not None)

    def to_json(self) -> dict[str, object]:
        """Return the list."""
        return {"type": "array", "items": self.rule.to_json(), **({"minItems": self.least} if self.least else {})}


class Entries(Struct, Generic[T], frozen=True):
    """A mapping from names that match `pattern`, or are among `names`, to values that obey `rule`.

    `words` say so to people.
    """

    rule: NodeRule[object]
    pattern: str = ""
    names: tuple[str, ...] = ()
    least: int = 0
    secret: bool = False
    into: Callable[..., T | None] = _ignored
    words: str = "be an object"

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check names and values."""
        if not isinstance(node, YamlMapping):
            diagnostics.error(node.location, path, must(key, self.words, node, secret=self.secret))
            return
        if len(node.entries) < self.least:
            diagnostics.error(node.location, path, f'"{key}" must contain at least {self.least} items')
        for entry in node.entries:
            name = entry.key.text
            if self.pattern and not matches(self.pattern, name):
                hint = f"names match {self.pattern}"
                diagnostics.error(entry.key.location, f"{path}.{name}", f'"{name}" is not allowed', hint=hint)
            elif self.names and name not in self.names:
                diagnostics.error(entry.key.location, f"{path}.{name}", not_allowed(name, self.names))
            else:
                self.rule.check(name, entry.value, f"{path}.{name}", diagnostics)

    def read(self, node: Node) -> tuple[T, ...]:
        """Return what `into` makes of each name and value."""
        made = (self.into(entry.key, self.rule.read(entry.value)) for entry in entries(node))
        return tuple(value for value in made if value is not None)

    def to_json(self) -> dict[str, object]:
        """Return an object with any names, or those that there are."""
        if self.names:
            properties = {name: self.rule.to_json() for name in self.names}
            return {"type": "object", "properties": properties, "additionalProperties": False}
        names = {"propertyNames": {"pattern": self.pattern}} if self.pattern else {}
        return {"type": "object", "additionalProperties": self.rule.to_json(), **names}


class Field(Struct, frozen=True):
    """One key: its rule, whether it must be there, what editors say about it, and the `attribute` that it is read into.

    `lenient` makes violations warnings, after which the value is ignored.
    """

    rule: NodeRule[object]
    about: str = ""
    required: bool = False
    default: object = None
    lenient: bool = False
    attribute: str = ""


class Fields(Struct, Generic[T], frozen=True):
    """A mapping with these keys and, unless `is_open`, no others. `aliases` are older spellings.

    `secret` keeps a wrong value out of messages. `into` makes the value; `words` say what is wanted instead of the
    vendor's. With `is_cased` a key may be written in camelCase too; with `is_choice` exactly one key must be there.
    """

    fields: Mapping[str, Field]
    aliases: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = False
    secret: bool = False
    into: Callable[..., T] = _ignored
    words: str = ""
    is_cased: bool = False
    is_choice: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check unknown keys with suggestions, values, and missing keys."""
        if not isinstance(node, YamlMapping):
            message = self.words or must(key, "be an object", node, secret=self.secret)
            diagnostics.error(node.location, path, message)
            return
        present = set()
        for entry in node.entries:
            written = entry.key.text
            name = self.name(written)
            if name in present and (written in self.aliases or name in self.aliases.values()):
                alias = next(a for a, full in self.aliases.items() if full == name)
                message = (
                    f'"{key}" cannot rename child "{alias}" because override is disabled and target "{name}" exists'
                )
                diagnostics.error(entry.key.location, f"{path}.{written}", message, hint=f"keep {name} only")
                continue
            present.add(name)
            known = self.fields.get(name)
            where = f"{path}.{written}" if path else written
            if known is not None:
                _check_field(known, written, entry.value, where, diagnostics)
            elif not self.is_open:
                allowed = (*self.fields, *self.aliases) if len(diagnostics.errors) < _MOST_SUGGESTIONS else ()
                diagnostics.error(entry.key.location, where, not_allowed(written, allowed))
        for name, wanted in self.fields.items():
            if wanted.required and name not in present:
                diagnostics.error(node.location, f"{path}.{name}" if path else name, f'"{name}" is required')
        peers = f"[{', '.join(self.fields)}]"
        if self.is_choice and not present & self.fields.keys():
            diagnostics.error(node.location, path, f'"{key}" must contain at least one of {peers}')
        elif self.is_choice and len(present & self.fields.keys()) > 1:
            message = f'"{key}" contains a conflict between exclusive peers {peers}'
            diagnostics.error(node.location, path, message, hint="keep one of them")

    def read(self, node: Node) -> T:
        """Return what `into` makes of the values, by their attributes; what is wrong or not there is not given."""
        values = {
            self.fields[name].attribute or name: value
            for name, inner in self.nodes(node).items()
            if (value := self.fields[name].rule.read(inner)) is not None
        }
        return self.into(**values)

    def nodes(self, node: Node) -> dict[str, Node]:
        """Return the values that are there by the names of the table, which win over other spellings."""
        found: dict[str, Node] = {}
        for entry in entries(node):
            name = self.name(entry.key.text)
            if name in self.fields and (name not in found or name == entry.key.text):
                found[name] = entry.value
        return found

    def part(self, into: Callable[..., Part], *names: str) -> Fields[Part]:
        """Return the table that reads some of the keys into one value."""
        return Fields({name: self.fields[name] for name in names}, self.aliases, into=into)

    def name(self, written: str) -> str:
        """Return the name in the table of a key as it is written."""
        return self.aliases.get(written) or (snake_case(written) if self.is_cased else written)

    def to_json(self) -> dict[str, object]:
        """Return an object with these properties."""
        properties = {name: _describe(known) for name, known in self.fields.items()}
        for alias, name in self.aliases.items():
            properties[alias] = {**properties[name], "deprecated": True}
        if self.is_cased:
            properties.update({camel_case(name): properties[name] for name in self.fields})
        required = [name for name, known in self.fields.items() if known.required]
        twice = [{"required": [alias, name]} for alias, name in self.aliases.items()]
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": self.is_open,
            **({"required": required} if required else {}),
            **({"not": {"anyOf": twice}} if twice else {}),
            **({"minProperties": 1, "maxProperties": 1} if self.is_choice else {}),
        }


class _Round(Struct, Generic[T], frozen=True):
    """A rule round another one, which it is but for what it says itself."""

    rule: NodeRule[T]

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        self.rule.check(key, node, path, diagnostics)

    def read(self, node: Node) -> T:
        return self.rule.read(node)

    def to_json(self) -> dict[str, object]:
        return self.rule.to_json()


class Shared(_Round[T], frozen=True):
    """A rule that stands in many places and is written once in a JSON Schema, under a name."""

    name: str

    def to_json(self) -> dict[str, object]:
        """Return where it is written."""
        return {"$ref": f"#/$defs/{self.name}"}


class Also(_Round[T], frozen=True):
    """A rule with one more check."""

    also: Callable[[Node, str, Diagnostics], None]

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check by the rule, then once more."""
        self.rule.check(key, node, path, diagnostics)
        self.also(node, path, diagnostics)


class ByShape(Struct, Generic[T], frozen=True):
    """A value that obeys `then` where it is of a `kind` and has one of `keys`, if there are any; else `otherwise`."""

    kind: Literal["array", "object"]
    then: NodeRule[T]
    otherwise: NodeRule[T]
    keys: tuple[str, ...] = ()

    def rule(self, node: Node) -> NodeRule[T]:
        """Return the rule for a value."""
        fits = isinstance(node, YamlSequence if self.kind == "array" else YamlMapping)
        has_key = not self.keys or any(child(node, key) is not None for key in self.keys)
        return self.then if fits and has_key else self.otherwise

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check by the rule for its shape."""
        self.rule(node).check(key, node, path, diagnostics)

    def read(self, node: Node) -> T:
        """Return the value by the rule for its shape."""
        return self.rule(node).read(node)

    def to_json(self) -> dict[str, object]:
        """Return both rules and what tells them apart."""
        keys = {"anyOf": [{"required": [key]} for key in self.keys]} if self.keys else {}
        return {"if": {"type": self.kind, **keys}, "then": self.then.to_json(), "else": self.otherwise.to_json()}


class Into(Struct, Generic[Part, T], frozen=True):
    """A rule whose value is made into another."""

    rule: NodeRule[Part]
    into: Callable[[Part], T]

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check by the rule."""
        self.rule.check(key, node, path, diagnostics)

    def read(self, node: Node) -> T:
        """Return what is made of the rule's value."""
        return self.into(self.rule.read(node))

    def to_json(self) -> dict[str, object]:
        """Return the rule."""
        return self.rule.to_json()


class OneOf(Struct, Generic[T], frozen=True):
    """A value that obeys one of several rules; a wrong one is told why each refuses it."""

    rules: tuple[NodeRule[T], ...]

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Try the rules in order; of those for the value's own shape the first speaks, else all do."""
        tried = []
        for rule in self.rules:
            found = Diagnostics()
            rule.check(key, node, path, found)
            if not found.errors:
                diagnostics.add(found)
                return
            tried.append(found)
        inside = [found for found in tried if any(problem.path != path for problem in found.errors)]
        if inside:
            diagnostics.add(inside[0])
            return
        first = tried[0].errors[0]
        messages = dict.fromkeys(problem.message for found in tried for problem in found.errors)
        diagnostics.error(node.location, path, "; ".join(messages), hint=first.hint)

    def read(self, node: Node) -> T:
        """Return the value by the first rule that accepts it, else by the one for its shape, else by the last."""
        chosen = self.rules[-1]
        for rule in self.rules:
            found = Diagnostics()
            rule.check("", node, "", found)
            if not found.errors:
                return rule.read(node)
            if any(problem.path for problem in found.errors):
                chosen = rule
        return chosen.read(node)

    def to_json(self) -> dict[str, object]:
        """Return the alternatives."""
        return {"anyOf": [rule.to_json() for rule in self.rules]}


def snake_case(key: str) -> str:
    """Return a key of the vendor's API as Terraform and we spell it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", key)


def camel_case(key: str) -> str:
    """Return a key as the vendor's API spells it."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), key)


def _check_field(known: Field, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
    if not known.lenient:
        known.rule.check(key, node, path, diagnostics)
        return
    found = Diagnostics()
    known.rule.check(key, node, path, found)
    diagnostics.add(found, as_warnings=True)


def _describe(known: Field) -> dict[str, object]:
    schema = {} if known.lenient else known.rule.to_json()
    if known.about:
        schema["description"] = known.about
    if known.default is not None:
        schema["default"] = known.default
    return schema
