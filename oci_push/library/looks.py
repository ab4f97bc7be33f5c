"""What a library user calls to look at images and registries; nothing is changed by any of it.

What a command does of it as well stands here as a function of a `Looker`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Literal

from oci_push.engine.looking import listing
from oci_push.engine.looking.check import Checkup
from oci_push.engine.looking.check import check as check_image
from oci_push.engine.looking.compare import Diff, compare
from oci_push.engine.looking.existence import Existence, Existing, NamedDigest, digest_of
from oci_push.engine.looking.inspect import Inspection
from oci_push.engine.looking.inspect import inspect as inspect_image
from oci_push.engine.looking.listing import RepositoryList, Sort, TagList, Wanted
from oci_push.engine.looking.referrers import ReferrersTree, referrers_tree
from oci_push.engine.looking.tree import top
from oci_push.engine.pusher import Options
from oci_push.errors import ConfigError, NotFoundError, OciPushError
from oci_push.forms import VERSION, ErrorForm
from oci_push.library import naming
from oci_push.library.calls import OnEvent, finished, platform_of, refuse_text, source_of
from oci_push.library.looking import Looker, look
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository, is_host


def inspect(
    source: str | os.PathLike[str],
    *,
    platform: str = "",
    referrers: bool = True,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Inspection:
    """Return what an image consists of: platforms, layers, config, history, annotations, and what refers to it.

    `source` is one as `push` takes it, and a registry's is ``HOST/REPO:TAG``. `platform` (``linux/arm64``) is the only
    image of an index that is looked at. Without `referrers` a registry is not asked what refers to it. No layer is
    read; what is missing below the root is told as the `problem` of its node.

    `options`, `on_event`, `cancel` and `timeout_s` mean what they mean to `push`, and errors are raised as by it.
    """
    text, wanted = source_of(source), platform_of(platform)

    def work(looker: Looker) -> Inspection:
        with looker.image(text) as (image, client):
            return inspect_image(looker.context, image, client if referrers else None, wanted)

    return look(work, what="inspect", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def digest(
    source: str | os.PathLike[str],
    *,
    platform: str = "",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> NamedDigest:
    """Return the digest of what a reference names; a registry is asked by HEAD alone, unless there is a `platform`.

    Raises `NotFoundError` where it names nothing, and errors as `push` does.
    """
    text, wanted = source_of(source), platform_of(platform)
    return look(
        lambda looker: named_digest(looker, text, wanted),
        what="digest",
        options=options,
        on_event=on_event,
        cancel=cancel,
        timeout_s=timeout_s,
    )


def named_digest(looker: Looker, source: str, platform: Platform | None) -> NamedDigest:
    """Ask what a SOURCE names, of a registry by HEAD where that tells."""
    if platform is None and naming.repository_of(source) is not None:
        named = naming.reference(source)
        found = digest_of(looker.context, looker.client(named.repository), named)
    else:
        with looker.image(source) as (image, _):
            found = top(looker.context, image, platform).digest
    return NamedDigest(VERSION, source, found)


def exists(
    *references: str,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Existence:
    """Tell whether images exist, asked by HEAD: what is returned is true where all of them do.

    Its `images` have each by itself. Raises errors as `push` does where it could not be found out, with `report`.
    """
    refuse_text("references", references)
    if not references:
        raise ValueError("no reference: give one or several")
    names = [naming.reference(text) for text in dict.fromkeys(references)]

    def work(looker: Looker) -> Existence:
        found, errors = existence(looker, names)
        return finished(found, errors, "images", looker.context)

    return look(work, what="exists", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def existence(looker: Looker, names: Sequence[Reference]) -> tuple[Existence, tuple[OciPushError | None, ...]]:
    """Ask for each image whether it is there; return the answers, and why there is none of some."""
    images: list[Existing] = []
    errors: list[OciPushError | None] = []
    for one in names:
        there, failed = None, None
        try:
            there = digest_of(looker.context, looker.client(one.repository), one)
        except OciPushError as error:
            looker.context.check()
            failed = None if isinstance(error, NotFoundError) else error
        images.append(Existing(str(one), None if failed else there is not None, there, ErrorForm.or_none(failed)))
        errors.append(failed)
    return Existence(VERSION, tuple(images)), tuple(errors)


def tags(
    repository: str,
    *,
    globs: Sequence[str] = (),
    sort: Literal["name", "semver", "date"] = "name",
    reverse: bool = False,
    limit: int = 0,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> TagList:
    """List a repository's tags: those that match one of `globs`, at most `limit` of them (0: all).

    They are sorted by name, by version with the newest first (``semver``), or by the ``date`` of each image with the
    newest first, for which manifests and configs are read. Errors are raised as by `push`.
    """
    refuse_text("globs", globs)
    wanted, named = Wanted(tuple(globs), _limit(limit), _sort(sort), reverse), naming.repository(repository)
    return look(
        lambda looker: listing.list_tags(looker.context, looker.client(named), wanted),
        what="tags",
        options=options,
        on_event=on_event,
        cancel=cancel,
        timeout_s=timeout_s,
    )


def repos(
    registry: str,
    *,
    globs: Sequence[str] = (),
    reverse: bool = False,
    limit: int = 0,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> RepositoryList:
    """List a registry's repositories, where it offers that: many do not. `registry` is ``HOST[:PORT]``.

    `globs`, `reverse` and `limit` mean what they mean to `tags`. Errors are raised as by `push`.
    """
    refuse_text("globs", globs)
    wanted, some = Wanted(tuple(globs), _limit(limit), is_reversed=reverse), _some_repository(registry)

    def work(looker: Looker) -> RepositoryList:
        endpoint = looker.pusher.target(some, ()).endpoint
        session = looker.pusher.clients.session(endpoint)
        return listing.list_repositories(looker.context, session, endpoint.host, wanted)

    return look(work, what="repos", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def diff(
    left: str | os.PathLike[str],
    right: str | os.PathLike[str],
    *,
    platform: str = "",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Diff:
    """Compare two images: platforms, and of each platform layers, config, annotations and size; `same` tells it short.

    Both are sources as `push` takes them, of which manifests and configs are read. Errors are raised as by `push`.
    """
    one, other, wanted = source_of(left), source_of(right), platform_of(platform)
    return look(
        lambda looker: difference(looker, one, other, wanted),
        what="diff",
        options=options,
        on_event=on_event,
        cancel=cancel,
        timeout_s=timeout_s,
    )


def difference(looker: Looker, left: str, right: str, platform: Platform | None) -> Diff:
    """Compare two images; raises `ConfigError` where both are to be read from stdin."""
    if left == right == "-":
        raise ConfigError("both images cannot be read from stdin")

    def read(text: str) -> Inspection:
        with looker.image(text) as (image, _):
            return inspect_image(looker.context, image, None, platform)

    return compare(read(left), read(right))


def check(
    source: str | os.PathLike[str],
    *,
    platform: str = "",
    head: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Checkup:
    """Check every digest, size and diff_id of an image: what is returned is true where nothing is wrong with it.

    What is wrong is its `damage`, and no error. All of it is read, once; with `head` manifests alone are, and a
    registry is asked for each blob and its size. Raises errors as `push` does where there is nothing to check.
    """
    text, wanted = source_of(source), platform_of(platform)

    def work(looker: Looker) -> Checkup:
        with looker.image(text) as (image, client):
            return check_image(looker.context, image, client, platform=wanted, is_read=not head)

    return look(work, what="check", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def referrers(
    reference: str,
    *,
    types: Sequence[str] = (),
    platform: str = "",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> ReferrersTree:
    """Return what refers to an image, and to that, at any depth: SBOMs, attestations, signatures.

    `types` are globs of artifact types. The registry's own list is asked for, else the list that clients keep under a
    tag; and cosign's tags. Errors are raised as by `push`.
    """
    refuse_text("types", types)
    named, wanted = naming.reference(reference), platform_of(platform)
    return look(
        lambda looker: referring(looker, named, types, wanted),
        what="referrers",
        options=options,
        on_event=on_event,
        cancel=cancel,
        timeout_s=timeout_s,
    )


def referring(looker: Looker, named: Reference, types: Sequence[str], platform: Platform | None) -> ReferrersTree:
    """Ask what refers to an image of a registry, or to its image for a `platform`."""
    client = looker.client(named.repository)
    with looker.pusher.open(f"docker://{named}", looker.context) as image:
        root = top(looker.context, image, platform)
    return referrers_tree(looker.context, client, str(named), root, types)


def _limit(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit is a {type(limit).__name__}: give a number, 0 for all")
    if limit < 0:
        raise ValueError(f"limit is {limit}: give 0 for all")
    return limit


def _sort(sort: str) -> Sort:
    try:
        return Sort(sort)
    except ValueError:
        raise ValueError(f"sort is {sort!r}: give {', '.join(one.value for one in Sort)}") from None


def _some_repository(registry: str) -> Repository:
    """Return a repository of a registry; raises `ConfigError` for what names none, or more than one."""
    if not is_host(registry):
        raise ConfigError(f"{registry!r} is no registry", hint="write HOST[:PORT]")
    try:
        return Repository.parse(f"{registry}/oci-push-repos")
    except ValueError as problem:
        raise ConfigError(f"{registry!r}: {problem}", hint="write HOST[:PORT]") from problem
