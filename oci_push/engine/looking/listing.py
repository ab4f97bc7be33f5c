"""Lists of tags and repositories: filtered by globs, sorted, cut; asking no more than that takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from fnmatch import fnmatchcase
from functools import partial

from msgspec import Struct

from oci_push.engine.looking import tree
from oci_push.engine.looking.inspect import image_config
from oci_push.errors import NotFoundError, OciPushError, RegistryError
from oci_push.forms import VERSION, Version
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Reference, Repository, is_tag
from oci_push.model.versions import version_key
from oci_push.protocol import listings
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.runtime.tasks import do_all
from oci_push.sources.files import SpoolSpace
from oci_push.sources.platforms import is_attached
from oci_push.sources.remote import RemoteSource
from oci_push.transport.session import Session

_NO_CATALOG = frozenset({400, 401, 403, 404, 405, 406, 501})


class Sort(Enum):
    """How tags are sorted: by name, or with the newest first by version or by date."""

    NAME = "name"
    SEMVER = "semver"
    DATE = "date"


class Tag(Struct, frozen=True):
    """One tag; `created` is when its image says that it was made, null where nobody asked or it does not say."""

    tag: str
    digest: Digest | None
    created: str | None


class TagList(Struct, frozen=True):
    """What ``tags --json`` prints; `total` counts the tags before any were left out, null where not all were read."""

    version: Version
    repository: Repository
    total: int | None
    tags: tuple[Tag, ...]


class RepositoryList(Struct, frozen=True):
    """What ``repos --json`` prints."""

    version: Version
    registry: str
    repositories: tuple[str, ...]


class Wanted(Struct, frozen=True):
    """Which names are wanted: those that match one of `globs` (all, where there are none), at most `limit` of them."""

    globs: tuple[str, ...] = ()
    limit: int = 0
    sort: Sort = Sort.NAME
    is_reversed: bool = False

    def matching(self, names: Iterable[str]) -> list[str]:
        """Return the names that match."""
        return [name for name in names if not self.globs or any(fnmatchcase(name, glob) for glob in self.globs)]

    def cut(self, names: Sequence[str]) -> list[str]:
        """Return the names in order, no more than are wanted."""
        ordered = list(reversed(names)) if self.is_reversed else list(names)
        return ordered[: self.limit] if self.limit else ordered

    def is_enough(self, names: set[str]) -> bool:
        """Return whether the first names of a sorted list are all that is wanted."""
        is_first = self.sort is Sort.NAME and not self.is_reversed and self.limit > 0
        return is_first and len(self.matching(names)) >= self.limit

    def page(self, most: int) -> int:
        """Return how many names to ask for at a time."""
        is_first = self.sort is Sort.NAME and not self.is_reversed and self.limit and not self.globs
        return min(self.limit, most) if is_first else most


def list_tags(context: Context, client: RepositoryClient, wanted: Wanted) -> TagList:
    """List a repository's tags; by date each image's manifest and config are read, each once."""
    whole = True

    def is_enough(names: set[str]) -> bool:
        nonlocal whole
        whole = not wanted.is_enough(names)
        return not whole

    flow = listings.list_tags(client.repository, wanted.page(listings.PAGE), is_enough=is_enough)
    names = client.session.run(context, flow)
    found = wanted.matching(names)
    total = len(names) if whole else None
    if wanted.sort is Sort.DATE:
        dated = _dated(context, client, [name for name in found if is_tag(name)])
        dated.sort(key=_by_date)
        tags = {one.tag: one for one in dated}
        return TagList(VERSION, client.repository, total, tuple(tags[name] for name in wanted.cut(list(tags))))
    ordered = by_version(found) if wanted.sort is Sort.SEMVER else found
    return TagList(VERSION, client.repository, total, tuple(Tag(one, None, None) for one in wanted.cut(ordered)))


def list_repositories(context: Context, session: Session, host: str, wanted: Wanted) -> RepositoryList:
    """List a registry's repositories; raises `RegistryError` that says so where it offers no such list."""
    flow = listings.list_repositories(host, wanted.page(listings.PAGE), is_enough=wanted.is_enough)
    try:
        names = session.run(context, flow)
    except RegistryError as error:
        if error.status not in _NO_CATALOG:
            raise
        hint = "many registries list repositories on their web page or by an interface of their own only"
        if error.status in (401, 403):
            hint = f"log in as somebody who may see all of them; {hint}"
        raise error.with_more("; it offers no list of its repositories, not to this login at least").with_hint(
            hint
        ) from error
    return RepositoryList(VERSION, host, tuple(wanted.cut(wanted.matching(names))))


def by_version(tags: Iterable[str]) -> list[str]:
    """Sort tags, the newest version first; what is no version comes after them, by name."""
    keyed = [(version_key(tag), tag) for tag in tags]
    versions = sorted((key, tag) for key, tag in keyed if key is not None)
    return [tag for _, tag in reversed(versions)] + sorted(tag for key, tag in keyed if key is None)


def _by_date(one: Tag) -> tuple[bool, float, str]:
    try:
        made = datetime.fromisoformat(one.created or "")
    except ValueError:
        return True, 0.0, one.tag
    return False, -(made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp(), one.tag


def _dated(context: Context, client: RepositoryClient, tags: Sequence[str]) -> list[Tag]:
    """Read when each tag's image was made; what many tags name is read once, below the manifest that names it."""
    source = RemoteSource(client, Reference(client.repository, "latest"), SpoolSpace(None, 0), keep=False)
    made: SingleFlight[Digest, str] = SingleFlight()

    def date(inner: Context, tag: str) -> Tag | None:
        try:
            manifest = client.fetch(inner, Reference(client.repository, tag))
        except NotFoundError:
            return None  # somebody has deleted it since
        created = made.get(manifest.digest, lambda: _created(inner, source, manifest))
        return Tag(tag, manifest.digest, created or None)

    found = do_all(context, [partial(date, tag=one) for one in tags], limit=tree.AT_ONCE)
    return [one for one in found if one is not None]


def _created(context: Context, source: RemoteSource, manifest: Manifest) -> str:
    """Return when an image was made, an index the first of its images; empty where nothing says so."""
    said = manifest.annotations.get("org.opencontainers.image.created")
    if said:
        return said
    try:
        image = manifest
        for _ in range(8):
            child = _first(image.children)
            if child is None:
                break
            image = source.manifest(context, child)
        config = image.config
        if config is None or config.media_type not in tree.IMAGE_CONFIGS:
            return ""
        return image_config(tree.read_config(context, source, config), config).created
    except (ValueError, OciPushError) as problem:
        if isinstance(problem, OciPushError) and not tree.is_damage(problem):
            raise
        return ""


def _first(children: Sequence[Descriptor]) -> Descriptor | None:
    images = (one for one in children if one.media_type in media.MANIFESTS and not is_attached(one))
    return next(images, None)
