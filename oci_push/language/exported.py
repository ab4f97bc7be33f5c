"""Pipelines as the vendor's own program exports them: ``kind: pipeline``, with everything under ``spec``.

What starts pipelines (triggers) and what the vendor's service holds (contexts, policies) has no meaning here.
"""

from __future__ import annotations

from collections.abc import Mapping as Table

from msgspec import Struct, field

from oci_push.errors import Diagnostic
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Entry, Mapping, Node, Scalar
from oci_push.language.read import child, items
from oci_push.language.scalars import boolean
from oci_push.language.schema_steps import ROOT

_KIND = "pipeline"


class Exported(Struct, frozen=True):
    """The pipeline inside, its own variables, and by name why an encrypted one has no value."""

    root: Mapping
    variables: Table[str, str] = field(default_factory=dict)
    lacking: Table[str, Diagnostic] = field(default_factory=dict)


def unwrap(root: Mapping, diagnostics: Diagnostics) -> Exported | None:
    """Return the pipeline of a file; for files of other kinds nothing, and one error that says what they are."""
    kind = root.get("kind")
    if not isinstance(kind, Scalar):
        return Exported(root)
    spec = root.get("spec")
    hint = "give a file with version, stages and steps, or one of kind: pipeline"
    if kind.text != _KIND:
        diagnostics.error(kind.mark, "kind", f"this file describes a {kind.text!r}, not a pipeline", hint=hint)
        return None
    if not isinstance(spec, Mapping):
        diagnostics.error(kind.mark, "spec", "this file is of kind: pipeline and has no spec", hint=hint)
        return None
    template = spec.entry("specTemplate")
    if spec.entry("steps") is None and template is not None:
        path = child(template.value, "path")
        where = f": {path.text}" if isinstance(path, Scalar) else ""
        diagnostics.error(
            template.key.mark,
            "spec.specTemplate",
            f"the steps of this pipeline are in another file{where}",
            hint="give that file",
        )
        return None
    kept = tuple(entry for entry in spec.entries if entry.key.text in ROOT.fields)
    if spec.entry("version") is None:
        version = root.entry("version")
        one = Scalar(kind.mark, "1.0", "1.0", quoted=True)
        kept = (version or Entry(Scalar(kind.mark, "version", "version", quoted=False), one), *kept)
    values, lacking = _variables(spec.get("variables"), diagnostics)
    return Exported(Mapping(spec.mark, kept), values, lacking)


def _variables(node: Node | None, diagnostics: Diagnostics) -> tuple[dict[str, str], dict[str, Diagnostic]]:
    values: dict[str, str] = {}
    lacking: dict[str, Diagnostic] = {}
    for item in items(node):
        key, value = child(item, "key"), child(item, "value")
        if not isinstance(key, Scalar) or not key.text:
            diagnostics.warn(item.mark, "spec.variables", "a variable has key and value", hint="it is ignored")
        elif boolean(child(item, "encrypted")):
            mark, hint = key.mark, f"give it: --var {key.text}=VALUE"
            message = f"variable {key.text} is encrypted in this export"
            lacking[key.text] = Diagnostic(message, mark.file, mark.line, mark.column, "spec.variables", hint=hint)
        elif isinstance(value, Scalar) and value.value is not None:
            values[key.text] = value.text
    return values, lacking
