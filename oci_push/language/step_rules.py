"""Steps and hooks of all levels, and the pipeline round them, as rules of the table.

A hook is a list of commands; one step; ``{steps, mode, fail_fast, strict_fail_fast}``; any of these under `exec` beside
`metadata` and `annotations`; or those two alone. The vendor's validator refuses a list under `exec` beside annotations,
which its documentation shows: here it is fine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oci_push.language.diagnostics import Diagnostics, must
from oci_push.language.document import Node, Scalar, YamlMapping, YamlSequence
from oci_push.language.note_rules import NOTES, together
from oci_push.language.scalar_rules import Anything, Boolean, Choice, String
from oci_push.language.scalars import VARIABLE, child, items, matches, step_type, text
from oci_push.language.schema import Also, ByShape, Entries, Field, Fields, Into, Items, OneOf, Shared
from oci_push.language.schema_steps import (
    AWS_KEYS,
    BUILD_STEP,
    COMMANDS,
    COMMON,
    KEYS,
    NOWHERE,
    PARALLEL,
    PROVIDER_PATTERN,
    PUSH_STEP,
    SETTINGS,
)
from oci_push.language.steps import (
    HOOK_EVENTS,
    KNOWN_TYPES,
    Flag,
    Hook,
    ImageNotes,
    Notes,
    ParallelStep,
    Pipeline,
    Step,
    SuccessCriteria,
    Text,
    UnsupportedStep,
)
from oci_push.language.when import SUCCESS_CRITERIA
from oci_push.model.reference import check_tag

FORBIDDEN = ("debug", "on_start", "on_finish", "on_fail", "hooks", "stage")
"""What a step in a hook must not have; ``on_success`` is not among them, as upstream."""
RUN_TYPES = ("push", "parallel", "build")
MAX_NAME = 150
NAMES: Mapping[str, object] = {"pattern": r"^[^.#$\[\]]*$", "minLength": 1, "maxLength": MAX_NAME}
_PROVIDERS = ("docker", "standard", "ecr")
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")


class StepRule(Struct, frozen=True):
    """A step, by the table of its type; `place` is ``group`` or ``hook`` where it stands in one."""

    place: str = ""

    def check(self, key: str, node: Node, path: str, diagnostics: Diagnostics) -> None:
        """Check its type, then its keys."""
        if not isinstance(node, YamlMapping):
            diagnostics.error(node.location, path, must(key, "be an object", node))
            return
        if self.place == "hook":
            node = _without_forbidden(node, path, diagnostics)
        kind = step_type(node)
        _check_type(kind, node, path, diagnostics)
        if self.place == "group" and kind == "pending-approval":
            diagnostics.error(node.location, f"{path}.type", '"type" can\'t be pending-approval')
        if kind == "parallel":
            _check_parallel(key, node, path, diagnostics)
        elif kind in KNOWN_TYPES:
            _check_keys(key, node, path, diagnostics)
            _check_old_hooks(node, path, diagnostics)

    def read(self, node: Node) -> Step | None:
        """Return the step, still without its name."""
        if not isinstance(node, YamlMapping):
            return None
        kind, settings = step_type(node), SETTINGS.read(node)
        if kind == "parallel":
            return replace(_PARALLEL_STEP.read(node), settings=settings)
        hooks = child(node, "hooks")
        settings = replace(settings, hooks=(() if hooks is None else HOOKS.read(hooks)) + _old_hooks(node))
        if kind == "push":
            return replace(PUSH_STEP.read(node), settings=settings, aws=AWS_KEYS.read(node))
        if kind == "build":
            return replace(BUILD_STEP.read(node), settings=settings)
        commands = COMMANDS.read(node) if kind == "freestyle" else ()
        return UnsupportedStep("", NOWHERE, kind, settings, commands)

    def to_json(self) -> dict[str, object]:
        """Return where the types are told apart."""
        return {"$ref": "#/$defs/hookStep" if self.place == "hook" else "#/$defs/step"}


def _named(name: Scalar, step: Step | None) -> Step | None:
    return None if step is None else replace(step, name=name.text, location=name.location)


STEPS = Entries(StepRule(), into=_named)
_GROUP_STEPS = Entries(StepRule("group"), into=_named)


def _without_forbidden(node: YamlMapping, path: str, diagnostics: Diagnostics) -> YamlMapping:
    for entry in node.entries:
        if (key := entry.key.text) in FORBIDDEN:
            hint = "a step inside a hook cannot have it"
            diagnostics.error(entry.key.location, f"{path}.{key}", f'"{key}" is not allowed', hint=hint)
    return node.without(*FORBIDDEN)


def _check_keys(name: str, node: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
    kind = step_type(node)
    table = TABLES.get(kind, TABLES[""])
    if kind == "freestyle" and node.entry("type") is None and node.entry("image") is None:
        hint = "a step without type is freestyle; write type: push" if node.entry("candidate") else None
        diagnostics.error(node.location, f"{path}.image", '"image" is required', hint=hint)
        table = TABLES[""]
    table.check(name, node, path, diagnostics)
    if kind == "push":
        _check_push(node, path, diagnostics)


def _check_parallel(name: str, node: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
    own = Diagnostics()
    _check_keys(name, node.without("steps"), path, own)
    diagnostics.add(own, as_warnings=True)  # upstream swallows them, and its documentation counts on that
    for key in ("hooks", *HOOK_EVENTS[1:]):
        entry = node.entry(key)
        if entry is not None:
            message, hint = f'"{key}" of a parallel step is not run', "put it on the steps inside"
            diagnostics.warn(entry.key.location, f"{path}.{key}", message, hint=hint)
    steps = node.get("steps")
    if isinstance(steps, YamlMapping) and steps.entries:
        _GROUP_STEPS.check("steps", steps, f"{path}.steps", diagnostics)
    else:
        location, hint = steps.location if steps else node.location, "steps: is a mapping from names to steps"
        message = '"steps" is required and must be an array of type steps'
        diagnostics.error(location, f"{path}.steps", message, hint=hint)


def _check_type(kind: str, node: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
    given, where = node.get("type"), f"{path}.type"
    if given is None or kind in KNOWN_TYPES:
        return
    base, colon, version = kind.partition(":")
    known = base.lower()
    if not kind:
        String().check("type", given, where, diagnostics)
    elif known in RUN_TYPES:
        # Upstream finds no schema for these and checks nothing, so that a mistake shows when it is too late.
        message = f'"type" must be one of [{known}]. Current value: {kind} '
        diagnostics.error(given.location, where, message, hint=f"write type: {known}")
    elif "${{" in kind:
        return
    elif not colon:
        message = "Step version not specified. The latest version will be used, which may result in breaking changes."
        diagnostics.warn(given.location, where, message)
    elif not _VERSION.fullmatch(version):
        diagnostics.warn(given.location, where, f'Invalid semantic version "{version}" for step.')


def _check_push(step: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
    """Warn about keys of a push step that do not go together or have no effect."""
    provider = step.get("provider")
    name = provider.value if isinstance(provider, Scalar) else None
    if provider is not None and isinstance(name, str) and name not in _PROVIDERS and matches(PROVIDER_PATTERN, name):
        message = f'"provider" is read as docker. Current value: {name}'
        diagnostics.warn(provider.location, f"{path}.provider", message, hint="write docker or ecr")
    tag, tags = step.entry("tag"), step.entry("tags")
    if tag is not None and tags is not None:
        hint = "put them all into tags"
        diagnostics.warn(tag.key.location, f"{path}.tag", '"tag" and "tags" are both given; both are pushed', hint=hint)
    if name == "ecr":
        _ignored(step, ("registry", "credentials"), "provider: ecr", path, diagnostics)
    if name in ("docker", "standard"):
        _ignored(step, ("accessKeyId", "secretAccessKey", "region"), f"provider: {name}", path, diagnostics)
    if step.entry("role_arn") is None:
        _ignored(step, ("aws_session_name",), "no role_arn", path, diagnostics)
    _check_reference(step, path, diagnostics)


def _check_reference(step: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
    """Warn about names and tags that no registry takes; with variables in them nobody can know."""
    name = text(step.get("image_name"))
    if name is not None and "${{" not in name.text and name.text != name.text.lower():
        message = f'"image_name" must be in lower case. Current value: {name.text} '
        diagnostics.warn(name.location, f"{path}.image_name", message, hint=f"write {name.text.lower()}")
    tags = step.get("tags")
    listed = [(node, f"{path}.tags.{index}") for index, node in enumerate(items(tags))]
    for node, where in ((step.get("tag"), f"{path}.tag"), *listed):
        tag = text(node)
        if tag is None or "${{" in tag.text:
            continue
        try:
            check_tag(tag.text)
        except ValueError as problem:
            diagnostics.warn(tag.location, where, str(problem))


def _check_old_hooks(step: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
    """Refuse notes written in the old place beside hooks for the same events."""
    hooks = step.get("hooks")
    events = ("on_success", "on_fail", "on_finish")
    old = next((step.entry(event) for event in events if step.entry(event)), None)
    if old is None or not isinstance(hooks, YamlMapping) or not any(hooks.entry(event) for event in events):
        return
    message = 'Either old "on_success/on_fail/on_finish" or new "hooks" should be used'
    diagnostics.error(old.key.location, path, message, hint=f"move {old.key.text} into hooks")


def _ignored(step: YamlMapping, keys: tuple[str, ...], because: str, path: str, diagnostics: Diagnostics) -> None:
    for key in keys:
        entry = step.entry(key)
        if entry is not None:
            diagnostics.warn(entry.key.location, f"{path}.{key}", f'"{key}" is ignored with {because}')


def _parallel(steps: tuple[Step, ...] = (), success_criteria: SuccessCriteria | None = None) -> ParallelStep:
    """Return a group whose name, place and settings are still to come."""
    return ParallelStep("", NOWHERE, steps, success_criteria=success_criteria)


def inherited(steps: tuple[Step, ...], timeout_s: float | None = None, stage: str = "") -> tuple[Step, ...]:
    """Return steps with the limit and the stage of the groups round them; infinity is a limit that was taken away."""
    found: list[Step] = []
    for step in steps:
        own = step.settings
        limit = timeout_s if own.timeout_s is None else own.timeout_s
        settings = replace(own, timeout_s=None if limit == math.inf else limit, stage=stage or own.stage)
        if isinstance(step, ParallelStep):
            step = replace(step, steps=inherited(step.steps, limit, settings.stage))
        found.append(replace(step, settings=settings))
    return tuple(found)


def _steps_of_hook(
    steps: tuple[Step, ...] = (), mode: str = "", fail_fast: Flag = None, strict_fail_fast: Flag = None
) -> Hook:
    return Hook("", (), steps, mode == "parallel", fail_fast, strict_fail_fast)


def _with_notes(
    exec: Hook | None = None, metadata: tuple[ImageNotes, ...] = (), annotations: Notes | None = None
) -> Hook:
    return replace(exec or Hook(""), notes=together(metadata, annotations or Notes()))


def _check_exec(node: Node, path: str, diagnostics: Diagnostics) -> None:
    inner = child(node, "exec")
    if isinstance(inner, YamlSequence) and (child(node, "metadata") or child(node, "annotations")):
        hint = "the documentation shows it, and the commands are read"
        diagnostics.refused_upstream(inner.location, f"{path}.exec", '"value" must be an object', hint=hint)


def _at_event(event: Scalar, hook: Hook) -> Hook:
    """Return the hook of an event, which is the name of a step that stands alone in it."""
    steps = (step if step.name else _named(event, step) for step in hook.steps)
    return replace(hook, event=event.text, steps=inherited(tuple(step for step in steps if step is not None)))


def _old_hooks(step: YamlMapping) -> tuple[Hook, ...]:
    """Return the notes that stand directly on a step, in the older form."""
    return tuple(Hook(event, notes=NOTES.read(node)) for event in HOOK_EVENTS if (node := step.get(event)) is not None)


_STEPS_OF_HOOK = Fields(
    {
        "steps": Field(Entries(StepRule("hook"), into=_named), "Steps of the hook.", required=True),
        "mode": Field(Choice(("sequential", "parallel")), "In order, or together.", default="sequential"),
        "fail_fast": Field(Boolean(), "Whether a failure stops the hook.", default=True),
        "strict_fail_fast": Field(Boolean(strict=True), "Whether the hook fails after all.", default=False),
    },
    into=_steps_of_hook,
)
_ACTIONS = ByShape(
    "array",
    Into(Items(String()), lambda commands: Hook("", commands)),
    ByShape(
        "object",
        _STEPS_OF_HOOK,
        Into(StepRule("hook"), lambda step: Hook("", steps=(step,) if step else ())),
        keys=("steps",),
    ),
)
_WITH_NOTES = Fields({"exec": Field(_ACTIONS, "What is done."), **NOTES.fields}, into=_with_notes)
_HOOK = ByShape("object", Also(_WITH_NOTES, _check_exec), _ACTIONS, keys=tuple(_WITH_NOTES.fields))
HOOKS = Shared(Entries(Shared(_HOOK, "hook"), names=HOOK_EVENTS, into=_at_event), "hooks")
SHARED: tuple[Shared[Any], ...] = (
    *(one.rule for one in COMMON.values() if isinstance(one.rule, Shared)),
    HOOKS,
    Shared(_HOOK, "hook"),
)
"""The rules that a JSON Schema writes once."""

TABLES: dict[str, Fields[None]] = {
    kind: replace(table, fields={**table.fields, "hooks": replace(COMMON["hooks"], rule=HOOKS)})
    for kind, table in KEYS.items()
}
TABLES["parallel"] = PARALLEL  # its hooks are not run, and so not checked
_PARALLEL_STEP = Fields({**PARALLEL.fields, "steps": Field(_GROUP_STEPS)}).part(_parallel, "steps", "success_criteria")

# Any string and any object pass, as upstream; a string that is no boolean means the default.
_ROOT_FAIL_FAST: OneOf[object] = OneOf((Boolean(), String(), Entries(Anything())))
ROOT: Fields[None] = Fields(
    {
        "version": Field(Anything({"enum": ["1.0", 1.0, 1, "1"]}), "Always '1.0'.", required=True),
        "steps": Field(STEPS, "The steps, in order.", required=True),
        "stages": Field(Items(String()), "Names that steps' stage: may have, in the order shown."),
        "mode": Field(Choice(("sequential", "parallel")), "In order, or by conditions.", default="sequential"),
        "fail_fast": Field(_ROOT_FAIL_FAST, "fail_fast of every step that has none.", default=True),
        "strict_fail_fast": Field(Boolean(strict=True), "strict_fail_fast of every step that has none.", default=False),
        "success_criteria": Field(SUCCESS_CRITERIA, "What makes the build successful."),
        "hooks": Field(HOOKS, "What is done before and after the pipeline."),
        "build_version": Field(Choice(("v1", "v2")), "No effect here."),
        "indicators": Field(Items(Anything()), "A place for YAML anchors."),
        "services": Field(Entries(Anything()), "No effect here."),
    }
)


def _pipeline(
    mode: str = "",
    fail_fast: Flag = None,
    strict_fail_fast: Flag = None,
    success_criteria: SuccessCriteria | None = None,
    steps: tuple[Step, ...] = (),
    hooks: tuple[Hook, ...] = (),
) -> Pipeline:
    """Return a pipeline whose path is still to come; a word that is no boolean says nothing."""
    is_said = isinstance(fail_fast, bool) or (isinstance(fail_fast, Text) and VARIABLE.fullmatch(fail_fast.text))
    return Pipeline(
        "",
        inherited(steps),
        is_parallel=mode == "parallel",
        fail_fast=fail_fast if is_said else None,
        strict_fail_fast=strict_fail_fast,
        success_criteria=success_criteria,
        hooks=hooks,
    )


PIPELINE = ROOT.part(_pipeline, "mode", "fail_fast", "strict_fail_fast", "success_criteria", "steps", "hooks")
