"""What the keys of a step say together, where each by itself is fine."""

from __future__ import annotations

import re

from oci_push.language.diagnostics import Diagnostics, with_value
from oci_push.language.document import Scalar, YamlMapping
from oci_push.language.scalars import items, matches, number, text
from oci_push.language.schema_steps import PROVIDER_PATTERN
from oci_push.model.reference import check_tag

PROVIDERS = ("docker", "standard", "ecr")
_LETTERS_FIRST = re.compile(r"[A-Za-z]")
_RANGES = (("maxAttempts", 1, 10, ""), ("delay", 5, 60, " seconds"), ("exponentialFactor", 1, 5, ""))


def check_push(step: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
    """Warn about keys of a push step that do not go together or have no effect."""
    provider = step.get("provider")
    name = provider.value if isinstance(provider, Scalar) else None
    if provider is not None and isinstance(name, str) and name not in PROVIDERS and matches(PROVIDER_PATTERN, name):
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


def check_retry(step: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
    """Warn about numbers beyond the documented ranges, of which the upper ends are enforced."""
    retry = step.get("retry")
    if not isinstance(retry, YamlMapping):
        return
    for key, least, most, unit in _RANGES:
        node = retry.get(key)
        value = number(node)
        if node is None or value is None or value <= 0:
            continue
        if value > most:
            said = f"is more than {most}{unit}; {most} is taken"
        elif key == "maxAttempts" and value != int(value):
            said = f"is no whole number; {max(1, int(value))} is taken"
        elif value < least:
            said = f"is less than the documented {least}{unit}"
        else:
            continue
        diagnostics.warn(node.location, f"{path}.retry.{key}", with_value(f'"{key}" {said}', node))


def check_old_hooks(step: YamlMapping, path: str, diagnostics: Diagnostics) -> None:
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
