"""Comparing two images: platforms, and of each platform that both have its layers, config and size.

The values are the published form of ``diff --json``. Sizes are in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from oci_push.engine.looking.inspect import ImageConfig, Inspection, Layer, Node, is_index
from oci_push.forms import VERSION, Version
from oci_push.model.digest import Digest

_FIELDS = ("created", "author", "user", "working_dir", "entrypoint", "cmd", "exposed_ports", "volumes", "stop_signal")


class Change(Struct, frozen=True):
    """One value that differs: `left` or `right` is null where there is none."""

    name: str
    left: str | None
    right: str | None


class PlatformDiff(Struct, frozen=True):
    """What differs between the images of one platform; `platform` is null where nothing says which it is."""

    platform: str | None
    left: Digest
    right: Digest
    left_size: int
    right_size: int
    shared_layers: tuple[Layer, ...]
    left_layers: tuple[Layer, ...]
    right_layers: tuple[Layer, ...]
    changes: tuple[Change, ...]


class Diff(Struct, frozen=True):
    """What ``diff --json`` prints. `same` says that both are the same bytes.

    `left_platforms` and `right_platforms` are those that only one of them has; platforms whose images are the same are
    named in `same_platforms` and are not among `images`.
    """

    version: Version
    left: str
    right: str
    same: bool
    left_digest: Digest
    right_digest: Digest
    left_size: int
    right_size: int
    changes: tuple[Change, ...]
    same_platforms: tuple[str, ...]
    left_platforms: tuple[str, ...]
    right_platforms: tuple[str, ...]
    images: tuple[PlatformDiff, ...]


def compare(left: Inspection, right: Inspection) -> Diff:
    """Compare two images that were inspected."""
    ours, theirs = left.image, right.image
    images, others = _images(ours), _images(theirs)
    if len(images) == len(others) == 1:  # two plain images are compared whatever they are for
        others = dict(zip(images, others.values(), strict=True))
    both = [name for name in images if name in others]
    return Diff(
        VERSION,
        left.name,
        right.name,
        ours.digest == theirs.digest,
        ours.digest,
        theirs.digest,
        ours.content_size,
        theirs.content_size,
        tuple(_of_root(ours, theirs)),
        tuple(name for name in both if images[name].digest == others[name].digest),
        tuple(name for name in images if name not in others),
        tuple(name for name in others if name not in images),
        tuple(_image(images[n], others[n]) for n in both if images[n].digest != others[n].digest),
    )


def _images(root: Node) -> dict[str, Node]:
    """Return the images below a root by platform, further ones of the same with a number after it."""
    found: dict[str, Node] = {}
    times: dict[str, int] = {}
    for node in _leaves(root):
        name = node.platform or "unknown"
        if node.attests or name == "unknown/unknown":
            continue
        label = name
        while label in found:
            times[name] = times.get(name, 1) + 1
            label = f"{name} ({times[name]})"
        found[label] = node
    return found


def _leaves(node: Node) -> Iterator[Node]:
    if not is_index(node):
        yield node
    for child in node.manifests:
        yield from _leaves(child)


def _image(left: Node, right: Node) -> PlatformDiff:
    ours, theirs = {one.digest for one in left.layers}, {one.digest for one in right.layers}
    return PlatformDiff(
        left.platform or right.platform,
        left.digest,
        right.digest,
        left.content_size,
        right.content_size,
        tuple(one for one in left.layers if one.digest in theirs),
        tuple(one for one in left.layers if one.digest not in theirs),
        tuple(one for one in right.layers if one.digest not in ours),
        tuple(_of_image(left, right)),
    )


def _of_root(left: Node, right: Node) -> Iterator[Change]:
    yield from _maps("media_type", {"": left.media_type}, {"": right.media_type})
    if is_index(left) or is_index(right):
        yield from _maps("annotation", left.annotations, right.annotations)


def _of_image(left: Node, right: Node) -> Iterator[Change]:
    texts = ({"platform": one.platform, "artifact_type": one.artifact_type} for one in (left, right))
    yield from _maps("", *({k: v for k, v in values.items() if v} for values in texts))
    yield from _maps("annotation", left.annotations, right.annotations)
    yield from _of_configs(left.config, right.config)


def _of_configs(left: ImageConfig | None, right: ImageConfig | None) -> Iterator[Change]:
    yield from _maps("", _plain(left), _plain(right))
    yield from _maps("env", _env(left), _env(right))
    yield from _maps("label", left.labels if left else {}, right.labels if right else {})


def _plain(config: ImageConfig | None) -> dict[str, str]:
    values = {name: getattr(config, name) for name in _FIELDS} if config else {}
    return {k: v if isinstance(v, str) else " ".join(v) for k, v in values.items() if v}


def _env(config: ImageConfig | None) -> dict[str, str]:
    return dict(one.partition("=")[::2] for one in config.env) if config else {}


def _maps(kind: str, left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Change]:
    for key in dict.fromkeys((*left, *right)):
        ours, theirs = left.get(key), right.get(key)
        if ours != theirs:
            yield Change(f"{kind} {key}".strip(), ours, theirs)
