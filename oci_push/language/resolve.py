"""From the model to one push: every variable replaced, candidate, registry and tags decided, nothing contacted."""

from __future__ import annotations

from msgspec import Struct

from oci_push.language.document import Location
from oci_push.language.resolve_registry import Registry, named_registry, resolve_registry
from oci_push.language.resolve_source import StepImage, build_source, resolve_source
from oci_push.language.resolving import ResolveContext, error
from oci_push.language.steps import BuildStep, PushStep, Settings, Text
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import DOCKER_HUB, Repository, check_tag

_DEFAULT_TAG = "latest"


class ResolvedTarget(Struct, frozen=True):
    """One repository of a push; `repository` is missing in a plan that cannot know it yet."""

    endpoint: RegistryEndpoint
    name: str
    repository: Repository | None


class ResolvedPush(Struct, frozen=True):
    """One push, ready to be done.

    `targets` are one, or one for each region of ECR. `served_in` is what it is in `Registry`. `image_name` is the
    image's name without host and prefix, which it keeps where a later step pushes it on.
    """

    name: str
    title: str
    source: StepImage
    targets: tuple[ResolvedTarget, ...]
    tags: tuple[str, ...]
    registry: str
    image_name: str
    served_in: tuple[str, ...] | None = None

    def references(self) -> tuple[str, ...]:
        """Return every ``host/path:tag`` that will be pushed."""
        return tuple(f"{target.name}:{tag}" for target in self.targets for tag in self.tags)


def resolve_push(step: PushStep, context: ResolveContext) -> ResolvedPush:
    """Return everything about a push step; raises `ConfigError` with the place in the file."""
    registry = resolve_registry(step, context)
    source = resolve_source(step, context)
    name = context.use(step.image_name) if step.image_name else source.name
    if not name:
        hint = "write image_name: OWNER/NAME"
        raise error(
            step.location,
            f"step {step.name!r}: image_name is required, its candidate {source.text!r} has no name",
            hint,
        )
    where = step.image_name.location if step.image_name else step.candidate.location
    return _resolved(step.name, step.settings, registry, source, name, where, _tags(step.tags, context), context)


def resolve_build(step: BuildStep, context: ResolveContext) -> ResolvedPush:
    """Return how a build step's image is pushed: to its `registry` or the default one, as ``image_name:tag``."""
    registry = named_registry(step.registry, step.location, context)
    here = Text(f"${{{{{step.name}}}}}", step.location)
    source = build_source(step, here, context)
    if not source.name:
        raise error(step.location, f"step {step.name!r}: image_name is required")
    tags = tuple(dict.fromkeys(step.cased(tag) for tag in _tags(step.tags_or_default, context)))
    return _resolved(step.name, step.settings, registry, source, source.name, step.location, tags, context)


def title_of(name: str, settings: Settings, context: ResolveContext) -> str:
    """Return what a step is called in the log: its title, or its name."""
    return context.variables.interpolate(settings.title.text).text if settings.title else name


def _resolved(
    name: str,
    settings: Settings,
    registry: Registry,
    source: StepImage,
    image_name: str,
    where: Location,
    tags: tuple[str, ...],
    context: ResolveContext,
) -> ResolvedPush:
    targets = tuple(_target(endpoint, registry.prefix, image_name, where, context) for endpoint in registry.endpoints)
    title = title_of(name, settings, context)
    own_name = image_name.removeprefix(f"{registry.endpoints[0].host}/")
    return ResolvedPush(name, title, source, targets, tags, registry.name, own_name, registry.served_in)


def _target(
    endpoint: RegistryEndpoint, prefix: str, name: str, location: Location, context: ResolveContext
) -> ResolvedTarget:
    """Return host, prefix and name together; the prefix always comes first, even where the name begins with it."""
    path = name.removeprefix(f"{endpoint.host}/")
    full = f"{prefix}/{path}" if prefix else path
    shown = f"{endpoint.host}/{full}"
    if context.is_later(shown):
        return ResolvedTarget(endpoint, shown, None)
    if "@" in path or ":" in path.rpartition("/")[2]:
        raise error(location, f"image_name {name!r} holds a tag or digest", "put the tag into tag: or tags:")
    first, slash, _ = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        message = f"image_name {name!r} begins with the host {first}, and the step pushes to {endpoint.host}"
        raise error(location, message, "leave the host out, or name the registry in registry:")
    if endpoint.host == DOCKER_HUB and "/" not in full:
        full = f"library/{full}"
    try:
        repository = Repository(endpoint.host, full)
    except ValueError as problem:
        raise error(location, f"image_name {name!r}: {problem}") from problem
    return ResolvedTarget(endpoint, str(repository), repository)


def _tags(texts: tuple[Text, ...], context: ResolveContext) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_tag(text, context) for text in texts)) or (_DEFAULT_TAG,)


def _tag(text: Text, context: ResolveContext) -> str:
    value = context.use(text)
    if context.is_later(value):
        return value
    try:
        return check_tag(value)
    except ValueError as problem:
        raise error(text.location, str(problem)) from problem
