"""From text to the model: load, expand, check, build. A file with mistakes gives all of them at once.

Parts of the language that this program does not run are in the model too; who runs it says so, rather than ignore
them: a pipeline must never mean something else.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, Scalar, YamlMapping, load
from oci_push.language.expand import expand, unwrap
from oci_push.language.hooks import parse_hooks, parse_old_hooks
from oci_push.language.scalars import entries, step_type, texts, word
from oci_push.language.schema_check import check_candidates, check_pipeline
from oci_push.language.schema_registries import Known, check_registries, check_tabs, check_without_registries
from oci_push.language.schema_steps import AWS_KEYS, BUILD_STEP, PIPELINE, PUSH_STEP, SETTINGS, Timeout
from oci_push.language.steps import (
    ParallelStep,
    Pipeline,
    Settings,
    Step,
    UnsupportedStep,
)
from oci_push.language.when import SUCCESS_CRITERIA, check_conditions


class Reading(Struct, frozen=True):
    """What a file gave: a pipeline unless there are errors, and what is strange about it.

    `upstream` is what only the vendor's own validator refuses.
    """

    pipeline: Pipeline | None
    errors: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    upstream: tuple[Diagnostic, ...] = ()


def parse_pipeline(text: str | bytes, path: str) -> Pipeline:
    """Read a pipeline; raises one `ConfigError` with everything that is wrong with it."""
    reading = read_pipeline(text, path)
    if reading.pipeline is None:
        raise ConfigError(problems=reading.errors)
    return reading.pipeline


def read_pipeline(text: str | bytes, path: str, known: Known | None = None) -> Reading:
    """Read a pipeline and tell errors and warnings apart; raises nothing for what is wrong with it.

    With `known`, it is also checked against the registries and variables that there are.
    """
    diagnostics = Diagnostics()
    try:
        document = load(text, path)
    except ConfigError as problem:
        return Reading(None, problem.problems)
    if known is not None:
        check_tabs(document.text, path, diagnostics)
    root = document.root
    if not isinstance(root, YamlMapping):
        diagnostics.error(root.location, "", "a pipeline is a mapping with version and steps")
        return _refused(diagnostics)
    diagnostics.bare_variables(document.bare)
    exported = unwrap(root, diagnostics)
    if exported is None:
        return _refused(diagnostics)
    if known is not None:
        known = known.beside(exported.variables, exported.lacking)
    root = expand(exported.root, diagnostics)
    check_pipeline(root, diagnostics)
    check_candidates(root, known.lookup if known else None, diagnostics)
    if known is None:
        check_without_registries(root, diagnostics)
    else:
        check_registries(root, known, diagnostics)
    if diagnostics.errors:
        return _refused(diagnostics)
    pipeline = replace(_pipeline(root, path), variables=exported.variables, lacking=exported.lacking)
    check_conditions(pipeline, diagnostics)
    diagnostics.once()
    warnings = tuple(diagnostics.warnings)
    return Reading(replace(pipeline, warnings=warnings), (), warnings, tuple(diagnostics.upstream))


def _refused(diagnostics: Diagnostics) -> Reading:
    diagnostics.once()
    return Reading(None, tuple(diagnostics.errors), tuple(diagnostics.warnings), tuple(diagnostics.upstream))


def _pipeline(root: YamlMapping, path: str) -> Pipeline:
    hooks = parse_hooks(root.get("hooks"), _hook_step)
    return replace(PIPELINE.read(root), path=path, steps=_steps(root.get("steps")), hooks=hooks)


def _steps(node: Node | None, timeout: Node | None = None, stage: str = "") -> tuple[Step, ...]:
    built = (_step(entry.key, entry.value, timeout, stage) for entry in entries(node))
    return tuple(step for step in built if step is not None)


def _hook_step(name: Scalar, node: Node) -> Step | None:
    return _step(name, node, None, "")


def _step(name: Scalar, node: Node, timeout: Node | None, stage: str) -> Step | None:
    """Build a step; `timeout` and `stage` are those of the parallel step round it."""
    if not isinstance(node, YamlMapping):
        return None
    kind = step_type(node)
    if kind == "parallel":
        return _parallel(name, node, timeout, stage)
    settings = _settings(node, timeout, stage)
    if kind == "push":
        push = PUSH_STEP.read(node)
        return replace(push, name=name.text, location=name.location, settings=settings, aws=AWS_KEYS.read(node))
    if kind == "build":
        return replace(BUILD_STEP.read(node), name=name.text, location=name.location, settings=settings)
    commands = texts(node.get("commands")) if kind == "freestyle" else ()
    return UnsupportedStep(name.text, name.location, kind, settings, commands)


def _parallel(name: Scalar, node: YamlMapping, timeout: Node | None, stage: str) -> ParallelStep:
    own = node.get("timeout")
    settings = replace(_settings(node, timeout, stage), hooks=())
    criteria = node.get("success_criteria")
    return ParallelStep(
        name.text,
        name.location,
        _steps(node.get("steps"), timeout if own is None else own, settings.stage),
        settings,
        None if criteria is None else SUCCESS_CRITERIA.read(criteria),
    )


def _settings(node: YamlMapping, timeout: Node | None, stage: str) -> Settings:
    return replace(
        SETTINGS.read(node),
        stage=stage or word(node.get("stage")),
        timeout_s=_timeout_s(node.get("timeout"), timeout),
        hooks=parse_hooks(node.get("hooks"), _hook_step) + parse_old_hooks(node),
    )


def _timeout_s(own: Node | None, inherited: Node | None) -> float | None:
    """Read a limit; what is written wrong counts as not written, null and zero as no limit."""
    for node in (own, inherited):
        found = Diagnostics()
        if node is not None:
            Timeout().check("timeout", node, "", found)
            if not found.errors:
                return Timeout().read(node)
    return None
