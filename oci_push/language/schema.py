"""Rules for nodes: what a value may be, said in the vendor's words, and the same as JSON Schema for editors.

The kinds of rules and their wording are those of joi 9, with which the vendor's validator is made, so that people find
messages by searching. Which keys exist is in `schema_steps` and its neighbours; nothing here knows a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, Scalar, YamlMapping, YamlSequence
from oci_push.language.scalars import BOOLEAN_WORDS, any_case, boolean, is_variable, js_length, matches, number, shown

_LONGEST_SHOWN = 200
_MOST_SUGGESTIONS = 100
"""To find what was meant takes time, and a file with more mistakes is something else."""
_FAR = 5


class NodeRule(Protocol):
    """Check one value and describe itself."""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Add what is wrong with the value of `key`."""

    def to_json(self) -> dict[str, object]:
        """Return the rule as JSON Schema."""


class Anything(Struct, frozen=True):
    """Accept any value; `schema` is what editors are told."""

    schema: Mapping[str, object] = field(default_factory=dict)

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Accept it."""

    def to_json(self) -> dict[str, object]:
        """Return what editors are told."""
        return dict(self.schema)


class String(Struct, frozen=True):
    """Want a string that is not empty; `secret` keeps its value out of messages.

    `named` replaces the pattern by words in the message.
    """

    pattern: str = ""
    named: str = ""
    max_length: int = 0
    secret: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check type, emptiness, length and pattern."""
        text = node.value if isinstance(node, Scalar) else None
        if not isinstance(text, str):
            hint = _quote(node, secret=self.secret)
            diagnostics.error(node.mark, path, must(key, "be a string", node, secret=self.secret), hint=hint)
        elif not text:
            diagnostics.error(node.mark, path, f'"{key}" is not allowed to be empty')
        elif self.max_length and js_length(text) > self.max_length:
            message = f'"{key}" length must be less than or equal to {self.max_length} characters long'
            diagnostics.error(node.mark, path, message)
        elif self.pattern and not matches(self.pattern, text):
            which = f'the "{self.named}" pattern' if self.named else f"the required pattern: /{self.pattern}/"
            message = f'"{key}" with value "{_cut(text)}" fails to match {which}'
            diagnostics.error(node.mark, path, with_value(message, node))

    def to_json(self) -> dict[str, object]:
        """Return type, pattern and length."""
        schema: dict[str, object] = {"type": "string", "minLength": 1}
        if self.pattern:
            schema["pattern"] = self.pattern
        if self.max_length:
            schema["maxLength"] = self.max_length
        return schema


class Number(Struct, frozen=True):
    """Want a finite number; text that is one counts, as in joi. `positive` wants more than zero."""

    positive: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check type and sign."""
        value = number(node)
        if value is None:
            diagnostics.error(node.mark, path, must(key, "be a number", node))
        elif self.positive and value <= 0:
            diagnostics.error(node.mark, path, must(key, "be a positive number", node))

    def to_json(self) -> dict[str, object]:
        """Return a number, or text that holds one."""
        bound = {"exclusiveMinimum": 0} if self.positive else {}
        sign = r"\+?" if self.positive else "[-+]?"
        text = rf"^\s*{sign}(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
        return {"anyOf": [{"type": "number", **bound}, {"type": "string", "pattern": text}]}


class Boolean(Struct, frozen=True):
    """Want a boolean or a variable; unless `strict`, words and 1 and 0 count, in any letter case."""

    strict: bool = False
    variable: bool = True

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check the value."""
        if boolean(node, strict=self.strict) is None and not (self.variable and is_variable(node)):
            diagnostics.error(node.mark, path, must(key, "be a boolean", node))

    def to_json(self) -> dict[str, object]:
        """Return what counts as a boolean."""
        choices: list[dict[str, object]] = [{"type": "boolean"}]
        if not self.strict:
            choices.append({"enum": [1, 0]})
            choices.append({"type": "string", "pattern": f"^({'|'.join(map(any_case, sorted(BOOLEAN_WORDS)))})$"})
        if self.variable:
            choices.append({"type": "string", "pattern": r"^\$\{\{.+\}\}$"})
        return {"anyOf": choices}


class Choice(Struct, frozen=True):
    """Want one of a closed list of strings."""

    values: tuple[str, ...]

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check membership, in the letter case of the list."""
        if not isinstance(node, Scalar) or node.value not in self.values:
            wanted = f"be one of [{', '.join(self.values)}]"
            diagnostics.error(node.mark, path, must(key, wanted, node), hint=self._hint(node))

    def _hint(self, node: Node) -> str | None:
        if not isinstance(node, Scalar):
            return None
        same = [value for value in self.values if value.lower() == node.text.lower()]
        if same:
            return f"write {same[0]}, in lower case" if same[0].islower() else f"write {same[0]}"
        near = suggest(node.text, self.values) if node.text else ""
        return f"did you mean {near!r}?" if near else None

    def to_json(self) -> dict[str, object]:
        """Return the list."""
        return {"enum": list(self.values)}


class Items(Struct, frozen=True):
    """Want a list whose items obey `rule`."""

    rule: NodeRule
    least: int = 0

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check the list, then its items, which are named by their index."""
        if not isinstance(node, YamlSequence):
            hint = f"write it as a list: [{node.text}]" if isinstance(node, Scalar) and node.value else None
            diagnostics.error(node.mark, path, must(key, "be an array", node), hint=hint)
            return
        if len(node.items) < self.least:
            diagnostics.error(node.mark, path, f'"{key}" must contain at least {self.least} items')
        for index, item in enumerate(node.items):
            self.rule.check(str(index), item, f"{path}.{index}", diagnostics)

    def to_json(self) -> dict[str, object]:
        """Return the list."""
        return {"type": "array", "items": self.rule.to_json(), **({"minItems": self.least} if self.least else {})}


class Entries(Struct, frozen=True):
    """Want a mapping from names that match `pattern` to values that obey `rule`."""

    rule: NodeRule
    pattern: str = ""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check names and values."""
        if not isinstance(node, YamlMapping):
            diagnostics.error(node.mark, path, must(key, "be an object", node))
            return
        for entry in node.entries:
            name = entry.key.text
            if self.pattern and not matches(self.pattern, name):
                hint = f"names match {self.pattern}"
                diagnostics.error(entry.key.mark, f"{path}.{name}", f'"{name}" is not allowed', hint=hint)
            else:
                self.rule.check(name, entry.value, f"{path}.{name}", diagnostics)

    def to_json(self) -> dict[str, object]:
        """Return an object with any names."""
        names = {"propertyNames": {"pattern": self.pattern}} if self.pattern else {}
        return {"type": "object", "additionalProperties": self.rule.to_json(), **names}


class Field(Struct, frozen=True):
    """Describe one key: its rule, whether it must be there, and what editors say about it.

    `lenient` makes violations warnings, after which the value is ignored.
    """

    rule: NodeRule
    about: str = ""
    required: bool = False
    default: object = None
    lenient: bool = False


class Fields(Struct, frozen=True):
    """Want a mapping with these keys and, unless `is_open`, no others. `aliases` are older spellings.

    `secret` keeps a wrong value out of messages.
    """

    fields: Mapping[str, Field]
    aliases: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = False
    secret: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check unknown keys with suggestions, values, and missing keys."""
        if not isinstance(node, YamlMapping):
            diagnostics.error(node.mark, path, must(key, "be an object", node, secret=self.secret))
            return
        present = set()
        for entry in node.entries:
            written = entry.key.text
            name = self.aliases.get(written, written)
            if name in present and (written in self.aliases or name in self.aliases.values()):
                alias = next(a for a, full in self.aliases.items() if full == name)
                message = (
                    f'"{key}" cannot rename child "{alias}" because override is disabled and target "{name}" exists'
                )
                diagnostics.error(entry.key.mark, f"{path}.{written}", message, hint=f"keep {name} only")
                continue
            present.add(name)
            known = self.fields.get(name)
            where = f"{path}.{written}" if path else written
            if known is not None:
                _check_field(known, written, entry.value, where, diagnostics)
            elif not self.is_open:
                allowed = (*self.fields, *self.aliases) if len(diagnostics.errors) < _MOST_SUGGESTIONS else ()
                diagnostics.error(entry.key.mark, where, not_allowed(written, allowed))
        for name, wanted in self.fields.items():
            if wanted.required and name not in present:
                diagnostics.error(node.mark, f"{path}.{name}" if path else name, f'"{name}" is required')

    def to_json(self) -> dict[str, object]:
        """Return an object with these properties."""
        properties = {name: _describe(known) for name, known in self.fields.items()}
        for alias, name in self.aliases.items():
            properties[alias] = {**properties[name], "deprecated": True}
        required = [name for name, known in self.fields.items() if known.required]
        twice = [{"required": [alias, name]} for alias, name in self.aliases.items()]
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": self.is_open,
            **({"required": required} if required else {}),
            **({"not": {"anyOf": twice}} if twice else {}),
        }


class OneOf(Struct, frozen=True):
    """Want a value that obeys one of several rules; a wrong one is told why each refuses it."""

    rules: tuple[NodeRule, ...]

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
        diagnostics.error(node.mark, path, "; ".join(messages), hint=first.hint)

    def to_json(self) -> dict[str, object]:
        """Return the alternatives."""
        return {"anyOf": [rule.to_json() for rule in self.rules]}


def must(key: str, wanted: str, node: Node, *, secret: bool = False) -> str:
    """Say what `key` must be, and what it is where that helps and is no secret."""
    message = f'"{key}" must {wanted}'
    return message if secret else with_value(message, node)


def with_value(message: str, node: Node) -> str:
    """Add the value, unless it is false for JavaScript; the blank at the end is the vendor's."""
    if not isinstance(node, Scalar) or not node.value or node.value != node.value:
        return message
    return f"{message}. Current value: {_cut(shown(node))} "


def not_allowed(key: str, allowed: tuple[str, ...]) -> str:
    """Say that a key is unknown, and which one was probably meant."""
    near = suggest(key, allowed)
    return f'"{key}" is not allowed. Did you mean "{near}"?' if near else f'"{key}" is not allowed'


def suggest(key: str, allowed: tuple[str, ...]) -> str:
    """Find the key meant: the shortest that begins with `key`, else the nearest within four edits; or nothing."""
    longer = sorted((name for name in allowed if name.startswith(key)), key=len)
    if longer:
        return longer[0]
    near = [(distance(key, name), name) for name in allowed if abs(len(key) - len(name)) < 3]
    return min((found for found in near if found[0] < _FAR), key=lambda found: found[0], default=(0, ""))[1]


def distance(one: str, other: str) -> int:
    """Count the edits between two words (Levenshtein), up to the number from which on nobody asks."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
        if min(row) >= _FAR:
            return _FAR
    return row[-1]


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


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _quote(node: Node, *, secret: bool) -> str | None:
    if isinstance(node, Scalar) and node.value is not None and not isinstance(node.value, str):
        return "put it in quotes" if secret else f'put it in quotes: "{node.text}"'
    return None
