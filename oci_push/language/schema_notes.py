"""Metadata and annotations: notes about images and builds, kept beside them and never in a manifest."""

from __future__ import annotations

from msgspec import Struct

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Mapping, Node, Scalar
from oci_push.language.scalars import number
from oci_push.language.schema import Entries, Field, Fields, Items, String, must

KEY = "^[A-Za-z0-9_]+$"
_EVALUATE = Fields({"evaluate": Field(String(), "An expression whose result is the value.", required=True)})


class NoteValue(Struct, frozen=True):
    """Want text, a number, a boolean, or ``{evaluate: EXPRESSION}``."""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check the value."""
        if isinstance(node, Mapping):
            _EVALUATE.check(key, node, path, diagnostics)
        elif isinstance(node, Scalar) and node.value == "":
            diagnostics.error(node.mark, path, f'"{key}" is not allowed to be empty')
        elif not isinstance(node, Scalar) or not (isinstance(node.value, str | bool) or number(node) is not None):
            diagnostics.error(node.mark, path, must(key, "be a string", node))

    def to_json(self) -> dict[str, object]:
        """Return the choices."""
        return {"anyOf": [{"type": ["string", "number", "boolean"]}, _EVALUATE.to_json()]}


_PAIRS = Entries(NoteValue(), pattern=KEY)
_WORD = String(pattern=KEY)


class NoteItem(Struct, frozen=True):
    """Want a key alone, or keys with values."""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check one item of a list of notes."""
        (_PAIRS if isinstance(node, Mapping) else _WORD).check(key, node, path, diagnostics)

    def to_json(self) -> dict[str, object]:
        """Return both forms."""
        return {"anyOf": [_WORD.to_json(), _PAIRS.to_json()]}


_NOTES = Items(NoteItem())
METADATA = Fields({"set": Field(Items(Entries(_NOTES)), "Per image id, keys and values to note about the image.")})
ANNOTATIONS = Fields(
    {
        "set": Field(
            Items(
                Fields(
                    {
                        "entity_id": Field(String(), "What is annotated; by default this build."),
                        "entity_type": Field(String(), "build, pipeline, project or image.", default="build"),
                        "annotations": Field(_NOTES, "Keys and values.", required=True),
                        "display": Field(String(), "The annotation to show."),
                    }
                )
            ),
            "Annotations to write.",
        ),
        "unset": Field(
            Items(
                Fields(
                    {
                        "entity_id": Field(String(), "What was annotated; by default this build."),
                        "entity_type": Field(String(), "build, pipeline, project or image.", default="build"),
                        "annotations": Field(Items(_WORD), "Keys to remove.", required=True),
                    }
                )
            ),
            "Annotations to remove.",
        ),
    }
)
NOTES = Fields(
    {
        "metadata": Field(METADATA, "Notes about images."),
        "annotations": Field(ANNOTATIONS, "Notes about the build, a pipeline, a project or an image."),
    }
)
