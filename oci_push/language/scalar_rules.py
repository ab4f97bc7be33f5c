"""Rules for single values of a table: texts, numbers, booleans, closed choices; in the words of joi 9."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from oci_push.language.diagnostics import Diagnostics, cut, must, suggest, with_value
from oci_push.language.document import Node, Scalar
from oci_push.language.scalars import (
    BOOLEAN_WORDS,
    any_case,
    boolean,
    flag,
    is_variable,
    js_length,
    matches,
    number,
    text,
    word,
)
from oci_push.language.steps import Flag, Text


class Anything(Struct, frozen=True):
    """Any value; `schema` is what editors are told, `into` makes the value of the node."""

    schema: Mapping[str, object] = field(default_factory=dict)
    into: Callable[[Node], object] | None = None

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Accept it."""

    def read(self, node: Node) -> object:
        """Return the value, or the node itself."""
        return self.into(node) if self.into else node

    def to_json(self) -> dict[str, object]:
        """Return what editors are told."""
        return dict(self.schema)


class String(Struct, frozen=True):
    """A string that is not empty; `secret` keeps its value out of messages.

    `named` replaces the pattern by words in the message.
    """

    pattern: str = ""
    named: str = ""
    max_length: int = 0
    secret: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check type, emptiness, length and pattern."""
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, str):
            hint = _quote(node, secret=self.secret)
            diagnostics.error(node.location, path, must(key, "be a string", node, secret=self.secret), hint=hint)
        elif not value:
            diagnostics.error(node.location, path, f'"{key}" is not allowed to be empty')
        elif self.max_length and js_length(value) > self.max_length:
            message = f'"{key}" length must be less than or equal to {self.max_length} characters long'
            diagnostics.error(node.location, path, message)
        elif self.pattern and not matches(self.pattern, value):
            which = f'the "{self.named}" pattern' if self.named else f"the required pattern: /{self.pattern}/"
            message = f'"{key}" with value "{cut(value)}" fails to match {which}'
            diagnostics.error(node.location, path, with_value(message, node))

    def read(self, node: Node) -> Text | None:
        """Return the text with its place."""
        return text(node)

    def to_json(self) -> dict[str, object]:
        """Return type, pattern and length."""
        schema: dict[str, object] = {"type": "string", "minLength": 1}
        if self.pattern:
            schema["pattern"] = self.pattern
        if self.max_length:
            schema["maxLength"] = self.max_length
        return schema


class Number(Struct, frozen=True):
    """A finite number; text that is one counts, as in joi. `positive` wants more than zero."""

    positive: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check type and sign."""
        value = number(node)
        if value is None:
            diagnostics.error(node.location, path, must(key, "be a number", node))
        elif self.positive and value <= 0:
            diagnostics.error(node.location, path, must(key, "be a positive number", node))

    def read(self, node: Node) -> float | None:
        """Return the number."""
        return number(node)

    def to_json(self) -> dict[str, object]:
        """Return a number, or text that holds one."""
        bound = {"exclusiveMinimum": 0} if self.positive else {}
        sign = r"\+?" if self.positive else "[-+]?"
        text = rf"^\s*{sign}(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
        return {"anyOf": [{"type": "number", **bound}, {"type": "string", "pattern": text}]}


class Boolean(Struct, frozen=True):
    """A boolean or a variable; unless `strict`, words and 1 and 0 count, in any letter case."""

    strict: bool = False
    variable: bool = True
    words: str = "be a boolean"

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check the value."""
        if boolean(node, strict=self.strict) is None and not (self.variable and is_variable(node)):
            diagnostics.error(node.location, path, must(key, self.words, node))

    def read(self, node: Node) -> Flag:
        """Return what is said, or the variable that it is left to."""
        return flag(node, strict=self.strict)

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
    """One of a closed list of strings."""

    values: tuple[str, ...]

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check membership, in the letter case of the list."""
        if not isinstance(node, Scalar) or node.value not in self.values:
            wanted = f"be one of [{', '.join(self.values)}]"
            diagnostics.error(node.location, path, must(key, wanted, node), hint=self._hint(node))

    def _hint(self, node: Node) -> str | None:
        if not isinstance(node, Scalar):
            return None
        same = [value for value in self.values if value.lower() == node.text.lower()]
        if same:
            return f"write {same[0]}, in lower case" if same[0].islower() else f"write {same[0]}"
        near = suggest(node.text, self.values) if node.text else ""
        return f"did you mean {near!r}?" if near else None

    def read(self, node: Node) -> str:
        """Return the word, or an empty one."""
        return word(node)

    def to_json(self) -> dict[str, object]:
        """Return the list."""
        return {"enum": list(self.values)}


class PlainText(Struct, frozen=True):
    """A text as it is written, be it number or boolean for YAML; null is nothing. ``${NAME}`` may stand in it.

    What holds a variable is judged by `pattern` and `choices` when that has been replaced. `words` say what is wanted.
    """

    pattern: str = ""
    words: str = "be a string"
    choices: tuple[str, ...] = ()
    is_needed: bool = False

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check that it is a scalar, and its text."""
        if not isinstance(node, Scalar):
            diagnostics.error(node.location, path, must(key, self.words, node))
        elif node.value in (None, ""):
            if self.is_needed:
                diagnostics.error(node.location, path, f'"{key}" is not allowed to be empty')
        elif "${" in node.text:
            return
        elif self.choices:
            Choice(self.choices).check(key, node, path, diagnostics)
        elif self.pattern and not matches(self.pattern, node.text):
            diagnostics.error(node.location, path, must(key, self.words, node))

    def read(self, node: Node) -> str:
        """Return the text: an account number that begins with 0 must not become another number."""
        return node.text if isinstance(node, Scalar) and node.value is not None else ""

    def to_json(self) -> dict[str, object]:
        """Return what it may be, or a text with a variable."""
        if not self.pattern and not self.choices:
            return {"type": ["string", "number", "boolean", "null"]}
        wanted: dict[str, object] = {"enum": list(self.choices)} if self.choices else {"pattern": self.pattern}
        return {"anyOf": [{"type": ["number", "null"]}, wanted, {"type": "string", "pattern": r"\$\{"}]}


def _quote(node: Node, *, secret: bool) -> str | None:
    if isinstance(node, Scalar) and node.value is not None and not isinstance(node.value, str):
        return "put it in quotes" if secret else f'put it in quotes: "{node.text}"'
    return None
