"""What a library user calls to change what is in a registry: `tag`, `delete`, `annotate` and `mutate`.

What a command does of it as well stands here as a function of a `Looker`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

from msgspec import Struct

from oci_push.api import parse_destinations
from oci_push.engine.editing import change
from oci_push.engine.editing import image as editing
from oci_push.engine.editing.change import Deleted, Deletion, Doomed, Pattern, Tagging
from oci_push.engine.editing.image import ImageEdit
from oci_push.engine.pusher import Options
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit
from oci_push.forms import VERSION, ErrorForm
from oci_push.library import naming
from oci_push.library.calls import OnEvent, check_changes, check_type, finished, platform_of, refuse_text, source_of
from oci_push.library.looking import Looker, look
from oci_push.model.changes import Changes, ConfigChanges
from oci_push.model.platform import Platform
from oci_push.model.reference import DOCKER_HUB, Destination, Reference, Repository, check_tag, is_host, shown


def tag(
    reference: str,
    *new: str,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Tagging:
    """Give more tags to an image of a registry; nothing is read but its manifest, which keeps every byte.

    Raises errors as `push` does: with `report` where some tags were set and others were not.
    """
    refuse_text("tags", new)
    named = naming.reference(reference)
    wanted = [tag_in(text, named.repository) for text in new]
    if not wanted:
        raise ValueError("no tag: give one or several")

    def work(looker: Looker) -> Tagging:
        client = looker.client(named.repository, push=True)
        found, failed = change.tag(looker.context, client, named.target, wanted)
        return finished(found, [failed.get(one.tag) for one in found.tags], "tags", looker.context)

    return look(work, what="tag", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def tag_in(text: str, repository: Repository) -> str:
    """Read a tag, which may stand after its repository; raises `ConfigError`."""
    found = text.removeprefix(f"{repository}:").removeprefix(":")
    if "/" in found:
        raise ConfigError(
            f"{text!r} lies in another repository than {repository}",
            hint=f"oci-push copy {repository}:… DESTINATION copies an image",
        )
    try:
        return check_tag(found)
    except ValueError as problem:
        raise ConfigError(str(problem), hint="write the tag alone, such as 1.2") from problem


def delete(
    *references: str,
    by_digest: bool = False,
    dry_run: bool = False,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Deletion:
    """Delete tags (``HOST/REPO:TAG``), those that match a glob, or manifests (``HOST/REPO@DIGEST``); nobody is asked.

    All of it is looked up first, and nothing is deleted where a part of it is not there. A manifest takes every tag
    that names it along. `by_digest` deletes the manifests that the tags name, for registries that cannot delete a tag;
    it is refused where one has a tag that is not named here. `dry_run` only returns what would go.

    Raises errors as `push` does: with `report` where some of it was deleted, also after a stop.
    """
    refuse_text("references", references)
    patterns = [pattern_of(text) for text in references]
    if not patterns:
        raise ValueError("no reference: give one or several")

    def work(looker: Looker) -> Deletion:
        doomed = find_doomed(looker, patterns, by_digest=by_digest)
        errors: list[OciPushError | None] = []
        try:
            for one in doomed:
                errors.append(None if dry_run else _deleted(looker, one))
                looker.context.check()
        except OciPushError as stop:
            raise stop.with_report(deletion(doomed, errors, is_tried=dry_run)) from stop
        return finished(deletion(doomed, errors, is_tried=dry_run), errors, "deletions", looker.context)

    return look(work, what="delete", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def pattern_of(text: str) -> Pattern:
    """Read what is to be deleted; raises `ConfigError`."""
    bare = text.removeprefix("docker://")
    hint = f"write HOST[:PORT]/REPO:TAG or HOST[:PORT]/REPO@DIGEST, for Docker Hub {DOCKER_HUB}/REPO"
    if not is_host(bare.partition("/")[0]) or "/" not in bare:
        raise ConfigError(f"{shown(text)!r} names no repository of a registry", hint=hint)
    try:
        return Pattern.parse(bare)
    except ValueError as problem:
        raise ConfigError(f"{shown(text)!r}: {problem}", hint=hint) from problem


def find_doomed(looker: Looker, patterns: Sequence[Pattern], *, by_digest: bool) -> list[Doomed]:
    """Look up what patterns mean, one repository after the other; raises `NotFoundError`, `ConfigError`."""
    doomed: list[Doomed] = []
    for repository in dict.fromkeys(one.repository for one in patterns):
        mine = [one for one in patterns if one.repository == repository]
        doomed += change.find(looker.context, looker.client(repository), mine, by_digest=by_digest)
    return doomed


def deletion(doomed: Sequence[Doomed], errors: Sequence[OciPushError | None], *, is_tried: bool) -> Deletion:
    """Return what became of what was come to; `errors` has one for each, ``None`` for what is gone."""
    return Deletion(
        VERSION,
        tuple(
            Deleted(
                one.repository,
                one.tag or None,
                one.digest,
                one.others,
                "would delete" if is_tried else "failed" if error else "deleted",
                ErrorForm.or_none(error),
            )
            for one, error in zip(doomed, errors, strict=False)
        ),
    )


def _deleted(looker: Looker, one: Doomed) -> OciPushError | None:
    try:
        change.delete(looker.context, looker.client(one.repository), one)
    except OciPushError as error:
        return error
    return None


def annotate(
    reference: str,
    annotations: Mapping[str, str | None],
    *,
    images: bool = False,
    platform: str = "",
    tags: Sequence[str] = (),
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> ImageEdit:
    """Change the annotations of an image's manifest, or of an index; it gets another digest, its layers stay.

    A value of ``None`` takes an annotation away. Of an index, `images` are annotated as well, or the one for `platform`
    alone. The result goes to `tags`, else to the tag that was read. Errors are raised as by `push`.
    """
    refuse_text("tags", tags)
    check_changes("annotations", annotations)
    named, only, wanted = naming.reference(reference), platform_of(platform), dict(annotations)
    if not wanted:
        raise ValueError("no annotation: there is nothing to change")
    if images and only is not None:
        raise ValueError("images are all of them, platform is one; give one of them")
    goes_to = naming.tags_of(named, tags)

    def work(looker: Looker) -> ImageEdit:
        done, failed = annotated(looker, named, wanted, goes_to, looker.emit, images=images, platform=only)
        return _finished(done, failed, looker)

    return look(work, what="annotate", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def annotated(
    looker: Looker,
    named: Reference,
    annotations: dict[str, str | None],
    tags: Sequence[str],
    emit: Emit,
    *,
    images: bool,
    platform: Platform | None,
) -> tuple[ImageEdit, dict[str, OciPushError]]:
    """Change annotations of an image where it is; return what came of it, and errors by tag."""
    context = looker.context
    with looker.pusher.open(f"docker://{named}", context) as source:
        client, sign = looker.client(named.repository, push=True), looker.signing(named.repository)
        asked = editing.annotations_of(context, source, annotations, images=images, platform=platform)
        return editing.edit(context, client, source, asked, named, tags, emit, sign)


def mutate(
    source: str | os.PathLike[str],
    changes: ConfigChanges,
    destination: str = "",
    *,
    tags: Sequence[str] = (),
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> ImageEdit:
    """Change what the config of an image says, or of every image of an index, and return the new digest with the old.

    No layer is read, and none is sent where it is there already. The result goes to `destination`
    (``HOST/REPO[:TAG[,TAG…]]``), else to `tags` of the image's own repository, else to the tag that was read.
    Errors are raised as by `push`.
    """
    check_type("changes", changes, ConfigChanges)
    refuse_text("tags", tags)
    if changes == ConfigChanges(platform=changes.platform):
        raise ValueError("changes say nothing: there is nothing to change")
    if destination and tags:
        raise ValueError("tags have no effect with a destination, which has its own; give one of them")
    place = EditPlace.of(source_of(source), destination, tags)

    def work(looker: Looker) -> ImageEdit:
        done, failed = place.edit(looker, Changes(config=changes), looker.emit)
        return _finished(done, failed, looker)

    return look(work, what="mutate", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


class EditPlace(Struct, frozen=True):
    """Where what is made of an image goes; `is_own` says that it is the image's own repository."""

    source: str
    goes_to: Destination
    is_own: bool

    @classmethod
    def of(cls, source: str, destination: str, tags: Sequence[str], option: str = "") -> EditPlace:
        """Read a SOURCE, and a DEST that may be empty; raises `ConfigError`."""
        if destination and tags:
            raise ConfigError("--tag has no effect with DEST, which has tags of its own", hint="leave out one of them")
        targets = parse_destinations([destination], []) if destination else ()
        repository = naming.repository_of(source)
        if targets:
            return cls(source, targets[0], targets[0].repository == repository)
        if repository is None:
            raise ConfigError(f"{source}: is in no registry, so where the result goes must be said", hint="give DEST")
        named = naming.reference(source)
        return cls(source, Destination(named.repository, naming.tags_of(named, tags, option)), is_own=True)

    def edit(self, looker: Looker, changes: Changes, emit: Emit) -> tuple[ImageEdit, dict[str, OciPushError]]:
        """Change the image; return what came of it, and errors by tag."""
        context = looker.context
        if not self.is_own:
            return editing.edit_elsewhere(context, looker.pusher, self.source, changes, self.goes_to, emit)
        named = naming.reference(self.source)
        with looker.pusher.open(f"docker://{named}", context) as opened:
            client, sign = looker.client(named.repository, push=True), looker.signing(named.repository)
            return editing.edit(context, client, opened, changes, named, self.goes_to.tags, emit, sign)


def _finished(done: ImageEdit, failed: Mapping[str, OciPushError], looker: Looker) -> ImageEdit:
    return finished(done, [failed.get(one.tag) for one in done.tags], "tags", looker.context)
