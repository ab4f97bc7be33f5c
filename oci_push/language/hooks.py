"""Hooks: the forms an event may be written in.

A list of commands; one step; ``{steps, mode, fail_fast, strict_fail_fast}``; any of these under `exec` beside
`metadata` and `annotations`; or those two alone. The vendor's validator refuses a list under `exec` beside
annotations, which its documentation shows: here it is fine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from oci_push.language.diagnostics import Diagnostics, must, not_allowed
from oci_push.language.document import Node, Scalar, YamlEntry, YamlMapping, YamlSequence
from oci_push.language.scalar_rules import Anything, Boolean, Choice, String
from oci_push.language.scalars import child, entries, flag, number, text, texts, word
from oci_push.language.schema import Entries, Field, Fields, Items
from oci_push.language.steps import (
    HOOK_EVENTS,
    Annotation,
    Evaluate,
    Hook,
    ImageNotes,
    NoteEntry,
    Notes,
    NoteValue,
    Removal,
    Step,
    Text,
)

T = TypeVar("T")
CheckStep: TypeAlias = Callable[[str, Node, str], None]
"""Check a step that stands in a hook: its name, node and path."""

FORBIDDEN = ("debug", "on_start", "on_finish", "on_fail", "hooks", "stage")
"""What a step in a hook must not have; ``on_success`` is not among them, as upstream."""
GROUP: Fields[None] = Fields(
    {
        "steps": Field(Anything({"type": "object"}), "Steps of the hook.", required=True),
        "mode": Field(Choice(("sequential", "parallel")), "In order, or together.", default="sequential"),
        "fail_fast": Field(Boolean(), "Whether a failure stops the hook.", default=True),
        "strict_fail_fast": Field(Boolean(strict=True), "Whether the hook fails after all.", default=False),
    }
)
WITH_NOTES = ("exec", "metadata", "annotations")


def check_hooks(node: Node, path: str, diagnostics: Diagnostics, check_step: CheckStep) -> None:
    """Check the value of a `hooks` key."""
    if not isinstance(node, YamlMapping):
        diagnostics.error(node.location, path, must("hooks", "be an object", node))
        return
    for entry in node.entries:
        event, where = entry.key.text, f"{path}.{entry.key.text}"
        if event in HOOK_EVENTS:
            _check_hook(event, entry.value, where, diagnostics, check_step)
        else:
            diagnostics.error(entry.key.location, where, not_allowed(event, HOOK_EVENTS))


def _check_hook(event: str, node: Node, path: str, diagnostics: Diagnostics, check_step: CheckStep) -> None:
    if not isinstance(node, YamlMapping) or not any(node.entry(key) for key in WITH_NOTES):
        _check_actions(event, node, path, diagnostics, check_step)
        return
    notes = YamlMapping(node.location, tuple(entry for entry in node.entries if entry.key.text in NOTES.fields))
    NOTES.check(event, notes, path, diagnostics)
    for entry in node.entries:
        where = f"{path}.{entry.key.text}"
        if entry.key.text == "exec":
            if isinstance(entry.value, YamlSequence) and notes.entries:
                hint = "the documentation shows it, and the commands are read"
                diagnostics.refused_upstream(entry.value.location, where, '"value" must be an object', hint=hint)
            _check_actions("exec", entry.value, where, diagnostics, check_step)
        elif entry.key.text not in WITH_NOTES:
            diagnostics.error(entry.key.location, where, not_allowed(entry.key.text, WITH_NOTES))


def _check_actions(key: str, node: Node, path: str, diagnostics: Diagnostics, check_step: CheckStep) -> None:
    if isinstance(node, YamlSequence):
        Items(String()).check(key, node, path, diagnostics)
        return
    steps = node.get("steps") if isinstance(node, YamlMapping) else None
    if steps is None:
        check_step(key, node, path)
        return
    GROUP.check(key, node, path, diagnostics)
    if not isinstance(steps, YamlMapping):
        diagnostics.error(steps.location, f"{path}.steps", must("steps", "be an object", steps))
        return
    for entry in steps.entries:
        check_step(entry.key.text, entry.value, f"{path}.steps.{entry.key.text}")


KEY = "^[A-Za-z0-9_]+$"

_NOTHING = Notes()


def _evaluate(expression: Text | None = None) -> Evaluate | None:
    return None if expression is None else Evaluate(expression)


def _image_notes(image: Scalar, notes: tuple[tuple[NoteEntry, ...], ...]) -> ImageNotes:
    return ImageNotes(Text(image.text, image.location), _flat(notes))


def _flat(parts: tuple[tuple[T, ...], ...]) -> tuple[T, ...]:
    return tuple(one for part in parts for one in part)


def _metadata(written: tuple[tuple[ImageNotes, ...], ...] = ()) -> tuple[ImageNotes, ...]:
    return _flat(written)


def _annotation(
    entity_type: Text | None = None,
    entity_id: Text | None = None,
    notes: tuple[tuple[NoteEntry, ...], ...] = (),
    display: Text | None = None,
) -> Annotation:
    return Annotation(entity_type, entity_id, _flat(notes), display)


def _removal(entity_type: Text | None = None, entity_id: Text | None = None, keys: tuple[Text, ...] = ()) -> Removal:
    return Removal(entity_type, entity_id, tuple(key.text for key in keys))


def _together(metadata: tuple[ImageNotes, ...] = (), annotations: Notes = _NOTHING) -> Notes:
    return replace(annotations, metadata=metadata)


_EVALUATE = Fields(
    {"evaluate": Field(String(), "An expression whose result is the value.", required=True, attribute="expression")},
    into=_evaluate,
)


class NoteValueRule(Struct, frozen=True):
    """Want text, a number, a boolean, or ``{evaluate: EXPRESSION}``."""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check the value."""
        if isinstance(node, YamlMapping):
            _EVALUATE.check(key, node, path, diagnostics)
        elif isinstance(node, Scalar) and node.value == "":
            diagnostics.error(node.location, path, f'"{key}" is not allowed to be empty')
        elif not isinstance(node, Scalar) or not (isinstance(node.value, str | bool) or number(node) is not None):
            diagnostics.error(node.location, path, must(key, "be a string", node))

    def read(self, node: Node) -> NoteValue:
        """Return the value, or the expression that gives it."""
        if isinstance(node, Scalar) and isinstance(node.value, bool | int | float):
            return node.value
        return _EVALUATE.read(node) or text(node)

    def to_json(self) -> dict[str, object]:
        """Return the choices."""
        return {"anyOf": [{"type": ["string", "number", "boolean"]}, _EVALUATE.to_json()]}


def _pair(key: Scalar, value: NoteValue) -> NoteEntry:
    return NoteEntry(key.text, value, key.location)


_PAIRS = Entries(NoteValueRule(), pattern=KEY, into=_pair)
_WORD = String(pattern=KEY)


class NoteItemRule(Struct, frozen=True):
    """Want a key alone, or keys with values."""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check one item of a list of notes."""
        (_PAIRS if isinstance(node, YamlMapping) else _WORD).check(key, node, path, diagnostics)

    def read(self, node: Node) -> tuple[NoteEntry, ...]:
        """Return the keys with their values."""
        return (NoteEntry(node.text, None, node.location),) if isinstance(node, Scalar) else _PAIRS.read(node)

    def to_json(self) -> dict[str, object]:
        """Return both forms."""
        return {"anyOf": [_WORD.to_json(), _PAIRS.to_json()]}


_NOTES = Items(NoteItemRule())
METADATA = Fields(
    {
        "set": Field(
            Items(Entries(_NOTES, into=_image_notes)),
            "Per image id, keys and values to note about the image.",
            attribute="written",
        )
    },
    into=_metadata,
)
_ENTITY = {
    "entity_id": Field(String(), "What is annotated; by default this build."),
    "entity_type": Field(String(), "build, pipeline, project or image.", default="build"),
}
_TO_WRITE = Fields(
    {
        **_ENTITY,
        "annotations": Field(_NOTES, "Keys and values.", required=True, attribute="notes"),
        "display": Field(String(), "The annotation to show."),
    },
    into=_annotation,
)
_TO_REMOVE = Fields(
    {**_ENTITY, "annotations": Field(Items(_WORD), "Keys to remove.", required=True, attribute="keys")}, into=_removal
)
ANNOTATIONS = Fields(
    {
        "set": Field(Items(_TO_WRITE), "Annotations to write.", attribute="annotations"),
        "unset": Field(Items(_TO_REMOVE), "Annotations to remove.", attribute="removals"),
    },
    into=Notes,
)
NOTES = Fields(
    {
        "metadata": Field(METADATA, "Notes about images."),
        "annotations": Field(ANNOTATIONS, "Notes about the build, a pipeline, a project or an image."),
    },
    into=_together,
)
StepBuilder: TypeAlias = Callable[[Scalar, Node], Step | None]
"""Build a step from its name and node."""


def parse_hooks(node: Node | None, build: StepBuilder) -> tuple[Hook, ...]:
    """Build the hooks of a step or of the pipeline."""
    return tuple(_hook(entry, build) for entry in entries(node))


def parse_old_hooks(step: YamlMapping) -> tuple[Hook, ...]:
    """Build the notes that stand directly on a step, in the older form."""
    found = (step.entry(event) for event in HOOK_EVENTS)
    return tuple(
        Hook(entry.key.text, entry.key.location, notes=NOTES.read(entry.value)) for entry in found if entry is not None
    )


def _hook(entry: YamlEntry, build: StepBuilder) -> Hook:
    node, name = entry.value, entry.key
    notes = Notes()
    if any(child(node, key) is not None for key in ("exec", "metadata", "annotations")):
        notes = NOTES.read(node)
        inner = child(node, "exec")
        if inner is None:
            return Hook(name.text, name.location, notes=notes)
        node = inner
    if isinstance(node, YamlSequence):
        return Hook(name.text, name.location, texts(node), notes=notes)
    inside = child(node, "steps")
    if inside is None:
        step = build(name, node)
        return Hook(name.text, name.location, steps=(step,) if step else (), notes=notes)
    built = (build(each.key, each.value) for each in entries(inside))
    return Hook(
        name.text,
        name.location,
        steps=tuple(step for step in built if step is not None),
        is_parallel=word(child(node, "mode")) == "parallel",
        fail_fast=flag(child(node, "fail_fast")),
        strict_fail_fast=flag(child(node, "strict_fail_fast"), strict=True),
        notes=notes,
    )
