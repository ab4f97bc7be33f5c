"""Which images of a repository are copied: all of its tags, or those that match, and of them those that are new.

What is selected is plain data, before anything is written. Tags that are made of a digest (lists of referrers, cosign's
signatures) are no images: they come along with what they are about, unless a tag is named in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.copying.items import CopyItem
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.looking.attached import is_referrer_tag
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import UnitTarget
from oci_push.errors import ConfigError, NotFoundError, SourceError
from oci_push.model.digest import Digest
from oci_push.model.reference import Repository, is_tag
from oci_push.runtime.context import Context
from oci_push.sources.layout import LayoutSource

GLOB = frozenset("*?[")
"""What no tag holds, and every glob."""


class Selection(Struct, frozen=True):
    """Tags of a repository: those that match one of `globs` (all, where there are none) and none of `exclude`."""

    repository: Repository
    globs: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    registry: str = ""


def matching(names: Sequence[str], globs: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Return the tags that are meant, in order."""
    return [
        name
        for name in names
        if (not globs or any(fnmatchcase(name, glob) for glob in globs))
        and not any(fnmatchcase(name, glob) for glob in exclude)
        and not is_referrer_tag(name)
    ]


def select(
    context: Context, lists: TagLists, selection: Selection, targets: Sequence[UnitTarget]
) -> tuple[CopyItem, ...]:
    """Make an item of each tag that is meant; it keeps its name in each of `targets`.

    Raises `NotFoundError` where there is no such tag.
    """
    side = lists.source(selection.repository, selection.registry)
    names = lists.names(context, side, must=True) or frozenset()
    found = matching(sorted(names), selection.globs, selection.exclude)
    if not found:
        what = f" that match {' or '.join(selection.globs)}" if selection.globs else ""
        raise NotFoundError(
            f"{selection.repository}: has no tags{what}",
            hint=f"see what there is: oci-push tags {selection.repository}",
        )
    return tuple(
        CopyItem(
            f"docker://{selection.repository}:{tag}",
            tuple(replace(target, tags=(tag,)) for target in targets),
            selection.registry,
        )
        for tag in found
    )


def select_names(
    context: Context,
    pusher: Pusher,
    source: str,
    globs: Sequence[str],
    exclude: Sequence[str],
    targets: Sequence[UnitTarget],
) -> tuple[CopyItem, ...]:
    """Make an item of each image of a layout that has a name and is meant; its tag is that of its name.

    Raises `ConfigError` for what is no layout, `SourceError` where there is no such image.
    """
    with pusher.open(source, context) as reader:
        if not isinstance(reader, LayoutSource):
            raise ConfigError(
                f"{source}: only a registry or an OCI layout tells which images it has",
                hint="name each image of it: FILE:REF",
            )
        entries = reader.names()
    path = source.removesuffix("/")
    tags: dict[str, tuple[str, Digest]] = {}
    for name, digest in entries:
        tag = name.rpartition(":")[2]
        other, known = tags.setdefault(tag, (name, digest))
        if known != digest and matching([tag], globs, exclude):
            raise ConfigError(
                f"{reader.name}: {other} and {name} both go to the tag {tag!r}", hint="copy each by itself: DIR:NAME"
            )
    found = matching(sorted(tags), globs, exclude)
    if not found:
        raise SourceError(
            f"{reader.name}: holds no image" + (f" that matches {' or '.join(globs)}" if globs else " that has a name")
        )
    for tag in found:
        if not is_tag(tag):
            raise ConfigError(f"{reader.name}: the name {tag!r} cannot be a tag", hint="copy that image by itself")
    return tuple(
        CopyItem(f"{path}@{tags[tag][1]}", tuple(replace(target, tags=(tag,)) for target in targets)) for tag in found
    )
