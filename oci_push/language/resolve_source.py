"""What a step pushes: the image that `candidate` means, and which login it is pulled with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from oci_push.errors import ConfigError
from oci_push.language.integrations import Integration
from oci_push.language.registry_choice import AWS_PROVIDER, refuse_context
from oci_push.language.resolving import ResolveContext, error, hint_for_variable
from oci_push.language.schema_check import hint_for_step
from oci_push.language.steps import BuildStep, PushStep, Text
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import DOCKER_HUB, Reference, Repository, comparable_host
from oci_push.model.source import SourceSpec, is_reference, looks_like_path
from oci_push.model.trust import Requirement
from oci_push.providers.families import regional
from oci_push.variables.lookup import only_name

Spec = TypeVar("Spec", SourceSpec, SourceSpec | None)
_IMAGE_OUTPUTS = frozenset({"", "imageId", "imageName", "imageTagName", "imageRepoDigest"})


class StepImage(Struct, frozen=True):
    """The image of a push step: where it comes from.

    `text` is for people: ``step:NAME`` or a whole reference or a file. `source` is the SOURCE to open, empty while
    nobody has said where a build step's image is. `registry` is the integration it is pulled with. `name` is the image
    name it brings along. `instead` are sources to try when this one fails.
    """

    text: str
    source: str
    endpoint: RegistryEndpoint | None = None
    registry: str = ""
    name: str = ""
    instead: tuple[StepImage, ...] = ()


def resolve_source(step: PushStep, context: ResolveContext) -> StepImage:
    """Return the image of a push step; raises `ConfigError` with the place in the file."""
    named = only_name(step.candidate.text)
    if named is not None:
        owner = named if named in context.steps else context.owner_of(named)
        output = "" if named == owner else named.rpartition(".")[2]
        if owner in context.builds and output in _IMAGE_OUTPUTS:
            return build_source(context.builds[owner], step.candidate, context)
        if owner and output in ("", "imageId", "imageRepoDigest"):
            return _pushed(owner, step.candidate, context)
        if not owner and context.variables.lookup(named) is None and named not in context.config.lacking:
            raise error(
                step.candidate.location, f"unresolved variable {step.candidate.text}", _hint_for(named, context)
            )
    text = context.use(step.candidate)
    if context.is_later(text):
        return StepImage(text, "", name=text)
    given = context.candidates.get(text)
    spec = (
        _read(text, context.grammar.read, step.candidate)
        if given is None
        else _read(given, context.grammar.parse, step.candidate)
    )
    if spec is None:
        return _remote(text, step, context)  # the language's rule: without a host it is Docker Hub's
    if spec.kind == "registry":
        return _remote(spec.path, step, context)
    if given is None and not looks_like_path(text) and is_reference(text) and spec.kind == "file":
        hint = f"write ./{text} for the path, docker://{Reference.parse(text)} for the image"
        raise error(
            step.candidate.location, f"candidate {text!r} is a path that exists, and a name of an image too", hint
        )
    return StepImage(spec.text, spec.text)


def _read(text: str, read: Callable[[str], Spec], where: Text) -> Spec:
    """Return a SOURCE taken apart, and say of one that is wrong where it is written."""
    try:
        return read(text)
    except ConfigError as problem:
        raise error(where.location, f"candidate: {problem.message}", problem.hint) from problem


def _hint_for(named: str, context: ResolveContext) -> str:
    if "." in named:
        return hint_for_variable(named)
    return f"{hint_for_step(named, tuple(context.builds))}; or give the variable: --var {named}=VALUE"


def build_source(build: BuildStep, where: Text, context: ResolveContext) -> StepImage:
    """Return the image of a build step, which somebody must have named, except in a plan."""
    source = context.candidates.get(build.name, "")
    name = context.use(build.image_name) if build.image_name else ""
    if not source and context.wants_images:
        raise error(
            where.location,
            f"candidate {where.text} is built by step {build.name!r}, and no image was given for it",
            f"give one: --candidate {build.name}=oci:DIR or =containers-storage:IMAGE, or candidates: in oci-push.yaml",
        )
    spec = _read(source, context.grammar.read, where) if source else None  # what is not there yet may be when opened
    if spec is not None and spec.kind == "registry":
        reference = Reference.parse(spec.path)
        found = _image(reference, context.config.for_pull(reference.repository.host), context)
        return replace(found, text=f"step:{build.name}", name=name)
    return StepImage(f"step:{build.name}", source, name=name)


def _pushed(name: str, where: Text, context: ResolveContext) -> StepImage:
    """Return the image that an earlier push step has pushed."""
    pushed = context.pushed.get(name)
    if pushed is None and not context.is_plan:
        raise error(
            where.location, f"candidate {where.text}: step {name!r} has pushed no image", "it must run before this one"
        )
    if pushed is None:
        return StepImage(f"step:{name}", "", name=context.image_names.get(name, where.text))
    reference = Reference(pushed.repository, "", pushed.digest)
    return StepImage(f"step:{name}", f"docker://{reference}", pushed.endpoint, name=pushed.name)


def _remote(text: str, step: PushStep, context: ResolveContext) -> StepImage:
    try:
        reference = Reference.parse(text)
    except ValueError as problem:
        hint = "write an image reference, ${{STEP}} of a build step, or oci:DIR"
        raise error(step.candidate.location, f"candidate {text!r}: {problem}", hint) from problem
    pull = context.config.for_pull(reference.repository.host)
    if step.registry_context is not None:
        refusal = refuse_context(step.registry_context, context.config, context.use_now)
        if refusal is not None:
            raise error(refusal.location, refusal.message, refusal.hint, refusal.code)
        name = context.use(step.registry_context)
        pull = context.config.find(name)
        if pull is not None and not _is_on(reference.repository.host, pull):
            # Its login is for its own host: a candidate elsewhere must not get it.
            place = pull.domain or pull.provider
            message = f"registry_context {name!r} is {place}, and the candidate is on {reference.repository.host}"
            raise error(step.registry_context.location, message, "name a registry of the candidate's own host")
    found = _image(reference, pull, context)
    required = found.endpoint.require if found.endpoint is not None else None
    return replace(found, instead=_fallbacks(reference, pull, context, required))


def _is_on(host: str, pull: Integration) -> bool:
    """Return whether an integration is a host's; one of ECR is every region's and account's."""
    if pull.provider == AWS_PROVIDER:
        return regional(host) is not None
    return not pull.domain or comparable_host(pull.domain) == comparable_host(host)


def _image(
    reference: Reference, pull: Integration | None, context: ResolveContext, required: Requirement | None = None
) -> StepImage:
    """Return an image that is pulled with an integration.

    It must be signed as its host's primary integration says, whichever it is pulled with; where no integration of the
    host says anything, as `required`.
    """
    path = reference.repository.path
    if reference.repository.host == DOCKER_HUB:
        path = path.removeprefix("library/")
    endpoint = pull.endpoint(with_login=context.with_login) if pull else None
    if endpoint is not None:
        endpoint = context.config.as_pulled(replace(endpoint, host=reference.repository.host))
        endpoint = replace(endpoint, require=endpoint.require or required)
    return StepImage(str(reference), f"docker://{reference}", endpoint, pull.name if pull else "", path)


def _fallbacks(
    reference: Reference, pull: Integration | None, context: ResolveContext, required: Requirement | None
) -> tuple[StepImage, ...]:
    """Return the registries to pull from when this one keeps failing; the path in them is the same.

    What is `required` of this one is required there: who can make it fail must not choose what is pushed.
    """
    found: list[StepImage] = []
    seen = {pull.name} if pull else set()
    while pull is not None and pull.fallback and pull.fallback not in seen:
        pull = context.config.find(pull.fallback)
        if pull is None or not pull.domain:
            break
        seen.add(pull.name)
        path = reference.repository.path
        if pull.domain == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        there = Reference(Repository(pull.domain, path), reference.tag, reference.digest)
        found.append(_image(there, pull, context, required))
    return tuple(found)
