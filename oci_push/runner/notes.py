"""Metadata and annotations: evaluated when their hook runs, and kept in the report. They never touch a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from oci_push.events import Emit, LogMessage
from oci_push.expressions.javascript.values import Value
from oci_push.language.steps import Evaluate, NoteEntry, Notes, NoteValue, Text
from oci_push.runner.conditions import VariablesEvaluator
from oci_push.runner.results import Annotation, Plain
from oci_push.variables.lookup import Variables

_FILE = "file:"
_MAX_FILE = 64 * 1024
"""Characters of a file that an annotation keeps."""

ReadNote: TypeAlias = Callable[[str], str | None]
"""Read a file's text; nothing where there is none."""


class NoteWriter(Struct, frozen=True):
    """Evaluate notes: `image` is the image that ``entity_type: image`` without an id means."""

    variables: Variables
    evaluator: VariablesEvaluator
    names: Mapping[str, Value]
    read: ReadNote
    emit: Emit
    image: str = ""

    def write(self, notes: Notes, event: str) -> tuple[Annotation, ...]:
        """Evaluate all notes of a hook; an expression that cannot be evaluated leaves its key without a value."""
        found: list[Annotation] = []
        for metadata in notes.metadata:
            image = self._text(metadata.image)
            found.extend(Annotation("image", image, note.key, self._value(note), event) for note in metadata.notes)
        for annotation in notes.annotations:
            kind, entity = self._entity(annotation.entity_type, annotation.entity_id)
            display = self._text(annotation.display) if annotation.display else None
            found.extend(
                Annotation(kind, entity, note.key, self._value(note), event, note.key == display)
                for note in annotation.notes
            )
        for removal in notes.removals:
            kind, entity = self._entity(removal.entity_type, removal.entity_id)
            found.extend(Annotation(kind, entity, key, event=event, is_removal=True) for key in removal.keys)
        return tuple(found)

    def _entity(self, kind: Text | None, entity: Text | None) -> tuple[str, str]:
        named = self._text(kind) if kind else "build"
        if entity is not None:
            return named, self._text(entity)
        return named, self.image if named == "image" else self.variables.interpolate("${{CF_BUILD_ID}}").text

    def _text(self, text: Text) -> str:
        return self.variables.interpolate(text.text).text

    def _value(self, note: NoteEntry) -> Plain:
        value = self._plain(note.key, note.value)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def _plain(self, key: str, value: NoteValue) -> Plain:
        if isinstance(value, Evaluate):
            found = self.evaluator.evaluate(value.expression.text, self.names)
            if found.error:
                self.emit(LogMessage(f"{key}: {value.expression.text} cannot be evaluated: {found.error}", "warning"))
                return None
            return found.result if not isinstance(found.result, Mapping) else None
        if not isinstance(value, Text):
            return value
        text = self._text(value)
        if text.startswith(_FILE):
            content = self.read(text.removeprefix(_FILE))
            return text if content is None else content[:_MAX_FILE]
        return text
