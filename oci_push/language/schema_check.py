"""Checking a whole pipeline: root, steps of all levels, hooks and names, and who waits for whom.

Works on nodes that `expand` has rewritten. What needs the integrations is in `schema_registries`. The vendor checks no
dependencies: a step that waits for one that does not exist never starts, which is strange and no more; steps in a
circle would keep a pipeline with ``mode: parallel`` from doing what it says, and are an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from msgspec import Struct

from oci_push.language.diagnostics import Diagnostics, must
from oci_push.language.document import Node, Scalar, YamlMapping
from oci_push.language.scalar_rules import Choice, Number
from oci_push.language.scalars import (
    boolean,
    child,
    entries,
    is_variable,
    items,
    js_length,
    shown,
    step_type,
    text,
    walk_hooks,
    walk_steps,
    word,
)
from oci_push.language.step_rules import MAX_NAME, ROOT
from oci_push.language.steps import Dependencies
from oci_push.language.when import WHEN
from oci_push.variables.interpolation import only_name
from oci_push.variables.system import MEANINGS


def check_pipeline(root: YamlMapping, diagnostics: Diagnostics) -> None:
    """Check everything that can be judged without the integrations."""
    ROOT.check("value", root, "", diagnostics)
    _check_version(root, diagnostics)
    fail_fast = root.get("fail_fast")
    is_object = isinstance(fail_fast, YamlMapping)
    is_word = isinstance(fail_fast, Scalar) and isinstance(fail_fast.value, str) and bool(fail_fast.value)
    if fail_fast is not None and (is_object or is_word) and boolean(fail_fast) is None and not is_variable(fail_fast):
        message = must("fail_fast", "be a boolean", fail_fast)
        diagnostics.warn(fail_fast.location, "fail_fast", message, hint="true is taken; write true or false")
    declared = tuple(item.text for item in items(root.get("stages")) if isinstance(item, Scalar))
    _check_stages(root.get("steps"), "steps", declared, diagnostics)
    _check_stages_inside(root, "", declared, diagnostics)
    _check_names(tuple((entry.key, path) for entry, path in walk_steps(root.get("steps"), "steps")), diagnostics)
    check_order(root, diagnostics)


def _check_stages(steps: Node | None, path: str, declared: tuple[str, ...], diagnostics: Diagnostics) -> None:
    """Check that stages are declared; like all that a parallel step says of itself, its own is a warning."""
    for entry in entries(steps):
        where, stage, own = f"{path}.{entry.key.text}", child(entry.value, "stage"), Diagnostics()
        if isinstance(stage, Scalar) and not declared:
            hint = f"declare it at the root: stages: [{stage.text}]"
            own.error(stage.location, f"{where}.stage", must("stage", "be one of []", stage), hint=hint)
        elif stage is not None:
            Choice(declared).check("stage", stage, f"{where}.stage", own)
        diagnostics.add(own, as_warnings=_is_group(entry.value))
        _check_stages_inside(entry.value, where, declared, diagnostics)


def _check_stages_inside(owner: Node, path: str, declared: tuple[str, ...], diagnostics: Diagnostics) -> None:
    """Check the stages of a group's steps, and those of groups in hooks; steps that stand in hooks have none."""
    if _is_group(owner):
        _check_stages(child(owner, "steps"), f"{path}.steps", declared, diagnostics)
    for step, at in walk_hooks(owner, path) if isinstance(owner, YamlMapping) else ():
        if _is_group(step):
            _check_stages(child(step, "steps"), f"{at}.steps", declared, diagnostics)


def _is_group(step: Node) -> bool:
    return isinstance(step, YamlMapping) and step_type(step) == "parallel"


def _check_version(root: YamlMapping, diagnostics: Diagnostics) -> None:
    """Accept 1.0 and 1, as numbers and in quotes; what JavaScript takes for false is a wrong number instead."""
    version = root.get("version")
    if version is None:
        return
    value = version.value if isinstance(version, Scalar) else None
    if isinstance(version, Scalar) and not value:
        Number(positive=True).check("version", version, "version", diagnostics)
    elif isinstance(value, bool) or value not in ("1.0", "1", 1):
        given = shown(version) if isinstance(version, Scalar) else "[object Object]"
        message = f"Current version: {given} is invalid. please change version to 1.0"
        diagnostics.error(version.location, "version", message)


def _check_names(names: tuple[tuple[Scalar, str], ...], diagnostics: Diagnostics) -> None:
    """Check names, which form one list; of those too long the longest is told."""
    seen: dict[str, Scalar] = {}
    for name, path in names:
        if any(c in name.text for c in ".#$[]"):
            message, hint = 'step name cannot contain ".", "#", "$", "[", or "]"', f"rename {name.text!r}"
            diagnostics.error(name.location, path, message, hint=hint)
        if not name.text:
            diagnostics.error(name.location, path, "step name is not allowed to be empty")
        if name.text in seen:
            hint = f"{name.text!r} is also on line {seen[name.text].location.line}; names count over all levels"
            diagnostics.error(name.location, path, "step name exist more than once", hint=hint)
        seen.setdefault(name.text, name)
    longest = max(names, key=lambda found: js_length(found[0].text), default=None)
    if longest is not None and js_length(longest[0].text) > MAX_NAME:
        message, hint = (
            f"step name length is limited to {MAX_NAME}",
            f"this one has {js_length(longest[0].text)} characters",
        )
        diagnostics.error(longest[0].location, longest[1], message, hint=hint)


_FEW_NAMES = 200
"""Among more names, what was meant is not looked for: that takes the square of their number."""


def check_order(root: YamlMapping, diagnostics: Diagnostics) -> None:
    """Check the dependencies of all steps."""
    groups: dict[str, str] = {}
    for entry in entries(root.get("steps")):
        groups[entry.key.text] = entry.key.text
        for inner, _ in walk_steps(child(entry.value, "steps"), ""):
            groups.setdefault(inner.key.text, entry.key.text)
    names = frozenset(groups)
    waits = {}
    for entry, path in walk_steps(root.get("steps"), "steps"):
        found = _dependencies(entry.value)
        if found is not None:
            _check_dependencies(found, names, path, diagnostics)
            if path == f"steps.{entry.key.text}":
                waits[entry.key.text] = found
    if word(root.get("mode")) == "parallel":
        _check_circles(_Graph(waits, groups), diagnostics)


def _dependencies(node: Node) -> Dependencies | None:
    when = child(node, "when")
    return None if when is None else WHEN.read(when).dependencies


def _check_dependencies(found: Dependencies, names: frozenset[str], path: str, diagnostics: Diagnostics) -> None:
    for dependency in found.steps:
        name = dependency.name.text
        if name in names or "${{" in name:
            continue
        near = difflib.get_close_matches(name, sorted(names), 1) if len(names) <= _FEW_NAMES else []
        hint = f"did you mean {near[0]!r}?" if near else "it counts as never started"
        message = f'"name" is no step of this pipeline. Current value: {name} '
        diagnostics.warn(dependency.name.location, f"{path}.when.steps", message, hint=hint)


class _Graph(Struct, frozen=True):
    """What each step waits for; `groups` gives the outermost step of every name."""

    waits: dict[str, Dependencies]
    groups: dict[str, str]

    def blockers(self, step: str) -> list[str]:
        """Return the outermost steps that must have started before `step` can; a pending one suffices for some."""
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
            location = graph.waits[step].steps[0].name.location
            message = f"steps wait for each other: {' -> '.join(circle)}"
            diagnostics.error(location, f"steps.{step}.when.steps", message, hint="remove one of these dependencies")


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
    """Return which build steps a candidate could mean that names none."""
    near = difflib.get_close_matches(named, builds, 1)
    meant = f"did you mean {near[0]!r}?" if near else f"build steps: {', '.join(builds) or 'none'}"
    return f"no step is called {named!r}; {meant}"


def check_candidates(root: YamlMapping, lookup: Callable[[str], str | None] | None, diagnostics: Diagnostics) -> None:
    """Warn about candidates that are neither a step nor, as far as `lookup` knows, a variable."""
    steps = [entry for entry, _ in walk_steps(root.get("steps"), "steps")]
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
            diagnostics.warn(candidate.location, f"steps.{entry.key.text}.candidate", message, hint=hint)
