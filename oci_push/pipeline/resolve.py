"""From the model to one push: every variable replaced, registry, candidate and target decided, nothing contacted."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from oci_push.errors import ConfigError, Problem
from oci_push.model.access import Access, Login
from oci_push.model.reference import DOCKER_HUB, Reference, Repository, check_tag
from oci_push.model.secret import Secret
from oci_push.pipeline.document import Mark
from oci_push.pipeline.integrations import Config, Integration, names_host
from oci_push.pipeline.steps import BuildStep, PushStep, Retry, Text
from oci_push.pipeline.variables import Variables, only_name

_FILE_PREFIXES = ("oci:", "oci-archive:", "docker-archive:", "./", "/")


@dataclass(frozen=True, slots=True)
class ResolvedPush:
    """Hold one push, ready to be planned: `source` is a SOURCE text, read as `source_access` where that is set."""

    name: str
    title: str
    stage: str
    source: str
    source_access: Access | None
    repository: Repository
    access: Access
    tags: tuple[str, ...]
    registry_name: str
    retry: Retry
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Context:
    """Hold what resolving looks things up in; `is_path` says whether a file exists.

    `with_login` is off for plans and rehearsals, which log in nowhere and so miss no password.
    """

    config: Config
    variables: Variables
    builds: Mapping[str, BuildStep]
    candidates: Mapping[str, str]
    is_path: Callable[[str], bool]
    with_login: bool = True


def resolve_push(step: PushStep, context: Context) -> ResolvedPush:
    """Decide everything about a step; raises `ConfigError` with the place in the file."""
    registry, access = _registry(step, context)
    source, source_access, own_name = _source(step, context)
    name = _use(step.image_name, context) if step.image_name else own_name
    if not name:
        raise _error(step.mark, f"step {step.name!r}: image_name is required, its candidate {source!r} has no name")
    where = step.image_name.mark if step.image_name else step.candidate.mark
    repository = _repository(access.host, registry.prefix if registry else "", name, where)
    tags = tuple(dict.fromkeys(_tag(tag, context) for tag in step.tags)) or ("latest",)
    return ResolvedPush(
        step.name,
        context.variables.interpolate(step.title).text,
        step.stage,
        source,
        source_access,
        repository,
        access,
        tags,
        registry.name if registry else access.host,
        step.retry,
        step.timeout_s,
    )


def _registry(step: PushStep, context: Context) -> tuple[Integration | None, Access]:
    login = None
    if step.provider == "ecr" or any(key in step.aws for key in ("region", "role_arn", "accessKeyId")):
        raise _error(step.mark, f"step {step.name!r}: logging in to ECR is not part of this version")
    if step.credentials:
        user, password = (_use(text, context) for text in step.credentials)
        login = Login(user, Secret(password), source=f"credentials of step {step.name!r}")
    if step.registry is None:
        found = None if login else context.config.default()
        if found is not None:
            return found, found.access(with_login=context.with_login)
        if login is None and not context.config.integrations:
            raise _error(
                step.mark,
                "You have not added a registry integration.",
                "describe one under registries: in oci-push.yaml, or name a host in registry:",
                200,
            )
        return None, Access(DOCKER_HUB, login)
    name = _use(step.registry, context)
    found = context.config.find(name)
    if found is not None:
        access = found.access(with_login=context.with_login)
        return found, Access(access.host, login or access.login, access.trust, access.name, access.address)
    host = names_host(name)
    if host:
        return None, Access(host, login, name=f"step {step.name}" if login else "")
    known = [one.name for one in context.config.integrations]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known registries: {', '.join(known) or 'none'}"
    raise _error(step.registry.mark, f"Registry '{name}' does not exist.", hint, 202)


def _source(step: PushStep, context: Context) -> tuple[str, Access | None, str]:
    """Give the SOURCE, how it is read, and the image name it brings along."""
    named = only_name(step.candidate.text)
    if named is not None and named in context.builds:
        build = context.builds[named]
        source = context.candidates.get(named)
        if source is None:
            raise _error(
                step.candidate.mark,
                f"candidate {step.candidate.text} is built by step {named!r}, and no image was given for it",
                f"give one: --candidate {named}=oci:DIR, or candidates: in oci-push.yaml",
            )
        return source, None, _use(build.image_name, context) if build.image_name else ""
    text = _use(step.candidate, context)
    if text in context.candidates:
        text = context.candidates[text]
    if text.startswith(_FILE_PREFIXES) or context.is_path(text):
        return text, None, ""
    try:
        reference = Reference.parse(text.removeprefix("docker://"))
    except ValueError as problem:
        raise _error(step.candidate.mark, f"candidate {text!r}: {problem}") from problem
    pull = context.config.for_pull(reference.repository.host)
    if step.registry_context is not None:
        name = _use(step.registry_context, context)
        pull = context.config.find(name)
        if pull is None:
            raise _error(step.registry_context.mark, f"registry_context: Registry '{name}' does not exist.", code=202)
    familiar = reference.repository.path
    if reference.repository.host == DOCKER_HUB:
        familiar = familiar.removeprefix("library/")
    return f"docker://{reference}", pull.access(with_login=context.with_login) if pull else None, familiar


def _repository(host: str, prefix: str, name: str, mark: Mark) -> Repository:
    path = name.removeprefix(f"{host}/")
    full = f"{prefix}/{path}" if prefix else path
    if ":" in path.rpartition("/")[2]:
        raise _error(mark, f"image_name {name!r} holds a tag", "put it into tag: or tags:")
    if host == DOCKER_HUB and "/" not in full:
        full = f"library/{full}"
    try:
        return Repository(host, full)
    except ValueError as problem:
        raise _error(mark, f"image_name {name!r}: {problem}") from problem


def _tag(text: Text, context: Context) -> str:
    value = _use(text, context)
    try:
        return check_tag(value)
    except ValueError as problem:
        raise _error(text.mark, str(problem)) from problem


def _use(text: Text, context: Context) -> str:
    done = context.variables.interpolate(text.text)
    if done.undefined:
        raise _error(
            text.mark,
            f"unresolved variable {', '.join(f'${{{{{name}}}}}' for name in done.undefined)}",
            f"give it: --var {done.undefined[0]}=VALUE, variables: in oci-push.yaml, or the environment",
        )
    return done.text


def _error(mark: Mark, message: str, hint: str | None = None, code: int = 0) -> ConfigError:
    return ConfigError(problems=[Problem(message, mark.file, mark.line, mark.column, code=code, hint=hint)])
