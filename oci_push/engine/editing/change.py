"""Changing what tags name, and deleting tags and manifests, without moving a blob.

A tag is deleted by its name. A manifest that is deleted by its digest takes every tag that names it along, so who does
that is told of them first, and a tag that a registry cannot delete is never deleted that way behind anybody's back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import TypeAlias

from msgspec import Struct

from oci_push.engine.artifacts.attachment import AttachedForm
from oci_push.engine.looking import tree
from oci_push.errors import (
    ConfigError,
    DeniedError,
    NotFoundError,
    OciPushError,
    ProtocolViolationError,
    RegistryError,
)
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model import media
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Reference, Repository, check_tag, is_tag
from oci_push.protocol import listings
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import do_all

Sign: TypeAlias = Callable[[Context, Digest], tuple[AttachedForm, ...]]
"""Sign a manifest that is there by its digest; return what was signed, or raise the first failure."""
MOST_LOOKED_AT = 1000
"""How many tags of a repository are asked what they name, to tell of those that go with a manifest."""
_GLOB = frozenset("*?[")
_CANNOT = frozenset({400, 404, 405, 501})
_UNSUPPORTED = frozenset({"UNSUPPORTED", "DIGEST_INVALID", "TAG_INVALID", "NAME_INVALID", "MANIFEST_INVALID"})


class Tagged(Struct, frozen=True):
    """What became of one new tag."""

    tag: str
    error: ErrorForm | None


class Tagging(Struct, frozen=True):
    """What ``tag --json`` prints."""

    version: Version
    repository: Repository
    digest: Digest
    media_type: str
    tags: tuple[Tagged, ...]


def tag(
    context: Context, client: RepositoryClient, target: str, tags: Sequence[str]
) -> tuple[Tagging, dict[str, OciPushError]]:
    """Give more tags to what a tag or digest names; nothing is read but the manifest, which goes back byte for byte.

    Returns what became of each tag, and the errors by tag.
    """
    digest = Digest.parse(target) if ":" in target else None
    manifest = client.fetch(context, Reference(client.repository, "" if digest else target, digest))
    wanted = tuple(dict.fromkeys(tags))
    errors = put_tags(context, client, manifest, wanted)
    done = tuple(Tagged(name, ErrorForm.or_none(errors.get(name))) for name in wanted)
    return Tagging(VERSION, client.repository, manifest.digest, manifest.media_type, done), errors


def put_tags(
    context: Context, client: RepositoryClient, manifest: Manifest, tags: Sequence[str]
) -> dict[str, OciPushError]:
    """Store a manifest, whose parts are there, under distinct tags, at once where the registry can; return errors."""
    made = client.put_with_tags(context, manifest, tuple(tags)) if len(tags) > 1 else frozenset()
    errors: dict[str, OciPushError] = {}
    for name in tags:
        if name in made:
            continue
        try:
            client.put_manifest(context, manifest, name)
        except OciPushError as error:
            context.check()
            errors[name] = error
    return errors


class Doomed(Struct, frozen=True):
    """One thing to delete: a tag, or a manifest by its digest.

    `others` are tags that go with a manifest, `indexes` those that stay and name an index which then lacks it; `unseen`
    counts those that nobody asked what they name, -1 where the registry does not even list them.
    """

    repository: Repository
    tag: str
    digest: Digest
    others: tuple[str, ...] = ()
    unseen: int = 0
    indexes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.digest}"


class Deleted(Struct, frozen=True):
    """What became of one thing that was to be deleted; `outcome` is ``deleted``, ``would delete`` or ``failed``."""

    repository: Repository
    tag: str | None
    digest: Digest
    tags_with_it: tuple[str, ...]
    outcome: str
    error: ErrorForm | None


class Deletion(Struct, frozen=True):
    """What ``delete --json`` prints."""

    version: Version
    deleted: tuple[Deleted, ...]


class Pattern(Struct, frozen=True):
    """What is to be deleted in a repository, as it was written: a tag, a glob of tags, or a digest."""

    repository: Repository
    target: str

    @property
    def is_glob(self) -> bool:
        """Return whether it stands for any number of tags."""
        return not _GLOB.isdisjoint(self.target)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read ``HOST/REPO:TAG``, ``HOST/REPO:GLOB`` or ``HOST/REPO@DIGEST``; raises ``ValueError``."""
        name, at, digest = text.partition("@")
        if at:
            parsed = Digest.parse(digest)
            head, colon, _ = name.rpartition(":")
            if colon and "/" in head and "/" not in name[len(head) :]:
                raise ValueError("names a tag and a digest: say which of them goes")
            return cls(Repository.parse(name), str(parsed))
        head, colon, target = text.rpartition(":")
        if not colon or "/" in target:
            raise ValueError("names neither a tag nor a digest, and a whole repository cannot be deleted")
        found = cls(Repository.parse(head), target)
        if not found.is_glob:
            check_tag(target)
        return found


def find(context: Context, client: RepositoryClient, patterns: Sequence[Pattern], *, by_digest: bool) -> list[Doomed]:
    """Return what the patterns of one repository mean, each thing once; raises `NotFoundError` for what is not there.

    With `by_digest` the manifests that the tags name are meant; raises `ConfigError` where one of them has a tag that
    no pattern names, or is a part of an index that has one.
    """
    has_globs = any(one.is_glob for one in patterns)
    lists = by_digest or has_globs or any(":" in one.target for one in patterns)
    listed = _list(context, client, must=has_globs or by_digest) if lists else ()
    is_listed = listed is not None
    listed = listed or ()
    tags = dict.fromkeys(name for one in patterns for name in _tags(one, listed))
    digests = dict.fromkeys(Digest.parse(one.target) for one in patterns if ":" in one.target)
    must_look = by_digest or bool(digests)
    also = [name for name in listed if name not in tags][:MOST_LOOKED_AT] if must_look else []
    unseen = len([name for name in listed if name not in tags]) - len(also) if must_look else 0
    unseen = unseen if is_listed else -1
    heads = _heads(context, client, (*tags, *also))
    named = {name: digest for name, (digest, _) in heads.items()}
    _check_there(context, client, [name for name in tags if name not in named], digests)
    doomed = [Doomed(client.repository, name, named[name]) for name in tags if not by_digest]
    if by_digest:
        _check_list(client, tags, listed)
        digests = dict.fromkeys((*digests, *(named[name] for name in tags)))
    stay = {name: one for name, one in heads.items() if name not in tags and one[0] not in digests}
    parts = _parts(context, client, stay) if digests else {}
    for digest in digests:
        others = tuple(name for name, there in named.items() if there == digest)
        indexes = tuple(name for name in stay if digest in parts.get(named[name], ()))
        doomed.append(Doomed(client.repository, "", digest, others, unseen, indexes))
    if by_digest:
        _refuse_others(doomed, tags, unseen, {Digest.parse(one.target) for one in patterns if ":" in one.target})
    return doomed


def _refuse_others(doomed: Sequence[Doomed], tags: Mapping[str, None], unseen: int, given: set[Digest]) -> None:
    for one in doomed:
        others = [name for name in one.others if name not in tags]
        if one.digest in given or not (others or one.indexes or unseen):
            continue
        said = f"may be named by {unseen} more tags, too"
        if others or one.indexes:
            said = f"is {'named by' if others else 'a part of'} {', '.join((others or one.indexes)[:10])}, too"
        raise ConfigError(
            f"{one}: {said}, and would take that along; nothing was deleted",
            hint="name those tags as well, or delete the digest itself",
        )


def delete(context: Context, client: RepositoryClient, one: Doomed) -> None:
    """Delete one thing; raises an error that says what can be done where the registry cannot."""
    try:
        if one.tag:
            client.delete_tag(context, one.tag)
        else:
            client.delete_manifest(context, one.digest)
    except RegistryError as error:
        # It was there before: the answer to a try that did it may have been lost, or another's DELETE came first.
        if isinstance(error, NotFoundError) and client.head(context, one.tag or str(one.digest)) is None:
            return
        raise explained(error, one) from error


def explained(error: RegistryError, one: Doomed) -> OciPushError:
    """Return the error of a DELETE with what it means: an old registry deletes no tags, many delete nothing at all."""
    if isinstance(error, DeniedError):
        return error.with_hint("deleting takes a right of its own: check that this login has it for the repository")
    is_there_no_way = error.status in (405, 501) or (
        error.status in _CANNOT and not _UNSUPPORTED.isdisjoint(error.codes)
    )
    if not is_there_no_way:
        return error
    if one.tag:
        return error.with_more("; this registry cannot delete a tag by its name").with_hint(
            "--by-digest deletes the manifest that it names, and refuses where other tags name that too;"
            " where that fails as well, use the registry's own page or interface"
        )
    return error.with_more("; this registry deletes nothing that it is asked to by its API").with_hint(
        "deleting may be switched off (distribution: storage.delete.enabled),"
        " or goes by the registry's own page or interface alone"
    )


def _list(context: Context, client: RepositoryClient, *, must: bool) -> tuple[str, ...] | None:
    """List the tags; ``None`` where the registry does not, and it `must` not be."""
    try:
        found = client.session.run(context, listings.list_tags(client.repository, listings.PAGE))
    except RegistryError as error:
        if must or error.transient:
            raise
        return None
    return tuple(name for name in found if is_tag(name))  # anything else would become a part of a URL


def _tags(pattern: Pattern, listed: Sequence[str]) -> list[str]:
    if ":" in pattern.target:
        return []
    return [n for n in listed if fnmatchcase(n, pattern.target)] if pattern.is_glob else [pattern.target]


def _heads(context: Context, client: RepositoryClient, tags: Sequence[str]) -> dict[str, tuple[Digest, str]]:
    """Ask what tags name, each once, and of what type that is; those that name nothing are left out."""
    heads = do_all(context, [partial(client.head, target=one) for one in tags], limit=tree.AT_ONCE)
    found = zip(tags, heads, strict=True)
    return {name: (one.digest, one.media_type) for name, one in found if one is not None and one.digest is not None}


def _parts(
    context: Context, client: RepositoryClient, heads: Mapping[str, tuple[Digest, str]]
) -> dict[Digest, frozenset[Digest]]:
    """Read what the indexes among these list, each once; one that has gone meanwhile lists nothing."""

    def read(inner: Context, digest: Digest) -> frozenset[Digest]:
        try:
            return frozenset(c.digest for c in client.fetch(inner, Reference(client.repository, "", digest)).children)
        except NotFoundError:
            return frozenset()

    indexes = list(dict.fromkeys(digest for digest, media_type in heads.values() if media_type in media.INDEXES))
    jobs = [partial(read, digest=one) for one in indexes]
    return dict(zip(indexes, do_all(context, jobs, limit=tree.AT_ONCE), strict=True))


def _check_list(client: RepositoryClient, tags: Mapping[str, None], listed: Sequence[str]) -> None:
    """Refuse a list that lacks tags which are there: it would hide others that name the same manifest."""
    there = frozenset(listed)
    hidden = [name for name in tags if name not in there]
    if hidden:
        raise ProtocolViolationError(
            f"{client.repository}: the registry's list of tags lacks {hidden[0]}, which is there; nothing was deleted",
            hint="which other tags go along cannot be told; delete the digest itself if none matters",
            method="GET",
        )


def _check_there(
    context: Context, client: RepositoryClient, missing: Sequence[str], digests: Mapping[Digest, None]
) -> None:
    gone = [f":{name}" for name in missing]
    gone += [f"@{one}" for one in digests if client.head(context, str(one)) is None]
    if gone:
        raise NotFoundError(
            f"{client.repository}{gone[0]}: is not there" + (f", nor are {len(gone) - 1} more" if gone[1:] else ""),
            hint="nothing was deleted; see what there is with oci-push tags",
        )
