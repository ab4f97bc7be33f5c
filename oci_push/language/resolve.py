"""From the model to one push: every variable replaced, candidate, registry and tags decided, nothing contacted."""

from __future__ import annotations

from msgspec import Struct

from oci_push.language.document import Location
from oci_push.language.resolve_registry import Registry, named_registry, resolve_registry
from oci_push.language.resolve_source import StepImage, build_source, resolve_source
from oci_push.language.resolving import ResolveContext, error, is_later, use
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


def resolve_push(step: PushStep, resolve_context: ResolveContext) -> ResolvedPush:
    """Decide everything about a push step; raises `ConfigError` with the place in the file."""
    registry = resolve_registry(step, resolve_context)
    source = resolve_source(step, resolve_context)
    name = use(step.image_name, resolve_context) if step.image_name else source.name
    if not name:
        hint = "write image_name: OWNER/NAME"
        raise error(
            step.location,
            f"step {step.name!r}: image_name is required, its candidate {source.text!r} has no name",
            hint,
        )
    where = step.image_name.location if step.image_name else step.candidate.location
    return _resolved(
        step.name, step.settings, registry, source, name, where, _tags(step.tags, resolve_context), resolve_context
    )


def resolve_build(step: BuildStep, resolve_context: ResolveContext) -> ResolvedPush:
    """Decide how a build step's image is pushed: to its `registry` or the default one, as ``image_name:tag``."""
    registry = named_registry(step.registry, step.location, resolve_context)
    here = Text(f"${{{{{step.name}}}}}", step.location)
    source = build_source(step, here, resolve_context)
    if not source.name:
        raise error(step.location, f"step {step.name!r}: image_name is required")
    tags = tuple(dict.fromkeys(step.cased(tag) for tag in _tags(step.tags_or_default, resolve_context)))
    return _resolved(step.name, step.settings, registry, source, source.name, step.location, tags, resolve_context)


def title_of(name: str, settings: Settings, resolve_context: ResolveContext) -> str:
    """Return what a step is called in the log: its title, or its name."""
    return resolve_context.variables.interpolate(settings.title.text).text if settings.title else name


def _resolved(
    name: str,
    settings: Settings,
    registry: Registry,
    source: StepImage,
    image_name: str,
    where: Location,
    tags: tuple[str, ...],
    resolve_context: ResolveContext,
) -> ResolvedPush:
    targets = tuple(
        _target(endpoint, registry.prefix, image_name, where, resolve_context) for endpoint in registry.endpoints
    )
    title = title_of(name, settings, resolve_context)
    own_name = image_name.removeprefix(f"{registry.endpoints[0].host}/")
    return ResolvedPush(name, title, source, targets, tags, registry.name, own_name, registry.served_in)


def _target(
    endpoint: RegistryEndpoint, prefix: str, name: str, location: Location, resolve_context: ResolveContext
) -> ResolvedTarget:
    """Put host, prefix and name together; the prefix always comes first, even where the name begins with it."""
    path = name.removeprefix(f"{endpoint.host}/")
    full = f"{prefix}/{path}" if prefix else path
    shown = f"{endpoint.host}/{full}"
    if is_later(shown, resolve_context):
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


def _tags(texts: tuple[Text, ...], resolve_context: ResolveContext) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_tag(text, resolve_context) for text in texts)) or (_DEFAULT_TAG,)


def _tag(text: Text, resolve_context: ResolveContext) -> str:
    value = use(text, resolve_context)
    if is_later(value, resolve_context):
        return value
    try:
        return check_tag(value)
    except ValueError as problem:
        raise error(text.location, str(problem)) from problem
