"""What a library user calls to make an index of images, and to change one in a registry.

What a command does of it as well stands here as a function of a `Looker`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from msgspec import Struct

from oci_push.api import parse_destinations, this_environment
from oci_push.engine.editing import index_children, index_store
from oci_push.engine.editing.change import Sign
from oci_push.engine.editing.index_children import Given, Part
from oci_push.engine.editing.index_draft import Draft, Entry, images, parse_platform
from oci_push.engine.editing.index_store import IndexChange
from oci_push.engine.pusher import Options
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit
from oci_push.library import naming
from oci_push.library.calls import OnEvent, check_changes, check_texts, finished, refuse_text, source_of
from oci_push.library.looking import Looker, look
from oci_push.model.digest import Digest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository
from oci_push.registry.repository import RepositoryClient
from oci_push.sources.table import path_exists

Change: TypeAlias = Callable[[Draft], Draft]
"""What is made of an index; it may be asked several times, each time of what is there then."""


def index_create(
    destination: str,
    *references: str | os.PathLike[str],
    annotations: Mapping[str, str] | None = None,
    artifact_type: str = "",
    subject: str = "",
    docker: bool = False,
    platforms: Sequence[str] = (),
    nested: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> IndexChange:
    """Make an index of images and store it at `destination`, ``HOST[:PORT]/REPO[:TAG[,TAG…]]``.

    `references` are images and indexes, of a registry or any source; ``REF=OS/ARCH[/VARIANT]`` says what one runs on.
    Of an index its images are taken, with `platforms` only those, and with `nested` it is listed as it is. `subject` is
    a tag or digest of the same repository that the index refers to; `docker` makes a docker manifest list. What lies
    elsewhere is brought first, its blobs mounted where the registry can.

    Raises errors as `push` does: with `report` where some tags were set and others were not.
    """
    check_texts("annotations", annotations)
    (target,) = parse_destinations([destination], [])
    named = _children(references, platforms, nested=nested)
    asked = {"annotations": annotations, "artifact_type": artifact_type, "subject": subject}
    for name in (name for name, value in asked.items() if docker and value):
        raise ValueError(f"{name} has no effect with docker: a docker manifest list has none")
    about = naming.subject_of(subject, target.repository) if subject else None

    def work(looker: Looker) -> IndexChange:
        with working(looker, target.repository, named, lambda: looker.emit) as run:
            parts = run.take(platforms, nested=nested)
            draft = run.draft(
                parts, docker=docker, annotations=annotations or {}, artifact_type=artifact_type, about=about
            )
            brought = run.bring(parts, draft)
            return _finished(
                *index_store.store(looker.context, run.client, draft, target.tags, brought, sign=run.sign), looker
            )

    return look(work, what="index create", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def index_add(
    reference: str,
    *children: str | os.PathLike[str],
    tags: Sequence[str] = (),
    shared: bool = False,
    replace: bool = False,
    platforms: Sequence[str] = (),
    nested: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> IndexChange:
    """Add images to an index of a registry, which gets another digest.

    `children`, `platforms` and `nested` mean what they mean to `index_create`. The result goes to `tags`, else to the
    tag that was read. `shared` is for several who add to it at once: it is looked again whether all is kept, which
    takes a second. `replace` lets an image take the place of the one for its platform. Errors are raised as there.
    """
    refuse_text("tags", tags)
    named, given = naming.reference(reference), _children(children, platforms, nested=nested)
    goes_to = naming.tags_of(named, tags)

    def work(looker: Looker) -> IndexChange:
        with working(looker, named.repository, given, lambda: looker.emit) as run:
            was = index_store.read(looker.context, run.client, named)
            parts = run.take(platforms, nested=nested)
            added = adding(parts, replaces=replace)
            brought = run.bring(parts, added(was.draft), was.draft)
            return _finished(
                *index_store.alter(
                    looker.context,
                    run.client,
                    was,
                    goes_to,
                    added,
                    outcomes=brought,
                    random=this_environment().random,
                    is_shared=shared,
                    sign=run.sign,
                ),
                looker,
            )

    return look(work, what="index add", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def index_remove(
    reference: str,
    *which: str,
    tags: Sequence[str] = (),
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> IndexChange:
    """Take images out of an index of a registry, which gets another digest; their manifests stay.

    `which` are platforms or digests. What is attached to an image goes with it. The result goes to `tags`, else to the
    tag that was read. Errors are raised as by `index_create`.
    """
    refuse_text("which", which)
    if not which:
        raise ValueError("no image: give platforms or digests")
    named = naming.reference(reference)
    less = removing(named, which)
    return _altered("index remove", named, tags, less, options, on_event, cancel, timeout_s)


def index_annotate(
    reference: str,
    annotations: Mapping[str, str | None] | None = None,
    *,
    children: Sequence[str] = (),
    os_version: str = "",
    os_features: Sequence[str] = (),
    variant: str = "",
    tags: Sequence[str] = (),
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> IndexChange:
    """Change an index's annotations, or those of its `children`, by platform or digest, and what they say to run on.

    A value of ``None`` takes an annotation away, a single ``-`` a part of the platform. The images stay as they are.
    The result goes to `tags`, else to the tag that was read. Errors are raised as by `index_create`.
    """
    check_changes("annotations", annotations)
    refuse_text("children", children)
    refuse_text("os_features", os_features)
    platform = platform_changes(os_version, os_features, variant)
    if platform and not children:
        raise ValueError("os_version, os_features and variant are about children: name them")
    if not (annotations or platform):
        raise ValueError("no annotation: there is nothing to change")
    named = naming.reference(reference)
    changed = annotating(named, annotations or {}, children, platform)
    return _altered("index annotate", named, tags, changed, options, on_event, cancel, timeout_s)


class IndexWork(Struct, frozen=True):
    """What an index is made with, and signed with where that is said; the sources stay open while it is made."""

    looker: Looker
    client: RepositoryClient
    given: Sequence[Given]
    listener: Callable[[], Emit]
    sign: Sign | None

    def take(self, platforms: Sequence[str], *, nested: bool) -> list[Part]:
        """Return the children that were named."""
        if platforms and nested:
            raise ConfigError("--platform has no effect with --nested", hint="leave out one of them")
        wanted = [parse_platform(part) for text in platforms for part in text.split(",")]
        return index_children.take(self.looker.context, self.given, self.listener(), platforms=wanted, nested=nested)

    def draft(
        self,
        parts: Sequence[Part],
        *,
        docker: bool,
        annotations: Mapping[str, str | None],
        artifact_type: str,
        about: Reference | None,
    ) -> Draft:
        """Return a new index of these children; `about` is what it refers to."""
        subject = index_store.subject(self.looker.context, self.client, about) if about is not None else None
        return index_children.new(
            [one.entry for one in parts],
            docker=docker,
            annotations=annotations,
            artifact_type=artifact_type,
            subject=subject,
        )

    def bring(self, parts: Sequence[Part], after: Draft, before: Draft | None = None) -> Mapping[Digest, str]:
        """Bring what the index lists anew, and say of each child whether it was there or was sent."""
        listed = {one.digest for one in before.entries} if before is not None else frozenset()
        new = {one.digest for one in after.entries} - listed
        wanted = [one for one in parts if one.entry.digest in new]
        brought = index_children.bring(self.looker.context, self.looker.pusher, self.client, wanted, self.listener)
        return {**{one.entry.digest: index_store.THERE for one in parts}, **brought}


@contextmanager
def working(
    looker: Looker,
    repository: Repository,
    named: Sequence[tuple[str, Platform | None]],
    listener: Callable[[], Emit],
) -> Iterator[IndexWork]:
    """Open what an index of a repository is to list; each push of one tells its events to a `listener` of its own."""
    if [text for text, _ in named].count("-") > 1:
        raise ConfigError("stdin can be read once, and - is there twice")
    with ExitStack() as stack:
        client, sign = looker.client(repository, push=True), looker.signing(repository)
        given: list[Given] = []
        for text, platform in named:
            # What lies there already is not taken from anywhere, and is signed with the index.
            is_taken = naming.repository_of(text) != repository
            given.append(Given(stack.enter_context(looker.image(text, is_taken=is_taken))[0], platform))
        yield IndexWork(looker, client, given, listener, sign)


def child_of(text: str) -> tuple[str, Platform | None]:
    """Read ``REF`` or ``REF=OS/ARCH[/VARIANT]``; a file of just that name is a file."""
    if path_exists(text):
        return text, None
    source, equals, platform = text.rpartition("=")
    try:
        return (source, Platform.parse(platform)) if source and equals else (text, None)
    except ValueError:
        return text, None


def adding(parts: Sequence[Part], *, replaces: bool) -> Change:
    """Return what adds these children to an index."""
    return lambda draft: draft.add([one.entry for one in parts], replaces=replaces).checked()


def removing(named: Reference, which: Sequence[str]) -> Change:
    """Return what takes images out of an index; it raises `ConfigError` where none would be left."""

    def less(draft: Draft) -> Draft:
        after = draft.without([one for text in which for one in draft.find(text)])
        if not images(after.entries):
            raise ConfigError(
                f"{named}: the index would have no image left", hint=f"delete the whole: oci-push delete {named}"
            )
        return after

    return less


def platform_changes(os_version: str, os_features: Sequence[str], variant: str) -> dict[str, object]:
    """Return what changes of a platform; a single ``-`` takes a part of it away."""
    given: dict[str, object] = {"os.version": os_version, "os.features": list(os_features), "variant": variant}
    return {key: None if value in ("-", ["-"]) else value for key, value in given.items() if value}


def annotating(
    named: Reference,
    annotations: Mapping[str, str | None],
    children: Sequence[str],
    platform: Mapping[str, object],
) -> Change:
    """Return what annotates an index, or `children` of it, whose `platform` may change; raises `ConfigError`."""
    if platform and not children:
        raise ConfigError("--os-version, --os-features and --variant are about a --child", hint="name it")
    if not (annotations or platform):
        raise ConfigError("nothing is to be changed", hint="write KEY=VALUE, or KEY- to take it away")

    def changed_entry(entry: Entry) -> Entry:
        entry = entry.with_annotations(annotations) if annotations else entry
        return entry.with_platform(platform) if platform else entry

    def changed(draft: Draft) -> Draft:
        if draft.is_docker and annotations:
            raise ConfigError(
                f"{named}: is a docker manifest list, which has no annotations",
                hint=f"an OCI index has: oci-push index create {named.repository}:TAG {named}",
            )
        chosen = [one for text in children for one in draft.find(text)]
        after = draft if children else draft.with_annotations(annotations)
        return after.change(chosen, changed_entry)

    return changed


def _altered(
    what: str,
    named: Reference,
    tags: Sequence[str],
    changed: Change,
    options: Options | None,
    on_event: OnEvent | None,
    cancel: threading.Event | None,
    timeout_s: float | None,
) -> IndexChange:
    refuse_text("tags", tags)
    goes_to = naming.tags_of(named, tags)

    def work(looker: Looker) -> IndexChange:
        client, sign = looker.client(named.repository, push=True), looker.signing(named.repository)
        was = index_store.read(looker.context, client, named)
        random = this_environment().random
        done = index_store.alter(looker.context, client, was, goes_to, changed, random=random, sign=sign)
        return _finished(*done, looker)

    return look(work, what=what, options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def _children(
    references: Sequence[str | os.PathLike[str]], platforms: Sequence[str], *, nested: bool
) -> list[tuple[str, Platform | None]]:
    refuse_text("platforms", platforms)
    if not references:
        raise ValueError("no image: give one or several")
    if platforms and nested:
        raise ValueError("platforms have no effect on an index that is nested as it is; give one of them")
    return [child_of(one) if isinstance(one, str) else (source_of(one), None) for one in references]


def _finished(done: IndexChange, failed: Mapping[str, OciPushError], looker: Looker) -> IndexChange:
    return finished(done, [failed.get(one.tag) for one in done.tags], "tags", looker.context)
