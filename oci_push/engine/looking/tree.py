"""An image that is looked at and not pushed: what is missing or damaged below the root is a note, and no end.

`graph.walk` reads what will be sent, so it stops at the first hole. Who inspects or checks an image wants to see all of
them. Manifests are read level by level, those of one level at once, each one once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from msgspec import Struct

from oci_push.errors import NotFoundError, OciPushError, ProtocolViolationError, RegistryError, SourceError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import ImageReader, verified
from oci_push.sources.platforms import MAX_DEPTH, MAX_MANIFESTS, PlatformSearch, read_platform

K = TypeVar("K")
T = TypeVar("T")
AT_ONCE = 8
"""How many questions go at once; a registry's own limit may be lower (`transport.limits`)."""
MAX_CONFIG_BYTES = 8 * 1024 * 1024
MAX_BYTES_IN_ALL = 32 * 1024 * 1024
"""What all manifests of a tree, and all its configs, may have together: they are kept until all have been read."""
IMAGE_CONFIGS = frozenset({media.OCI_CONFIG, media.DOCKER_CONFIG})


class Tree(Struct, frozen=True):
    """What lies below `root`: manifests by digest, the root first, and why others could not be read."""

    root: Descriptor
    manifests: Mapping[Digest, Manifest]
    problems: Mapping[Digest, OciPushError]


def is_damage(error: OciPushError) -> bool:
    """Return whether an error is about one thing that is missing or wrong, and not about all that may be asked.

    A source tells as its own error what its registry has answered, a refusal and a failure that passes among them.
    """
    cause = error.__cause__ if isinstance(error, SourceError) else None
    if isinstance(cause, RegistryError):
        return is_damage(cause)
    return isinstance(error, NotFoundError | SourceError | ProtocolViolationError)


def registry_error(error: OciPushError) -> RegistryError | None:
    """Return the answer of a registry that a source tells of as its own error, for its class and exit code."""
    cause = error.__cause__
    return cause if isinstance(error, SourceError) and isinstance(cause, RegistryError) else None


def top(context: Context, source: ImageReader, platform: Platform | None) -> Descriptor:
    """Return the root of a source, or the image below it that is for `platform`; raises `SourceError` for none."""
    root = source.root(context, platform)
    if platform is None:
        return root
    search = PlatformSearch(context, source, platform)
    found = search.find(root)
    if found is None:
        raise search.missing()
    return found


def read_tree(context: Context, source: ImageReader, platform: Platform | None = None) -> Tree:
    """Read the root and every manifest below it; raises for the root itself, and for what is about no single one."""
    root = top(context, source, platform)
    manifests = {root.digest: source.manifest(context, root)}
    problems: dict[Digest, OciPushError] = {}
    level: list[Descriptor] = [root]
    for _ in range(MAX_DEPTH + 1):
        below = (child for one in level if one.digest in manifests for child in manifests[one.digest].children)
        wanted = {
            one.digest: one
            for one in below
            if one.media_type in media.MANIFESTS and one.digest not in manifests and one.digest not in problems
        }
        if not wanted:
            return Tree(root, manifests, problems)
        if len(manifests) + len(wanted) > MAX_MANIFESTS:
            raise SourceError(f"{source.name}: more than {MAX_MANIFESTS} manifests")
        _check_size(source, "manifests", sum(len(one.raw) for one in manifests.values()), wanted)
        found, failed = each(context, wanted, lambda inner, one: source.manifest(inner, one))
        manifests.update(found)
        problems.update(failed)
        level = list(wanted.values())
    raise SourceError(f"{source.name}: indexes are nested more than {MAX_DEPTH} deep")


def each(
    context: Context, things: Mapping[K, Descriptor], read: Callable[[Context, Descriptor], T]
) -> tuple[dict[K, T], dict[K, OciPushError]]:
    """Read several things at once; what is damaged comes back as an error by its key, any other error is raised."""
    jobs = [partial(_or_damage, read=read, thing=one) for one in things.values()]
    values = do_all(context, jobs, limit=AT_ONCE, stop_on_error=False)
    found: dict[K, T] = {}
    failed: dict[K, OciPushError] = {}
    for key, value in zip(things, values, strict=True):
        if isinstance(value, OciPushError):
            failed[key] = value
        else:
            found[key] = value
    return found, failed


def _or_damage(context: Context, read: Callable[[Context, Descriptor], T], thing: Descriptor) -> T | OciPushError:
    try:
        return read(context, thing)
    except OciPushError as error:
        if not is_damage(error):
            raise (registry_error(error) or error) from None
        return error


def read_config(context: Context, source: ImageReader, descriptor: Descriptor) -> bytes:
    """Read an image's config and check it; raises `SourceError` for one that is too large."""
    what = f"{source.name}: config {descriptor.digest}"
    if descriptor.size > MAX_CONFIG_BYTES:
        raise SourceError(f"{what} has {descriptor.size} bytes, over the limit of {MAX_CONFIG_BYTES}")
    return b"".join(bytes(block) for block in verified(source.blob(context, descriptor), descriptor, what))


def read_configs(
    context: Context, source: ImageReader, manifests: Iterable[Manifest]
) -> tuple[dict[Digest, bytes], dict[Digest, OciPushError]]:
    """Read the configs of images, each once, as `each` does; raises `SourceError` where they are too large in all."""
    wanted = _image_configs(manifests)
    _check_size(source, "configs", 0, {key: one for key, one in wanted.items() if one.size <= MAX_CONFIG_BYTES})
    return each(context, wanted, lambda inner, one: read_config(inner, source, one))


def _check_size(source: ImageReader, what: str, known: int, more: Mapping[Digest, Descriptor]) -> None:
    total = known + sum(one.size for one in more.values())
    if total > MAX_BYTES_IN_ALL:
        raise SourceError(
            f"{source.name}: its {what} have {total} bytes in all, over the limit of {MAX_BYTES_IN_ALL}",
            hint="look at one image of it: --platform OS/ARCH",
        )


def _image_configs(manifests: Iterable[Manifest]) -> dict[Digest, Descriptor]:
    """Return the configs of those manifests that are images, each once."""
    configs = (one.config for one in manifests if one.config is not None)
    return {one.digest: one for one in configs if one.media_type in IMAGE_CONFIGS}


def platform_of(descriptor: Descriptor | None, config: bytes | None) -> Platform | None:
    """Return what an image is for, as its index says, else as its config does."""
    if descriptor is not None and descriptor.platform is not None:
        return descriptor.platform
    return read_platform(config) if config is not None else None
