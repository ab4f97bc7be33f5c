"""Building hooks and notes out of checked nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from oci_push.language.document import Entry, Mapping, Node, Scalar, Sequence
from oci_push.language.expand import HOOK_EVENTS
from oci_push.language.read import child, entries, flag, items, text, texts, word, words
from oci_push.language.steps import Annotation, Evaluate, Hook, ImageNotes, Note, Notes, NoteValue, Removal, Step, Text

BuildStep: TypeAlias = Callable[[Scalar, Node], Step | None]
"""Build a step from its name and node."""


def parse_hooks(node: Node | None, build: BuildStep) -> tuple[Hook, ...]:
    """Build the hooks of a step or of the pipeline."""
    return tuple(_hook(entry, build) for entry in entries(node))


def parse_old_hooks(step: Mapping) -> tuple[Hook, ...]:
    """Build the notes that stand directly on a step, in the older form."""
    found = (step.entry(event) for event in HOOK_EVENTS)
    return tuple(
        Hook(entry.key.text, entry.key.mark, notes=parse_notes(entry.value)) for entry in found if entry is not None
    )


def parse_notes(node: Node | None) -> Notes:
    """Build `metadata` and `annotations`."""
    metadata, annotations = child(node, "metadata"), child(node, "annotations")
    return Notes(
        tuple(
            ImageNotes(Text(entry.key.text, entry.key.mark), _notes(entry.value))
            for item in items(child(metadata, "set"))
            for entry in entries(item)
        ),
        tuple(
            Annotation(
                text(child(item, "entity_type")),
                text(child(item, "entity_id")),
                _notes(child(item, "annotations")),
                text(child(item, "display")),
            )
            for item in items(child(annotations, "set"))
        ),
        tuple(
            Removal(text(child(item, "entity_type")), text(child(item, "entity_id")), words(child(item, "annotations")))
            for item in items(child(annotations, "unset"))
        ),
    )


def _hook(entry: Entry, build: BuildStep) -> Hook:
    node, name = entry.value, entry.key
    notes = Notes()
    if any(child(node, key) is not None for key in ("exec", "metadata", "annotations")):
        notes = parse_notes(node)
        inner = child(node, "exec")
        if inner is None:
            return Hook(name.text, name.mark, notes=notes)
        node = inner
    if isinstance(node, Sequence):
        return Hook(name.text, name.mark, texts(node), notes=notes)
    inside = child(node, "steps")
    if inside is None:
        step = build(name, node)
        return Hook(name.text, name.mark, steps=(step,) if step else (), notes=notes)
    built = (build(each.key, each.value) for each in entries(inside))
    return Hook(
        name.text,
        name.mark,
        steps=tuple(step for step in built if step is not None),
        is_parallel=word(child(node, "mode")) == "parallel",
        fail_fast=flag(child(node, "fail_fast")),
        strict_fail_fast=flag(child(node, "strict_fail_fast"), strict=True),
        notes=notes,
    )


def _notes(node: Node | None) -> tuple[Note, ...]:
    found = []
    for item in items(node):
        if isinstance(item, Scalar):
            found.append(Note(item.text, None, item.mark))
        found.extend(Note(entry.key.text, _value(entry.value), entry.key.mark) for entry in entries(item))
    return tuple(found)


def _value(node: Node) -> NoteValue:
    expression = text(child(node, "evaluate"))
    if expression is not None:
        return Evaluate(expression)
    if isinstance(node, Scalar) and isinstance(node.value, bool | int | float):
        return node.value
    return text(node)
