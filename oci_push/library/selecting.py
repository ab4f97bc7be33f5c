"""Which images a copy means: what each SOURCE says, and what is said beside it of the tags that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.copying.items import CopyItem
from oci_push.engine.copying.selection import GLOB, Selection, select, select_names
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.pusher import Pusher
from oci_push.engine.saving.item import SaveItem
from oci_push.engine.saving.pull import find_attached
from oci_push.engine.unit import UnitTarget
from oci_push.errors import ConfigError
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository, is_tag, shown
from oci_push.model.source import SourceSpec
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.sources.table import GRAMMAR


class Choosing(Struct, frozen=True):
    """What is said of the tags that are wanted; `said_by` names the argument that makes each SOURCE a repository.

    Where nothing does, it is empty, and each SOURCE names one image, unless it has a glob.
    """

    said_by: str = ""
    globs: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Source(Struct, frozen=True):
    """One SOURCE: `selection` where it means tags of a repository, else it is read as `spec` says."""

    text: str
    selection: Selection | None = None
    spec: SourceSpec | None = None

    @property
    def repository(self) -> Repository | None:
        """Return the repository that it lies in; ``None`` for a file."""
        if self.selection is not None:
            return self.selection.repository
        is_remote = self.spec is not None and self.spec.kind == "registry"
        return Reference.parse(self.spec.path).repository if self.spec is not None and is_remote else None


def read_source(text: str, choosing: Choosing) -> Source:
    """Read a SOURCE; raises `ConfigError`, also where it and what is beside it both say which tags are meant."""
    bare = text.removeprefix("docker://")
    name, colon, tag = bare.rpartition(":")
    if colon and "/" in name and "/" not in tag and not GLOB.isdisjoint(tag) and "@" not in bare:
        if choosing.said_by:
            raise ConfigError(
                f"source {shown(text)!r} says which tags are meant, and so does {choosing.said_by}",
                hint=f"write {name}, or leave out the option",
            )
        try:
            repository = Repository.parse(name)
        except ValueError as problem:
            raise ConfigError(f"source {shown(text)!r}: {problem}", hint="write HOST/REPO:GLOB") from problem
        return Source(text, Selection(repository, (tag,), choosing.exclude))
    spec = GRAMMAR.parse(text)
    if not choosing.said_by or spec.kind != "registry":
        return Source(text, spec=spec)
    reference = Reference.parse(spec.path, default_tag="")
    if reference.target:
        raise ConfigError(
            f"source {shown(text)!r} names one image, and {choosing.said_by} means all of a repository",
            hint=f"write {reference.repository}, or leave out the option",
        )
    return Source(text, Selection(reference.repository, choosing.globs, choosing.exclude))


def item_of(one: Source, targets: Sequence[UnitTarget]) -> CopyItem:
    """Return the item of a SOURCE that is one image, which keeps its tag where no other is given."""
    spec = one.spec or GRAMMAR.parse(one.text)
    source, name = one.text, "latest"
    if spec.kind == "registry":
        reference = Reference.parse(spec.path)
        source, name = f"docker://{reference}", reference.tag
    elif spec.ref and not spec.ref.startswith("@"):
        name = spec.ref.rpartition(":")[2]
        if not is_tag(name) and not all(target.tags for target in targets):
            raise ConfigError(
                f"source {shown(one.text)!r}: {name!r} cannot be a tag", hint="give the destination a tag"
            )
    tags = (name,) if name else ()
    return CopyItem(source, tuple(replace(target, tags=target.tags or tags) for target in targets))


def items_of(
    context: Context,
    pusher: Pusher,
    lists: TagLists,
    sources: Sequence[Source],
    targets: Sequence[UnitTarget],
    choosing: Choosing,
    *,
    platform: Platform | None = None,
    changes: Changes = NOTHING,
) -> tuple[CopyItem, ...]:
    """Return what is copied, before anything is written."""
    items: list[CopyItem] = []
    for one in sources:
        if one.selection is not None:
            items += select(context, lists, one.selection, targets)
        elif choosing.said_by:
            items += select_names(context, pusher, one.text, choosing.globs, choosing.exclude, targets)
        else:
            items.append(item_of(one, targets))
    return tuple(replace(item, platform=platform, changes=changes) for item in items)


def finder(
    client: Callable[[Repository], RepositoryClient],
) -> Callable[[Context, SaveItem, Sequence[Manifest]], Sequence[SaveItem]]:
    """Return what asks the registry that an image is read from what refers to it; files are asked for nothing."""

    def find(context: Context, item: SaveItem, nodes: Sequence[Manifest]) -> Sequence[SaveItem]:
        spec = GRAMMAR.parse(item.source)
        if spec.kind != "registry":
            return ()
        return find_attached(context, client(Reference.parse(spec.path).repository), nodes)

    return find
