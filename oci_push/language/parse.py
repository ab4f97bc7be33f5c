"""From text to the model: load, expand, check, build. A file with mistakes gives all of them at once.

Parts of the language that this program does not run are in the model too; who runs it says so, rather than ignore
them: a pipeline must never mean something else.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, Scalar, YamlMapping, load
from oci_push.language.expand import expand, unwrap
from oci_push.language.hooks import parse_hooks, parse_old_hooks
from oci_push.language.scalars import child, entries, flag, number_or, step_type, text, texts, word, words
from oci_push.language.schema import NodeRule
from oci_push.language.schema_check import check_pipeline
from oci_push.language.schema_conditions import check_conditions
from oci_push.language.schema_registries import Known, check_registries, check_tabs, check_without_registries
from oci_push.language.schema_steps import RETRY, Timeout
from oci_push.language.step_names import check_candidates
from oci_push.language.steps import (
    AwsKeys,
    BuildStep,
    ParallelStep,
    Pipeline,
    PushStep,
    Retry,
    Settings,
    Step,
    Text,
    UnsupportedStep,
    When,
)
from oci_push.language.when import SUCCESS_CRITERIA, WHEN

T = TypeVar("T")
_ALIASES = {"fail_fast": "fail-fast", "image_name": "image-name", "tag_policy": "tag-policy"}


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
        diagnostics.error(root.mark, "", "a pipeline is a mapping with version and steps")
        return Reading(None, tuple(diagnostics.errors))
    diagnostics.bare_variables(document.bare)
    exported = unwrap(root, diagnostics)
    if exported is None:
        return Reading(None, tuple(diagnostics.errors), tuple(diagnostics.warnings), tuple(diagnostics.upstream))
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
        diagnostics.once()
        return Reading(None, tuple(diagnostics.errors), tuple(diagnostics.warnings), tuple(diagnostics.upstream))
    pipeline = replace(_pipeline(root, path), variables=exported.variables, lacking=exported.lacking)
    check_conditions(pipeline, diagnostics)
    diagnostics.once()
    warnings = tuple(diagnostics.warnings)
    return Reading(replace(pipeline, warnings=warnings), (), warnings, tuple(diagnostics.upstream))


def _pipeline(root: YamlMapping, path: str) -> Pipeline:
    return Pipeline(
        path,
        _steps(root.get("steps")),
        words(root.get("stages")),
        word(root.get("mode")) == "parallel",
        flag(root.get("fail_fast")),
        flag(root.get("strict_fail_fast"), strict=True),
        _read(SUCCESS_CRITERIA, root.get("success_criteria"), None),
        parse_hooks(root.get("hooks"), _hook_step),
    )


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
        return _push(name, node, settings)
    if kind == "build":
        return _build(name, node, settings)
    commands = texts(node.get("commands")) if kind == "freestyle" else ()
    return UnsupportedStep(name.text, name.mark, kind, settings, commands)


def _parallel(name: Scalar, node: YamlMapping, timeout: Node | None, stage: str) -> ParallelStep:
    own = node.get("timeout")
    settings = replace(_settings(node, timeout, stage), hooks=())
    return ParallelStep(
        name.text,
        name.mark,
        _steps(node.get("steps"), timeout if own is None else own, settings.stage),
        settings,
        _read(SUCCESS_CRITERIA, node.get("success_criteria"), None),
    )


def _settings(node: YamlMapping, timeout: Node | None, stage: str) -> Settings:
    own = node.get("timeout")
    return Settings(
        text(node.get("title")),
        text(node.get("description")),
        stage or word(node.get("stage")),
        _read(WHEN, node.get("when"), When()),
        _read(RETRY, node.get("retry"), Retry()),
        _timeout_s(own, timeout),
        flag(_named(node, "fail_fast")),
        flag(node.get("strict_fail_fast"), strict=True),
        parse_hooks(node.get("hooks"), _hook_step) + parse_old_hooks(node),
    )


def _push(name: Scalar, node: YamlMapping, settings: Settings) -> PushStep | None:
    candidate = text(node.get("candidate"))
    if candidate is None:
        return None
    credentials = node.get("credentials")
    user, password = text(child(credentials, "username")), text(child(credentials, "password"))
    provider = word(node.get("provider"))
    return PushStep(
        name.text,
        name.mark,
        candidate,
        settings,
        text(node.get("image_name")),
        _tags(node),
        text(node.get("registry")),
        (user, password) if user and password else None,
        text(node.get("registry_context")),
        provider if provider in ("", "ecr") else "docker",
        AwsKeys(
            text(node.get("accessKeyId")),
            text(node.get("secretAccessKey")),
            text(node.get("region")),
            text(node.get("role_arn")),
            text(node.get("aws_session_name")),
            number_or(node.get("aws_duration_seconds"), 0.0) or None,
        ),
    )


def _build(name: Scalar, node: YamlMapping, settings: Settings) -> BuildStep:
    return BuildStep(
        name.text,
        name.mark,
        settings,
        text(_named(node, "image_name")),
        _tags(node),
        text(node.get("registry")),
        flag(node.get("disable_push")),
        word(_named(node, "tag_policy")) != "original",
    )


def _tags(node: YamlMapping) -> tuple[Text, ...]:
    tag = text(node.get("tag"))
    return ((tag,) if tag else ()) + texts(node.get("tags"))


def _named(node: YamlMapping, key: str) -> Node | None:
    return node.get(key) or node.get(_ALIASES[key])


def _read(rule: NodeRule[T], node: Node | None, default: T) -> T:
    return default if node is None else rule.read(node)


def _timeout_s(own: Node | None, inherited: Node | None) -> float | None:
    """Read a limit; what is written wrong counts as not written, null and zero as no limit."""
    for node in (own, inherited):
        found = Diagnostics()
        if node is not None:
            Timeout().check("timeout", node, "", found)
            if not found.errors:
                return Timeout().read(node)
    return None
