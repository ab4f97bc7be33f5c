"""Registries for a rehearsal that nobody describes: it replaces them all, so it needs no more than their names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from oci_push.errors import ConfigError
from oci_push.language.integrations import Config, Integration, names_host
from oci_push.language.steps import BuildStep, Pipeline, PushStep, Step, Text, flatten
from oci_push.model.identity import AwsIdentity
from oci_push.variables.lookup import Variables

_NOT_IN_HOSTS = re.compile(r"[^a-z0-9-]+")
_REGION = "us-east-1"


def add_stand_ins(pipeline: Pipeline, config: Config, variables: Variables) -> tuple[Config, tuple[str, ...]]:
    """Describe each registry that steps name and nobody describes; gives their names as well."""
    found: dict[str, Integration] = {}
    for step in _steps(pipeline):
        for text in _named(step):
            name = _value(text, variables)
            if name and name not in found and config.find(name) is None and not names_host(name):
                found[name] = _stand_in(name, text, step)
    return replace(config, stand_ins=tuple(found.values())), tuple(found)


def _steps(pipeline: Pipeline) -> Iterator[Step]:
    hooks = list(pipeline.hooks)
    for step in flatten(pipeline.steps):
        yield step
        hooks += step.settings.hooks
    for hook in hooks:
        yield from flatten(hook.steps)


def _named(step: Step) -> Iterator[Text]:
    if isinstance(step, PushStep):
        yield from (text for text in (step.registry, step.registry_context) if text is not None)
    elif isinstance(step, BuildStep) and step.registry is not None:
        yield step.registry


def _value(text: Text, variables: Variables) -> str:
    """Return a registry's name, or nothing where it is only known later or is wrong, which is told when it is used."""
    try:
        done = variables.interpolate(text.text)
    except ConfigError:
        return ""
    return "" if done.undefined else done.text


def _stand_in(name: str, text: Text, step: Step) -> Integration:
    aws = step.aws if isinstance(step, PushStep) else None
    if aws is not None and (aws.region or aws.role_arn):
        return Integration(name, "ecr", "", text.mark, identity=AwsIdentity(region=_REGION))
    is_context = isinstance(step, PushStep) and text is step.registry_context
    host = _NOT_IN_HOSTS.sub("-", name.lower()).strip("-") or "registry"
    # A dot makes it a host; one that is only pulled with stands beside the candidate's own.
    return Integration(name, "other", "" if is_context else f"{host}.stand-in", text.mark)
