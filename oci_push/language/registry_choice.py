"""Which registry a step means, and what it may say of it: the one walk that `validate`, plans and runs make.

`validate` collects what is refused (`schema_registries`), plans and runs raise it (`resolve_registry`). Words and
numbers are the vendor's: 200 to 202 for registries, 206 for all of AWS.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ConfigError
from oci_push.language.document import Location
from oci_push.language.integrations import Config, Integration
from oci_push.language.steps import AwsKeys, BuildStep, Pipeline, PushStep, Step, Text, flatten
from oci_push.model.reference import DOCKER_HUB, is_host
from oci_push.providers.base import RegionalProvider
from oci_push.providers.families import is_region, known_regional, regional
from oci_push.variables.lookup import Variables

AWS_CODE = 206
AWS_PROVIDER = "ecr"
"""The language's word for the registries that `region`, `role_arn` and the like are about, and our family's name."""
NONE_ADDED = "You have not added a registry integration."
INVALID_REGION, INVALID_ROLE = "aws region is invalid", "Invalid role_arn"
_RETIRED = ("cfcr", "r.cfcr.io")

Fill: TypeAlias = Callable[[Text], str | None]
"""Return a text with its variables replaced, or nothing where only a run can know one of them."""


class RegistryRefusal(Struct, frozen=True):
    """Why a key of a step is refused, what to write instead, and the vendor's number.

    `may_pass` says that another call may put it right (``--var``, ``--regions``), with the file as it is.
    """

    key: str
    location: Location
    message: str
    hint: str | None = None
    code: int = AWS_CODE
    may_pass: bool = False


class ChosenRegistry(Struct, frozen=True):
    """What `registry` and `provider` of a step mean: an `integration`, a `host`, or the step's own ECR.

    With `is_later` only a run knows which; where there is nothing at all nobody describes it.
    """

    name: str
    integration: Integration | None = None
    host: str = ""
    is_own_ecr: bool = False
    is_later: bool = False

    @property
    def is_known(self) -> bool:
        """Return whether it is, or may yet turn out to be, a registry."""
        return bool(self.integration or self.host or self.is_own_ecr or self.is_later)


LATER = ChosenRegistry("", is_later=True)


def aws_cloud() -> RegionalProvider:
    """Return what is known of the cloud behind the language's word."""
    return known_regional(AWS_PROVIDER)


def choose_registry(named: Text | None, config: Config, fill: Fill, provider: str = "") -> ChosenRegistry:
    """Return which registry is meant; where none is named that is the default one, or Docker Hub as for docker."""
    if provider == AWS_PROVIDER:
        return ChosenRegistry("", is_own_ecr=True)
    if named is None:
        default = config.default()
        return ChosenRegistry(default.name, default) if default else ChosenRegistry(DOCKER_HUB, host=DOCKER_HUB)
    name = fill(named)
    if name is None:
        return ChosenRegistry(named.text, is_later=True)
    found = config.find(name)
    return ChosenRegistry(name, found, "" if found else _host(name))


def refuse_registry(
    chosen: ChosenRegistry,
    named: Text | None,
    config: Config,
    fill: Fill,
    *,
    aws: AwsKeys | None = None,
    at: Location,
    regions: Sequence[str] = (),
) -> Iterator[RegistryRefusal]:
    """Yield what is wrong with the registry that was chosen, and with the AWS keys beside it.

    `at` is the step's place; `regions` are those that a run was given.
    """
    if named is not None and not chosen.is_known:
        yield _unknown("registry", named, chosen.name, config)
    if aws is not None:
        yield from _refuse_aws(chosen, named, aws, fill, at, regions)


def refuse_context(named: Text, config: Config, fill: Fill) -> RegistryRefusal | None:
    """Refuse the integration that a candidate is pulled with, which nobody describes; no host will do there."""
    name = fill(named)
    return None if name is None or config.find(name) else _unknown("registry_context", named, name, config)


def _unknown(key: str, named: Text, name: str, config: Config) -> RegistryRefusal:
    """Refuse the `name` of a registry that nobody describes and that is no host."""
    known = [one.name for one in config.integrations]
    hint = _hint_for_unknown(name, known)
    if "${{" in named.text:
        hint = f"{named.text} is {name!r}; {hint}"
    message = does_not_exist(name)
    if not known:
        return RegistryRefusal(key, named.location, f"{message} {NONE_ADDED}", hint, 200)
    return RegistryRefusal(key, named.location, message, hint, 202, may_pass=begins_with_variable(named.text))


def does_not_exist(name: str) -> str:
    """Return the vendor's words for a registry that nobody describes; the number is 202."""
    return f"Registry '{name}' does not exist."


def not_for(provider: str, key: str) -> str:
    """Return the vendor's words for a key of AWS with a registry of another type."""
    return f"Unable to specify {key} with a registry of type: {provider}"


def begins_with_variable(text: str) -> bool:
    """Return whether the vendor leaves a value to the run."""
    return text.startswith("${{") and "}}" in text


def _host(name: str) -> str:
    """Return the host that a `registry:` is (it has a dot or a port, or is localhost), else nothing."""
    bare = _without_scheme(name)
    return bare if is_host(bare) else ""


def _without_scheme(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").rstrip("/")


def _hint_for_unknown(name: str, known: Sequence[str]) -> str:
    if name.lower() in _RETIRED:
        return (
            f"{name} was the vendor's own registry, which is closed; describe the one that took its place:"
            f" registries: [{{name: {name}, domain: HOST}}] in oci-push.yaml"
        )
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    host, slash, path = _without_scheme(name).partition("/")
    if slash and is_host(host):
        return f"a host stands alone: registry: {host}, and {path} in image_name"
    if known:
        return f"known registries: {', '.join(known)}"
    return "describe it under registries: in oci-push.yaml, or name a host in registry:"


def _refuse_aws(
    chosen: ChosenRegistry, named: Text | None, aws: AwsKeys, fill: Fill, at: Location, regions: Sequence[str]
) -> Iterator[RegistryRefusal]:
    is_ecr_host = bool(chosen.host) and regional(chosen.host) is not None
    if chosen.host and named is not None and not is_ecr_host:
        if aws.role_arn is not None:
            message = f"role_arn needs an ECR registry, and {chosen.host} is none"
            yield RegistryRefusal("role_arn", aws.role_arn.location, message)
        return
    if chosen.is_own_ecr and aws.region is None and not regions:
        hint = "write region: eu-west-1 beside provider: ecr"
        yield RegistryRefusal("region", at, "provider: ecr needs a region", hint, may_pass=True)
    if chosen.is_own_ecr or is_ecr_host:
        yield from _refuse_half_keys(aws)
    # Nothing is said of a type that only a run knows.
    provider = AWS_PROVIDER if chosen.is_own_ecr or is_ecr_host or chosen.is_later else "undefined"
    if chosen.integration is not None:
        provider = chosen.integration.provider
    shapes = (
        ("region", aws.region, is_region, INVALID_REGION, "a region looks like eu-west-1"),
        (
            "role_arn",
            aws.role_arn,
            aws_cloud().is_role,
            INVALID_ROLE,
            "a role looks like arn:aws:iam::123456789012:role/NAME",
        ),
    )
    for key, given, is_right, message, hint in shapes:
        if given is None:
            continue
        value = fill(given)
        if value is not None and not is_right(value):
            yield RegistryRefusal(key, given.location, message, hint, may_pass="${{" in given.text)
        elif provider != AWS_PROVIDER and (chosen.is_known or key == "region"):
            hint = "name an ECR registry in registry:, or write provider: ecr"
            yield RegistryRefusal(key, given.location, not_for(provider, key), hint)
    yield from _refuse_session(aws, fill, at)


def _refuse_half_keys(aws: AwsKeys) -> Iterator[RegistryRefusal]:
    for key, one, other in (
        ("accessKeyId", aws.access_key_id, aws.secret_access_key),
        ("secretAccessKey", aws.secret_access_key, aws.access_key_id),
    ):
        if one is not None and other is None:
            yield RegistryRefusal(key, one.location, "accessKeyId and secretAccessKey go together", code=0)


def _refuse_session(aws: AwsKeys, fill: Fill, at: Location) -> Iterator[RegistryRefusal]:
    """Refuse the name of a role's session that AWS does not take, and its length where it has none or AWS grants less.

    Limits: AWS STS, AssumeRole, role chaining.
    """
    name = fill(aws.session_name) if aws.role_arn is not None and aws.session_name is not None else None
    if name is not None and aws.session_name is not None:
        for problem in aws_cloud().IDENTITY(session_name=name).problems():  # type: ignore[call-arg]
            may_pass = "${{" in aws.session_name.text
            yield RegistryRefusal("aws_session_name", aws.session_name.location, problem, may_pass=may_pass)
    key, seconds = "aws_duration_seconds", aws.duration_s
    least, most = aws_cloud().SESSION_S
    if seconds is None:
        return
    if aws.role_arn is None:
        yield RegistryRefusal(
            key, at, f"{key} is only relevant when using role chaining", "give the role: role_arn: ARN"
        )
    elif not least <= seconds <= most:
        message = "When using role chaining, the duration of the role session must be between 15 minutes and 1 hour"
        yield RegistryRefusal(key, aws.role_arn.location, message, f"write a number from {least} to {most}")


_NOT_IN_HOSTS = re.compile(r"[^a-z0-9-]+")
_REGION = "us-east-1"


def add_stand_ins(pipeline: Pipeline, config: Config, variables: Variables) -> tuple[Config, tuple[str, ...]]:
    """Return a configuration that describes what steps name and nobody describes, for a rehearsal, and those names."""

    def fill(text: Text) -> str | None:
        try:
            done = variables.interpolate(text.text)
        except ConfigError:  # it is told when it is used
            return None
        return None if done.undefined else done.text

    found: dict[str, Integration] = {}
    hooks = [*pipeline.hooks, *(hook for step in flatten(pipeline.steps) for hook in step.settings.hooks)]
    for step in (*flatten(pipeline.steps), *(step for hook in hooks for step in flatten(hook.steps))):
        for text in _named(step):
            chosen = choose_registry(text, config, fill)
            if chosen.name and not chosen.is_known and chosen.name not in found:
                found[chosen.name] = _stand_in(chosen.name, text, step)
    return replace(config, stand_ins=tuple(found.values())), tuple(found)


def _named(step: Step) -> tuple[Text, ...]:
    match step:
        case PushStep():
            return tuple(text for text in (step.registry, step.registry_context) if text is not None)
        case BuildStep():
            return () if step.registry is None else (step.registry,)
        case _:
            return ()


def _stand_in(name: str, text: Text, step: Step) -> Integration:
    aws = step.aws if isinstance(step, PushStep) else None
    if aws is not None and (aws.region or aws.role_arn):
        return Integration(name, AWS_PROVIDER, "", text.location, identity=aws_cloud().IDENTITY(region=_REGION))
    is_context = isinstance(step, PushStep) and text is step.registry_context
    host = _NOT_IN_HOSTS.sub("-", name.lower()).strip("-") or "registry"
    # A dot makes it a host; one that is only pulled with stands beside the candidate's own.
    return Integration(name, "other", "" if is_context else f"{host}.stand-in", text.location)
