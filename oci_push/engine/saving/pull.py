"""Pulling: which images of registries are saved under which names, what refers to them, and what became of all.

In one layout two images cannot have one name. So an image is called by its tag, as ORAS and regclient do, where all of
them are of one repository, and by its whole reference where they are not. In a docker-archive names are references.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from oci_push.engine.copying.selection import Selection, select
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.looking import tree
from oci_push.engine.looking.attached import listed, signed
from oci_push.engine.saving.item import SaveItem
from oci_push.engine.saving.place import Place
from oci_push.engine.saving.steps import SavedImage
from oci_push.errors import ConfigError
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model.changes import NOTHING, Changes
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository, is_host
from oci_push.model.source import SourceSpec
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all
from oci_push.sources.table import GRAMMAR

_GLOB = frozenset("*?[")


class PulledImage(Struct, frozen=True):
    """What became of one image. `name` is what it is called in the target, null for none.

    `size` is that of its distinct blobs, `written` how much of that had to be fetched; `unchanged` says that the tag
    still named what is there, and nothing was read. `refers_to` is the manifest that a referrer is about.
    """

    source: str
    name: str | None
    digest: Digest | None
    media_type: str | None
    manifests: int
    blobs: int
    size: int
    written: int
    unchanged: bool
    refers_to: Digest | None
    error: ErrorForm | None

    @classmethod
    def of(cls, one: SavedImage) -> PulledImage:
        """Return what became of an image, as it is published."""
        root = one.root
        return cls(
            one.item.source,
            one.item.name or None,
            root.digest if root else None,
            root.media_type if root else None,
            len(one.nodes),
            one.blobs,
            one.size,
            one.written,
            one.is_unchanged,
            one.item.refers_to,
            ErrorForm.or_none(one.error),
        )


class Pull(Struct, frozen=True):
    """What ``pull --json`` prints; `referrers` are what refers to the images and was saved beside them."""

    version: Version
    target: str
    images: tuple[PulledImage, ...]
    referrers: tuple[PulledImage, ...]

    @classmethod
    def of(cls, place: Place, saved: Sequence[SavedImage]) -> Pull:
        """Return what became of images, as it is published."""
        forms = [(PulledImage.of(one), one.item.refers_to is not None) for one in saved]
        images = tuple(form for form, is_referrer in forms if not is_referrer)
        return cls(VERSION, place.text, images, tuple(form for form, is_referrer in forms if is_referrer))


def is_glob(text: str) -> bool:
    """Return whether a SOURCE stands for any number of tags of a repository."""
    head, colon, tag = text.removeprefix("docker://").rpartition(":")
    is_tagged = bool(colon) and is_host(head.partition("/")[0]) and "/" in head and "/" not in tag
    return is_tagged and not _GLOB.isdisjoint(tag)


def expand(context: Context, lists: TagLists, texts: Sequence[str], *, all_tags: bool) -> tuple[str, ...]:
    """Return the SOURCE texts that these stand for: of a glob of tags, or with `all_tags`, each tag's.

    Raises `ConfigError` for what has no tags to list, `NotFoundError` where none is there.
    """
    found: dict[str, None] = {}
    for text in texts:
        bare = text.removeprefix("docker://")
        head, colon, tag = bare.rpartition(":")
        is_tagged = bool(colon) and "/" in head and "/" not in tag
        is_pattern = is_glob(text)
        if not is_pattern and not all_tags:
            found[text] = None
            continue
        if all_tags and is_tagged:
            raise ConfigError(f"--all-tags has no effect on {text}, which names tags", hint="leave out one of them")
        name = head if is_pattern else bare
        try:
            if not is_host(name.partition("/")[0]):
                raise ValueError("names no repository of a registry, whose tags could be listed")
            repository = Repository.parse(name)
        except ValueError as problem:
            raise ConfigError(f"{text!r}: {problem}", hint="write HOST[:PORT]/REPO") from problem
        selection = Selection(repository, (tag,) if is_pattern else ())
        found.update((item.source, None) for item in select(context, lists, selection, ()))
    return tuple(found)


def named(
    sources: Sequence[str], place: Place, platform: Platform | None = None, changes: Changes = NOTHING
) -> tuple[SaveItem, ...]:
    """Return the images that are saved, each with its name; raises `ConfigError` for a name that is for several."""
    if place.name and len(sources) > 1:
        raise ConfigError(
            f"target {place.text!r} names one image, and there are {len(sources)}",
            hint="leave the name out: each is called by its tag, or by its whole reference",
        )
    specs = [GRAMMAR.parse(text) for text in sources]
    repositories = {Reference.parse(one.path).repository for one in specs if one.kind == "registry"}
    is_whole = len(repositories) > 1 or place.kind == "docker-archive"
    names = [place.name or _name(one, is_whole=is_whole) for one in specs]
    return tuple(SaveItem(one.text, name, platform, changes=changes) for one, name in zip(specs, names, strict=True))


def _name(spec: SourceSpec, *, is_whole: bool) -> str:
    if spec.kind != "registry":
        return "" if spec.ref.startswith("@") else spec.ref
    reference = Reference.parse(spec.path)
    if not reference.tag:
        return ""
    return f"{reference.repository}:{reference.tag}" if is_whole else reference.tag


def find_attached(context: Context, client: RepositoryClient, nodes: Sequence[Manifest]) -> list[SaveItem]:
    """Ask a repository what refers to these manifests: by its list or the one that clients keep, and cosign's tags.

    The root is asked for first, as the answer tells whether the registry keeps lists at all.
    """
    first, *others = [node.digest for node in reversed(nodes)]
    answers = [listed(context, client, first)]
    jobs = [partial(listed, client=client, subject=one, has_api=answers[0].has_api) for one in others]
    answers += do_all(context, jobs, limit=tree.AT_ONCE)
    subjects = zip((first, *others), answers, strict=True)
    found = [_referrer(client, one, subject) for subject, answer in subjects for one, _ in answer.entries]
    for one in signed(context, client, [node.digest for node in nodes]):
        found.append(SaveItem(f"docker://{client.repository}:{one.tag}", one.tag, refers_to=one.subject))
    return found


def _referrer(client: RepositoryClient, entry: Descriptor, subject: Digest) -> SaveItem:
    source = f"docker://{client.repository}@{entry.digest}"
    return SaveItem(source, artifact_type=entry.artifact_type, annotations=entry.annotations, refers_to=subject)
