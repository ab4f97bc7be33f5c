"""From the model to one push: every variable replaced, candidate, registry and tags decided, nothing contacted."""

from __future__ import annotations

from msgspec import Struct

from oci_push.language.document import Mark
from oci_push.language.resolve_registry import Registry, named_registry, resolve_registry
from oci_push.language.resolve_source import ImageSource, build_source, resolve_source
from oci_push.language.resolving import Context, error, is_later, use
from oci_push.language.steps import BuildStep, PushStep, Settings, Text
from oci_push.model.endpoint import Access
from oci_push.model.reference import DOCKER_HUB, Repository, check_tag

_DEFAULT_TAG = "latest"


class ResolvedTarget(Struct, frozen=True):
    """Hold one repository of a push; `repository` is missing in a plan that cannot know it yet."""

    access: Access
    name: str
    repository: Repository | None


class ResolvedPush(Struct, frozen=True):
    """Hold one push, ready to be done.

    `targets` are one, or one for each region of ECR. `served_in` is what it is in `Registry`. `image_name` is the
    image's name without host and prefix, which it keeps where a later step pushes it on.
    """

    name: str
    title: str
    source: ImageSource
    targets: tuple[ResolvedTarget, ...]
    tags: tuple[str, ...]
    registry: str
    image_name: str
    served_in: tuple[str, ...] | None = None

    def references(self) -> tuple[str, ...]:
        """Give every ``host/path:tag`` that will be pushed."""
        return tuple(f"{target.name}:{tag}" for target in self.targets for tag in self.tags)


def resolve_push(step: PushStep, context: Context) -> ResolvedPush:
    """Decide everything about a push step; raises `ConfigError` with the place in the file."""
    registry = resolve_registry(step, context)
    source = resolve_source(step, context)
    name = use(step.image_name, context) if step.image_name else source.name
    if not name:
        hint = "write image_name: OWNER/NAME"
        raise error(
            step.mark, f"step {step.name!r}: image_name is required, its candidate {source.text!r} has no name", hint
        )
    where = step.image_name.mark if step.image_name else step.candidate.mark
    return _resolved(step.name, step.settings, registry, source, name, where, _tags(step.tags, context), context)


def resolve_build(step: BuildStep, context: Context) -> ResolvedPush:
    """Decide how a build step's image is pushed: to its `registry` or the default one, as ``image_name:tag``."""
    registry = named_registry(step.registry, step.mark, context)
    here = Text(f"${{{{{step.name}}}}}", step.mark)
    source = build_source(step, here, context)
    if not source.name:
        raise error(step.mark, f"step {step.name!r}: image_name is required")
    tags = tuple(dict.fromkeys(step.cased(tag) for tag in _tags(step.tags_or_default, context)))
    return _resolved(step.name, step.settings, registry, source, source.name, step.mark, tags, context)


def title_of(name: str, settings: Settings, context: Context) -> str:
    """Give what a step is called in the log: its title, or its name."""
    return context.variables.interpolate(settings.title.text).text if settings.title else name


def _resolved(
    name: str,
    settings: Settings,
    registry: Registry,
    source: ImageSource,
    image_name: str,
    where: Mark,
    tags: tuple[str, ...],
    context: Context,
) -> ResolvedPush:
    targets = tuple(_target(access, registry.prefix, image_name, where, context) for access in registry.accesses)
    title = title_of(name, settings, context)
    own_name = image_name.removeprefix(f"{registry.accesses[0].host}/")
    return ResolvedPush(name, title, source, targets, tags, registry.name, own_name, registry.served_in)


def _target(access: Access, prefix: str, name: str, mark: Mark, context: Context) -> ResolvedTarget:
    """Put host, prefix and name together; the prefix always comes first, even where the name begins with it."""
    path = name.removeprefix(f"{access.host}/")
    full = f"{prefix}/{path}" if prefix else path
    shown = f"{access.host}/{full}"
    if is_later(shown, context):
        return ResolvedTarget(access, shown, None)
    if "@" in path or ":" in path.rpartition("/")[2]:
        raise error(mark, f"image_name {name!r} holds a tag or digest", "put the tag into tag: or tags:")
    first, slash, _ = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        message = f"image_name {name!r} begins with the host {first}, and the step pushes to {access.host}"
        raise error(mark, message, "leave the host out, or name the registry in registry:")
    if access.host == DOCKER_HUB and "/" not in full:
        full = f"library/{full}"
    try:
        repository = Repository(access.host, full)
    except ValueError as problem:
        raise error(mark, f"image_name {name!r}: {problem}") from problem
    return ResolvedTarget(access, str(repository), repository)


def _tags(texts: tuple[Text, ...], context: Context) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_tag(text, context) for text in texts)) or (_DEFAULT_TAG,)


def _tag(text: Text, context: Context) -> str:
    value = use(text, context)
    if is_later(value, context):
        return value
    try:
        return check_tag(value)
    except ValueError as problem:
        raise error(text.mark, str(problem)) from problem
