"""Which images of a repository are copied: all of its tags, or those that match, and of them those that are new.

What is selected is plain data, before anything is written. Tags that are made of a digest (lists of referrers, cosign's
signatures) are no images: they come along with what they are about, unless a tag is named in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.copying import CopyItem
from oci_push.engine.copying_lists import TagLists
from oci_push.engine.copying_referrers import is_referrer_tag
from oci_push.engine.unit import UnitTarget
from oci_push.errors import NotFoundError
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context


class Selection(Struct, frozen=True):
    """Tags of a repository: those that match one of `globs` (all, where there are none) and none of `exclude`."""

    repository: Repository
    globs: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    registry: str = ""
    platform: Platform | None = None

    def matching(self, names: Sequence[str]) -> list[str]:
        """Return the tags that are meant, in order."""
        return [
            name
            for name in names
            if (not self.globs or any(fnmatchcase(name, glob) for glob in self.globs))
            and not any(fnmatchcase(name, glob) for glob in self.exclude)
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
    found = selection.matching(sorted(names))
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
            selection.platform,
        )
        for tag in found
    )
