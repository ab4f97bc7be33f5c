"""Who waits for whom: `when.steps` that name no step, and steps that wait for each other for ever.

The vendor checks neither. A step whose dependency does not exist never starts, which is strange and no more; steps in a
circle would keep a pipeline with ``mode: parallel`` from doing what it says, and are an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, YamlEntry, YamlMapping
from oci_push.language.scalars import child, entries, step_type, text, word
from oci_push.language.steps import Dependencies
from oci_push.language.when import WHEN
from oci_push.variables.interpolation import only_name
from oci_push.variables.system import MEANINGS

_FEW_NAMES = 200
"""Among more names, what was meant is not looked for: that takes the square of their number."""


def check_order(root: YamlMapping, diagnostics: Diagnostics) -> None:
    """Check the dependencies of all steps."""
    groups: dict[str, str] = {}
    for entry in entries(root.get("steps")):
        groups[entry.key.text] = entry.key.text
        for name, _ in _inside(entry.value, ""):
            groups.setdefault(name, entry.key.text)
    names = frozenset(groups)
    waits = {}
    for entry in entries(root.get("steps")):
        found = _dependencies(entry.value)
        if found is not None:
            _check_names(found, names, f"steps.{entry.key.text}", diagnostics)
            waits[entry.key.text] = found
        for name, node in _inside(entry.value, f"steps.{entry.key.text}"):
            below = _dependencies(node)
            if below is not None:
                _check_names(below, names, name, diagnostics)
    if word(root.get("mode")) == "parallel":
        _check_circles(_Graph(waits, groups), diagnostics)


def _inside(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Walk the steps below a step; with a path, give paths in place of names."""
    for entry in entries(child(node, "steps")):
        where = f"{path}.steps.{entry.key.text}" if path else entry.key.text
        yield where, entry.value
        yield from _inside(entry.value, where if path else "")


def _dependencies(node: Node) -> Dependencies | None:
    when = child(node, "when")
    return None if when is None else WHEN.read(when).dependencies


def _check_names(found: Dependencies, names: frozenset[str], path: str, diagnostics: Diagnostics) -> None:
    for dependency in found.steps:
        name = dependency.name.text
        if name in names or "${{" in name:
            continue
        near = difflib.get_close_matches(name, sorted(names), 1) if len(names) <= _FEW_NAMES else []
        hint = f"did you mean {near[0]!r}?" if near else "it counts as never started"
        message = f'"name" is no step of this pipeline. Current value: {name} '
        diagnostics.warn(dependency.name.mark, f"{path}.when.steps", message, hint=hint)


class _Graph(Struct, frozen=True):
    """What each step waits for; `groups` gives the outermost step of every name."""

    waits: dict[str, Dependencies]
    groups: dict[str, str]

    def blockers(self, step: str) -> list[str]:
        """List the outermost steps that must have started before `step` can; a pending one suffices for some."""
        found = self.waits.get(step)
        if found is None:
            return []
        waited = [one for one in found.steps if one.name.text in self.groups]
        must = [self.groups[one.name.text] for one in waited if "pending" not in one.states]
        return [] if found.one_suffices and len(must) < len(found.steps) else must


def _check_circles(graph: _Graph, diagnostics: Diagnostics) -> None:
    blocked = _blocked(graph)
    seen: set[str] = set()
    for step in blocked:
        walked: list[str] = []
        while step not in seen:
            seen.add(step)
            walked.append(step)
            step = next(name for name in graph.blockers(step) if name in blocked)
        if step in walked:
            circle = [*walked[walked.index(step) :], step]
            mark = graph.waits[step].steps[0].name.mark
            message = f"steps wait for each other: {' -> '.join(circle)}"
            diagnostics.error(mark, f"steps.{step}.when.steps", message, hint="remove one of these dependencies")


def _blocked(graph: _Graph) -> dict[str, None]:
    """Return the steps that can never start, in file order: those in circles and those behind them."""
    dependents: dict[str, list[str]] = {}
    missing: dict[str, int] = {}
    for step, found in graph.waits.items():
        blockers = graph.blockers(step)
        missing[step] = min(len(blockers), 1) if found.one_suffices else len(blockers)
        for name in blockers:
            dependents.setdefault(name, []).append(step)
    free = [step for step in dict.fromkeys(graph.groups.values()) if not missing.get(step)]
    done = set(free)
    while free:
        for step in dependents.get(free.pop(), ()):
            missing[step] -= 1
            if missing[step] <= 0 and step not in done:
                done.add(step)
                free.append(step)
    return {step: None for step in graph.waits if step not in done}


def hint_for_step(named: str, builds: Sequence[str]) -> str:
    """Say which build steps a candidate could mean that names none."""
    near = difflib.get_close_matches(named, builds, 1)
    meant = f"did you mean {near[0]!r}?" if near else f"build steps: {', '.join(builds) or 'none'}"
    return f"no step is called {named!r}; {meant}"


def check_candidates(root: YamlMapping, lookup: Callable[[str], str | None] | None, diagnostics: Diagnostics) -> None:
    """Warn about candidates that are neither a step nor, as far as `lookup` knows, a variable."""
    steps = list(_steps(root))
    names = {entry.key.text for entry in steps}
    builds = [
        entry.key.text for entry in steps if isinstance(entry.value, YamlMapping) and step_type(entry.value) == "build"
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


def _steps(node: YamlMapping) -> Iterator[YamlEntry]:
    for entry in entries(node.get("steps")):
        yield entry
        if isinstance(entry.value, YamlMapping):
            yield from _steps(entry.value)
