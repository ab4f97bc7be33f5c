"""Rewriting before checking: `arguments:` into the step, `scale:` and `matrix:` into parallel steps.

Works on nodes, so that what is said later about an expanded step still points at the line the author wrote. The
vendor's public validator refuses `scale` and `matrix`, which its documentation describes: they are gone after this.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct, field

from oci_push.errors import Diagnostic
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Location, Node, Scalar, YamlEntry, YamlMapping, YamlSequence
from oci_push.language.scalar_rules import Anything
from oci_push.language.scalars import boolean, child, entries, items, step_type
from oci_push.language.schema import Entries, Fields, Items
from oci_push.language.step_rules import ROOT
from oci_push.language.steps import KNOWN_TYPES

Change: TypeAlias = Callable[[Node], Node]
_NEEDED = {"push": "candidate", "build": "image_name", "freestyle": "image"}
_MAX_COMBINATIONS = 1000
_ANY_KEYS: Fields[None] = Fields({}, is_open=True, secret=True)
_SCALE: Entries[None] = Entries(_ANY_KEYS, least=1, secret=True)
_MATRIX: Entries[None] = Entries(Items(Anything(), least=1, secret=True), secret=True)
_Child: TypeAlias = tuple[Scalar, Location, Iterable[YamlEntry]]
"""A step that an expansion makes: its name, its place, and the keys that are its own."""
_OF_THE_GROUP = ("title", "description", "stage", "when", "success_criteria")
"""Keys that a group of expanded steps has as a whole; `when` is decided once, before any child."""


def expand(root: YamlMapping, diagnostics: Diagnostics) -> YamlMapping:
    """Return a whole pipeline rewritten; adds what cannot be rewritten to `diagnostics`."""
    mode = root.get("mode")
    rewriter = _Rewriter(diagnostics, is_parallel=isinstance(mode, Scalar) and mode.value == "parallel")
    return _replaced(
        root, {"steps": lambda node: rewriter.steps(node, "steps"), "hooks": lambda node: rewriter.hooks(node, "hooks")}
    )


class _Rewriter(Struct, frozen=True):
    diagnostics: Diagnostics
    is_parallel: bool

    def steps(self, node: Node, path: str, *, in_group: bool = False) -> Node:
        return _each(node, path, lambda entry, where: self._step(entry.value, where, entry.key, in_group=in_group))

    def hooks(self, node: Node, path: str) -> Node:
        return _each(node, path, lambda entry, where: self._hook(entry.value, where))

    def _step(self, node: Node, path: str, name: Scalar, *, in_group: bool = False) -> Node:
        if not isinstance(node, YamlMapping):
            return node
        step = self._flattened(node, path)
        if in_group:
            self._say_not_flattened(node, step, path)
        if step_type(step) not in KNOWN_TYPES:
            return step
        if step.entry("scale") or step.entry("matrix"):
            step = self._group(step, path, name)
        return _replaced(
            step,
            {
                "steps": lambda inner: self.steps(inner, f"{path}.steps", in_group=True),
                "hooks": lambda inner: self.hooks(inner, f"{path}.hooks"),
            },
        )

    def _flattened(self, step: YamlMapping, path: str) -> YamlMapping:
        """Return a step with what stands under `arguments` over the step's own keys. Types of others keep theirs."""
        inside = step.get("arguments")
        if inside is None or step_type(step) not in KNOWN_TYPES:
            return step
        _ANY_KEYS.check("arguments", inside, f"{path}.arguments", self.diagnostics)
        return YamlMapping(step.location, _over(step.without("arguments").entries, entries(inside)))

    def _say_not_flattened(self, written: YamlMapping, step: YamlMapping, path: str) -> None:
        """Note that upstream does not see what stands under `arguments` in a parallel step's children."""
        needed = _NEEDED.get(step_type(step), "")
        if step.entry(needed) and not written.entry(needed):
            hint = "arguments are read on every level here"
            where = f"{path}.{needed}"
            self.diagnostics.refused_upstream(written.location, where, f'"{needed}" is required', hint=hint)

    def _hook(self, node: Node, path: str) -> Node:
        if not isinstance(node, YamlMapping):
            return node
        if node.entry("exec"):
            return _replaced(node, {"exec": lambda inner: self._hook(inner, f"{path}.exec")})
        if node.entry("steps"):
            return _replaced(node, {"steps": lambda inner: self.steps(inner, f"{path}.steps")})
        return self._flattened(node, path)

    def _group(self, step: YamlMapping, path: str, name: Scalar) -> YamlMapping:
        which = [key for key in ("scale", "matrix") if step.entry(key)]
        key = next(entry.key for entry in step.entries if entry.key.text == which[0])
        if step_type(step) == "push":
            message, hint = f'"{which[0]}" is not allowed', "the documentation describes it, and it is expanded here"
            self.diagnostics.refused_upstream(key.location, f"{path}.{which[0]}", message, hint=hint)
        if self.is_parallel:
            message = f'"{which[0]}" is not allowed in a pipeline with mode: parallel'
            self.diagnostics.error(
                key.location, f"{path}.{which[0]}", message, hint="write the steps out, or remove mode:"
            )
        if len(which) == 2:
            self.diagnostics.error(key.location, path, '"scale" and "matrix" exclude each other')
        common = step.without("scale", "matrix", *_OF_THE_GROUP).entries
        own = tuple(e for e in step.entries if e.key.text in _OF_THE_GROUP)
        expand = self._scaled if which[0] == "scale" else self._combined
        children = expand(step.get(which[0]), f"{path}.{which[0]}", name)
        stage = tuple(e for e in own if e.key.text == "stage")
        steps = tuple(
            YamlEntry(child, YamlMapping(location, _over(common + stage, over))) for child, location, over in children
        )
        group = (
            _text_entry("type", "parallel", key.location),
            *own,
            YamlEntry(_key("steps", key.location), YamlMapping(key.location, steps)),
        )
        return YamlMapping(step.location, group)

    def _scaled(self, node: Node | None, path: str, name: Scalar) -> Iterator[_Child]:
        if node is not None:
            _SCALE.check("scale", node, path, self.diagnostics)
        for entry in entries(node):
            if isinstance(entry.value, YamlMapping):
                over = self._flattened(entry.value, f"{path}.{entry.key.text}")
                yield entry.key, entry.value.location, over.entries

    def _combined(self, node: Node | None, path: str, name: Scalar) -> Iterator[_Child]:
        if node is None:
            return
        found = Diagnostics()
        _MATRIX.check("matrix", node, path, found)
        self.diagnostics.add(found)
        if found.errors:
            return
        axes = [[YamlEntry(axis.key, item) for item in items(axis.value)] for axis in entries(node)]
        count = math.prod(map(len, axes)) if axes else 0
        if not 0 < count <= _MAX_COMBINATIONS:
            message = f'"matrix" must give 1 to {_MAX_COMBINATIONS} steps, not {count}'
            self.diagnostics.error(node.location, path, message)
            return
        for number, combination in enumerate(itertools.product(*axes), 1):
            yield _key(f"{name.text}_{number}", name.location), node.location, combination


def _each(node: Node, path: str, change: Callable[[YamlEntry, str], Node]) -> Node:
    """Return a mapping with each value changed, given its entry and path; anything else as it is."""
    if not isinstance(node, YamlMapping):
        return node
    return node.mapped(lambda entry: change(entry, f"{path}.{entry.key.text}"))


def _replaced(node: YamlMapping, changes: Mapping[str, Change]) -> YamlMapping:
    return node.mapped(lambda entry: changes[entry.key.text](entry.value) if entry.key.text in changes else entry.value)


def _over(below: Iterable[YamlEntry], above: Iterable[YamlEntry]) -> tuple[YamlEntry, ...]:
    """Return entries laid over others; lists called ``environment`` are kept both."""
    found = {entry.key.text: entry for entry in below}
    for entry in above:
        name = entry.key.text
        under = found[name].value if name in found else None
        if name == "environment" and isinstance(under, YamlSequence) and isinstance(entry.value, YamlSequence):
            entry = YamlEntry(entry.key, YamlSequence(entry.value.location, under.items + entry.value.items))
        found[name] = entry
    return tuple(found.values())


def _key(text: str, location: Location) -> Scalar:
    return Scalar(location, text, text, quoted=False)


def _text_entry(key: str, value: str, location: Location) -> YamlEntry:
    return YamlEntry(_key(key, location), _key(value, location))


_KIND = "pipeline"


class Exported(Struct, frozen=True):
    """The pipeline inside, its own variables, and by name why an encrypted one has no value."""

    root: YamlMapping
    variables: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, Diagnostic] = field(default_factory=dict)


def unwrap(root: YamlMapping, diagnostics: Diagnostics) -> Exported | None:
    """Return the pipeline of a file; for files of other kinds nothing, and one error that says what they are."""
    kind = root.get("kind")
    if not isinstance(kind, Scalar):
        return Exported(root)
    spec = root.get("spec")
    hint = "give a file with version, stages and steps, or one of kind: pipeline"
    if kind.text != _KIND:
        diagnostics.error(kind.location, "kind", f"this file describes a {kind.text!r}, not a pipeline", hint=hint)
        return None
    if not isinstance(spec, YamlMapping):
        diagnostics.error(kind.location, "spec", "this file is of kind: pipeline and has no spec", hint=hint)
        return None
    template = spec.entry("specTemplate")
    if spec.entry("steps") is None and template is not None:
        path = child(template.value, "path")
        where = f": {path.text}" if isinstance(path, Scalar) else ""
        diagnostics.error(
            template.key.location,
            "spec.specTemplate",
            f"the steps of this pipeline are in another file{where}",
            hint="give that file",
        )
        return None
    kept = tuple(entry for entry in spec.entries if entry.key.text in ROOT.fields)
    if spec.entry("version") is None:
        version = root.entry("version")
        one = Scalar(kind.location, "1.0", "1.0", quoted=True)
        kept = (version or YamlEntry(Scalar(kind.location, "version", "version", quoted=False), one), *kept)
    values, lacking = _variables(spec.get("variables"), diagnostics)
    return Exported(YamlMapping(spec.location, kept), values, lacking)


def _variables(node: Node | None, diagnostics: Diagnostics) -> tuple[dict[str, str], dict[str, Diagnostic]]:
    values: dict[str, str] = {}
    lacking: dict[str, Diagnostic] = {}
    for item in items(node):
        key, value = child(item, "key"), child(item, "value")
        if not isinstance(key, Scalar) or not key.text:
            diagnostics.warn(item.location, "spec.variables", "a variable has key and value", hint="it is ignored")
        elif boolean(child(item, "encrypted")):
            message, hint = f"variable {key.text} is encrypted in this export", f"give it: --var {key.text}=VALUE"
            lacking[key.text] = key.location.problem(message, path="spec.variables", hint=hint)
        elif isinstance(value, Scalar) and value.value is not None:
            values[key.text] = value.text
    return values, lacking
