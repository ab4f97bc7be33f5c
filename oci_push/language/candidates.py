"""Candidates that name no step: told when a file is checked, and with the steps that may be meant in a plan."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Entry, Mapping
from oci_push.language.expand import step_type
from oci_push.language.read import child, entries, text
from oci_push.variables.interpolation import only_name
from oci_push.variables.system import MEANINGS


def hint_for_step(named: str, builds: Sequence[str]) -> str:
    """Say which build steps a candidate could mean that names none."""
    near = difflib.get_close_matches(named, builds, 1)
    meant = f"did you mean {near[0]!r}?" if near else f"build steps: {', '.join(builds) or 'none'}"
    return f"no step is called {named!r}; {meant}"


def check_candidates(root: Mapping, lookup: Callable[[str], str | None] | None, diagnostics: Diagnostics) -> None:
    """Warn about candidates that are neither a step nor, as far as `lookup` knows, a variable."""
    steps = list(_steps(root))
    names = {entry.key.text for entry in steps}
    builds = [
        entry.key.text for entry in steps if isinstance(entry.value, Mapping) and step_type(entry.value) == "build"
    ]
    for entry in steps:
        candidate = text(child(entry.value, "candidate"))
        named = only_name(candidate.text) if candidate else None
        if candidate is None or named is None or "." in named or named in names or named in MEANINGS:
            continue
        if lookup(named) is None if lookup else builds:
            message = f'"candidate" names no step of this pipeline. Current value: {candidate.text} '
            hint = f"{hint_for_step(named, builds)}; or it is a variable that a run is given"
            diagnostics.warn(candidate.mark, f"steps.{entry.key.text}.candidate", message, hint=hint)


def _steps(node: Mapping) -> Iterator[Entry]:
    for entry in entries(node.get("steps")):
        yield entry
        if isinstance(entry.value, Mapping):
            yield from _steps(entry.value)
