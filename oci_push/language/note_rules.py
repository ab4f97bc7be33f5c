"""Notes: metadata of images and annotations of builds, as they stand in hooks and, in the older form, on steps."""

from __future__ import annotations

import re
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from oci_push.language.diagnostics import Diagnostics, must
from oci_push.language.document import Node, Scalar, YamlMapping
from oci_push.language.scalar_rules import String
from oci_push.language.scalars import number, text
from oci_push.language.schema import Also, ByShape, Entries, Field, Fields, Into, Items
from oci_push.language.steps import EntityNotes, Evaluate, ImageNotes, NoteEntry, Notes, NoteValue, Removal, Text

T = TypeVar("T")
KEY = "^[A-Za-z0-9_]+$"
_LETTERS_FIRST = re.compile(r"[A-Za-z]")

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
) -> EntityNotes:
    return EntityNotes(entity_type, entity_id, _flat(notes), display)


def _removal(entity_type: Text | None = None, entity_id: Text | None = None, keys: tuple[Text, ...] = ()) -> Removal:
    return Removal(entity_type, entity_id, tuple(key.text for key in keys))


def together(metadata: tuple[ImageNotes, ...] = (), annotations: Notes = _NOTHING) -> Notes:
    """Return the notes of both keys as one."""
    return replace(annotations, metadata=metadata)


_EVALUATE = Fields(
    {"evaluate": Field(String(), "An expression whose result is the value.", required=True, attribute="expression")},
    into=_evaluate,
)


class NoteValueRule(Struct, frozen=True):
    """A text, a number, a boolean, or ``{evaluate: EXPRESSION}``."""

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


def _key_alone(key: Text | None) -> tuple[NoteEntry, ...]:
    return () if key is None else (NoteEntry(key.text, None, key.location),)


def _check_letters(node: Node, path: str, diagnostics: Diagnostics) -> None:
    """Warn about annotation keys that do not begin with a letter, which the vendor documents and does not check."""
    for note in _NOTE.read(node):
        if not _LETTERS_FIRST.match(note.key):
            diagnostics.warn(note.location, path, f'annotation key "{note.key}" should begin with a letter')


_NOTE = ByShape("object", _PAIRS, Into(_WORD, _key_alone))
_NOTES = Items(_NOTE)
_ANNOTATION_NOTES = Items(Also(_NOTE, _check_letters))
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
        "annotations": Field(_ANNOTATION_NOTES, "Keys and values.", required=True, attribute="notes"),
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
    into=together,
)
