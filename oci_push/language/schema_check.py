"""Checking a whole pipeline: root, steps of all levels, hooks and names, and who waits for whom.

Works on nodes that `expand` has rewritten. What needs the integrations is in `schema_registries`. The vendor checks no
dependencies: a step that waits for one that does not exist never starts, which is strange and no more; steps in a
circle would keep a pipeline with ``mode: parallel`` from doing what it says, and are an error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from oci_push.language.diagnostics import Diagnostics, must
from oci_push.language.document import Node, Scalar, YamlMapping, YamlSequence
from oci_push.language.hooks import FORBIDDEN, check_hooks
from oci_push.language.scalar_rules import Choice, Number, String
from oci_push.language.scalars import (
    boolean,
    child,
    entries,
    is_variable,
    js_length,
    shown,
    step_type,
    text,
    walk_steps,
    word,
)
from oci_push.language.schema import Field, Fields
from oci_push.language.schema_push import check_annotation_keys, check_old_hooks, check_push, check_retry
from oci_push.language.schema_steps import ROOT, TABLES, UNSUPPORTED
from oci_push.language.steps import HOOK_EVENTS, KNOWN_TYPES, Dependencies
from oci_push.language.when import WHEN
from oci_push.variables.interpolation import only_name
from oci_push.variables.system import MEANINGS

MAX_NAME = 150
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
RUN_TYPES = ("push", "parallel", "build")


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
    stages = root.get("stages")
    declared = tuple(s.text for s in stages.items if isinstance(s, Scalar)) if isinstance(stages, YamlSequence) else ()
    checker = _Checker(diagnostics, declared)
    hooks, steps = root.get("hooks"), root.get("steps")
    if hooks is not None:
        checker.hooks(hooks, "hooks")
    if steps is not None:
        checker.steps(steps, "steps")
        _check_names(tuple((entry.key, path) for entry, path in walk_steps(steps, "steps")), diagnostics)
        check_order(root, diagnostics)


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


class _Checker(Struct, frozen=True):
    diagnostics: Diagnostics
    stages: tuple[str, ...]

    def steps(self, node: Node, path: str, *, in_group: bool = False) -> None:
        if not isinstance(node, YamlMapping):
            self.diagnostics.error(node.location, path, must("steps", "be an object", node))
            return
        for entry in node.entries:
            self._step(entry.key.text, entry.value, f"{path}.{entry.key.text}", in_group=in_group)

    def hooks(self, node: Node, path: str) -> None:
        check_hooks(node, path, self.diagnostics, self._step_in_hook)
        for entry in node.entries if isinstance(node, YamlMapping) else ():
            check_annotation_keys(entry.value, f"{path}.{entry.key.text}", self.diagnostics)

    def _step(self, name: str, node: Node, path: str, *, in_group: bool = False) -> None:
        if not isinstance(node, YamlMapping):
            self.diagnostics.error(node.location, path, must(name, "be an object", node))
            return
        kind = step_type(node)
        self._type(kind, node, path)
        if in_group and kind == "pending-approval":
            self.diagnostics.error(node.location, f"{path}.type", '"type" can\'t be pending-approval')
        if kind not in KNOWN_TYPES:
            stage = node.get("stage")
            if stage is not None:
                self._stage(stage, f"{path}.stage", self.diagnostics)
            return
        if kind == "parallel":
            self._parallel(name, node, path)
            return
        self._keys(name, node, path, self.diagnostics)
        hooks = node.get("hooks")
        if hooks is not None:
            self.hooks(hooks, f"{path}.hooks")
        check_old_hooks(node, path, self.diagnostics)
        for event in HOOK_EVENTS:
            check_annotation_keys(node.get(event), f"{path}.{event}", self.diagnostics)

    def _step_in_hook(self, name: str, node: Node, path: str) -> None:
        if isinstance(node, YamlMapping):
            forbidden = [entry for entry in node.entries if entry.key.text in FORBIDDEN]
            for entry in forbidden:
                key, hint = entry.key.text, "a step inside a hook cannot have it"
                self.diagnostics.error(entry.key.location, f"{path}.{key}", f'"{key}" is not allowed', hint=hint)
            node = YamlMapping(node.location, tuple(entry for entry in node.entries if entry.key.text not in FORBIDDEN))
        self._step(name, node, path)

    def _parallel(self, name: str, node: YamlMapping, path: str) -> None:
        own = Diagnostics()
        self._keys(name, YamlMapping(node.location, tuple(e for e in node.entries if e.key.text != "steps")), path, own)
        self.diagnostics.add(own, as_warnings=True)  # upstream swallows them, and its documentation counts on that
        for key in ("hooks", *HOOK_EVENTS[1:]):
            entry = node.entry(key)
            if entry is not None:
                message, hint = f'"{key}" of a parallel step is not run', "put it on the steps inside"
                self.diagnostics.warn(entry.key.location, f"{path}.{key}", message, hint=hint)
        steps = node.get("steps")
        if not isinstance(steps, YamlMapping) or not steps.entries:
            location, hint = steps.location if steps else node.location, "steps: is a mapping from names to steps"
            message = '"steps" is required and must be an array of type steps'
            self.diagnostics.error(location, f"{path}.steps", message, hint=hint)
        else:
            self.steps(steps, f"{path}.steps", in_group=True)

    def _keys(self, name: str, node: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
        kind = step_type(node)
        table = TABLES.get(kind, UNSUPPORTED)
        if kind == "freestyle" and node.entry("type") is None and node.entry("image") is None:
            hint = "a step without type is freestyle; write type: push" if node.entry("candidate") else None
            diagnostics.error(node.location, f"{path}.image", '"image" is required', hint=hint)
            table = UNSUPPORTED
        if kind == "parallel":
            table = Fields({**table.fields, "steps": Field(table.fields["steps"].rule)}, table.aliases)
        table.check(name, node, path, diagnostics)
        stage = node.get("stage")
        if stage is not None:
            self._stage(stage, f"{path}.stage", diagnostics)
        if kind == "push":
            check_push(node, path, diagnostics)
        if kind in ("push", "build", "parallel"):
            check_retry(node, path, diagnostics)

    def _stage(self, node: Node, path: str, diagnostics: Diagnostics) -> None:
        if self.stages or not isinstance(node, Scalar):
            Choice(self.stages).check("stage", node, path, diagnostics)
            return
        hint = f"declare it at the root: stages: [{node.text}]"
        diagnostics.error(node.location, path, must("stage", "be one of []", node), hint=hint)

    def _type(self, kind: str, node: YamlMapping, path: str) -> None:
        given = node.get("type")
        if given is None or kind in KNOWN_TYPES:
            return
        where = f"{path}.type"
        if not kind:
            String().check("type", given, where, self.diagnostics)
            return
        base, colon, version = kind.partition(":")
        known = base.lower()
        if known in RUN_TYPES:
            # Upstream finds no schema for these and checks nothing, so that a mistake shows when it is too late.
            message = f'"type" must be one of [{known}]. Current value: {kind} '
            self.diagnostics.error(given.location, where, message, hint=f"write type: {known}")
        elif "${{" in kind:
            return
        elif not colon:
            message = (
                "Step version not specified. The latest version will be used, which may result in breaking changes."
            )
            self.diagnostics.warn(given.location, where, message)
        elif not _VERSION.fullmatch(version):
            self.diagnostics.warn(given.location, where, f'Invalid semantic version "{version}" for step.')


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
    """Say which build steps a candidate could mean that names none."""
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
