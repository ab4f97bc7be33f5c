"""What a library user calls for files in a registry: `attach`, `artifact_push` and `artifact_pull`.

What a command does of it as well stands here as a function of a `Looker`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from oci_push.api import parse_destinations
from oci_push.engine.artifacts.attach import read_attachments
from oci_push.engine.artifacts.attachment import AttachedForm, AttachedResult, Attachment
from oci_push.engine.artifacts.fetch import Fetching, Wish, fetch
from oci_push.engine.artifacts.push import ArtifactPush, Attaching, attach_all, push_made
from oci_push.engine.looking.tree import top
from oci_push.engine.push import PushResult
from oci_push.engine.pusher import Options
from oci_push.engine.unit import with_signers
from oci_push.errors import ConfigError
from oci_push.forms import VERSION
from oci_push.library import naming
from oci_push.library.calls import OnEvent, check_texts, finished, path_of, platform_of, refuse_text, source_of
from oci_push.library.looking import Looker, look
from oci_push.model.artifact import is_media_type
from oci_push.model.platform import Platform
from oci_push.model.reference import Destination, Reference, shown
from oci_push.sources.artifact_files import Annotations, FileSpec, content_of, read_layer, title_of


def attach(
    reference: str,
    *files: str | os.PathLike[str] | Attachment,
    artifact_type: str = "",
    annotations: Mapping[str, str] | None = None,
    platform: str = "",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Attaching:
    """Attach files to an image of a registry: SBOMs, attestations, signatures, or anything with an `artifact_type`.

    Each becomes an artifact of its own that refers to the image, which stays as it is; what is attached already is not
    sent again. A file is a path, ``FILE:TYPE`` with its media type, or an `Attachment` that says all of it itself.
    `platform` is the only image of an index that they are about.

    Raises errors as `push` does: with `report` where some were attached and others were not.
    """
    named, wanted = naming.reference(reference), platform_of(platform)
    check_texts("annotations", annotations)
    kind = _kind(artifact_type)
    asked = [_attachment(one, kind, annotations or {}) for one in files]
    if not asked:
        raise ValueError("no file: give one or several")

    def work(looker: Looker) -> Attaching:
        done, results = attach_files(looker, named, wanted, asked)
        return finished(done, [one.error for one in results], "files", looker.context)

    return look(work, what="attach", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


def attach_files(
    looker: Looker, named: Reference, platform: Platform | None, asked: Sequence[Attachment], option: str = ""
) -> tuple[Attaching, tuple[AttachedResult, ...]]:
    """Attach files to an image that is there; what goes wrong with one is in its result.

    `option` is the command's that says what an artifact is, for hints.
    """
    context = looker.context
    with looker.spool() as spool:
        contents = read_attachments(context, asked, spool, looker.pusher.reading.limits, option)
        target = looker.pusher.target(named.repository, ())
        looker.client(named.repository, push=True)
        with looker.pusher.open(f"docker://{named}", context) as image:
            subject = top(context, image, platform)
        results = attach_all(looker.pusher, contents, subject, target, context)
    forms = tuple(AttachedForm.of(one) for one in results)
    return Attaching(VERSION, target.repository, subject.digest, forms), results


def artifact_push(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    destination: str,
    *,
    artifact_type: str = "",
    subject: str = "",
    platform: str = "",
    annotations: Mapping[str, str] | None = None,
    file_annotations: Mapping[str, Mapping[str, str]] | None = None,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> ArtifactPush:
    """Push files and folders as one artifact, each under the name that it is given by.

    A text may be ``FILE:TYPE`` with the file's media type; a folder becomes a compressed tar. `destination` is
    ``HOST[:PORT]/REPO[:TAG[,TAG…]]``. With `subject`, a reference, tag or digest there, the artifact refers to that and
    needs no tag; `platform` is the only image of it that is meant. `file_annotations` are by the names of files.
    Errors are raised as by `push`, with `report` where the artifact was made.
    """
    check_texts("annotations", annotations)
    for name, said_of_file in (file_annotations or {}).items():
        check_texts(f"file_annotations of {name}", said_of_file)
    names = [files] if isinstance(files, str | os.PathLike) else list(files)
    if not names:
        raise ValueError("no file: give one or several")
    if platform and not subject:
        raise ValueError("platform has no effect without a subject")
    said = Annotations(annotations or {}, files=file_annotations or {})
    asked = ArtifactWish.of([_spec(one) for one in names], destination, subject, platform_of(platform))
    said.check(one.path for one in asked.files)
    kind = _kind(artifact_type)

    def work(looker: Looker) -> ArtifactPush:
        done, result = push_files(looker, asked, kind, said)
        return finished(done, [result.error], "artifacts", looker.context)

    return look(work, what="artifact push", options=options, on_event=on_event, cancel=cancel, timeout_s=timeout_s)


class ArtifactWish(Struct, frozen=True):
    """What is pushed as one artifact, where to, and what it is `about`, of that the image for `platform`."""

    files: Sequence[FileSpec]
    destination: Destination
    about: Reference | None
    platform: Platform | None

    @classmethod
    def of(cls, files: Sequence[FileSpec], destination: str, subject: str, platform: Platform | None) -> ArtifactWish:
        """Read a destination and a subject; raises `ConfigError`."""
        goes_to = _destination(destination, needs_tag=not subject)
        if platform is not None and not subject:
            raise ConfigError("--platform has no effect without --subject", hint="leave it out")
        return cls(files, goes_to, naming.subject_of(subject, goes_to.repository) if subject else None, platform)


def push_files(
    looker: Looker, asked: ArtifactWish, kind: str, said: Annotations, created: str = "", option: str = ""
) -> tuple[ArtifactPush, PushResult]:
    """Push one artifact; what goes wrong is in the result. `created` is when it was made, by RFC 3339."""
    context = looker.context
    with looker.spool() as spool:
        limits = looker.pusher.reading.limits
        layers = [
            read_layer(context, one, title_of(one.path), spool, limits, said.files.get(one.path)) for one in asked.files
        ]
        content = content_of(layers, kind, said, created, ", ".join(one.path for one in asked.files), option)
        target = looker.pusher.target(asked.destination.repository, asked.destination.tags)
        if asked.about is None:  # what says something of an image is no image, and may be a signature itself
            target = with_signers(looker.pusher, target, target.endpoint.sign)
        looker.client(asked.destination.repository, push=True)
        subject = None
        if asked.about is not None:
            with looker.pusher.open(f"docker://{asked.about}", context) as image:
                subject = top(context, image, asked.platform)
        made = content.about(subject)
        result = push_made(looker.pusher, made, target, context)
    return ArtifactPush.of(made, result), result


def artifact_pull(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    types: Sequence[str] = (),
    platform: str = "",
    overwrite: bool = False,
    unpack: bool = True,
    options: Options | None = None,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float | None = None,
) -> Fetching:
    """Write the files of an artifact to a folder, under the names that it gives them, and return where each is.

    `types` are globs of media types. Every byte is checked before the first file is put in its place; what leads out of
    the folder is refused, and nothing is replaced without `overwrite`. Without `unpack` a folder stays its archive.
    Errors are raised as by `push`.
    """
    refuse_text("types", types)
    text, place, wanted = source_of(source), Path(path_of(folder, "folder")), platform_of(platform)
    wish = Wish(types, unpack, overwrite)
    return look(
        lambda looker: pull_files(looker, text, place, wish, wanted),
        what="artifact pull",
        options=options,
        on_event=on_event,
        cancel=cancel,
        timeout_s=timeout_s,
    )


def pull_files(looker: Looker, source: str, folder: Path, wish: Wish, platform: Platform | None) -> Fetching:
    """Write the files of an artifact that a SOURCE names."""
    with looker.image(source, is_taken=True) as (image, _), looker.spool() as spool:
        root = top(looker.context, image, platform)
        return fetch(looker.context, image, root, folder, wish, spool, looker.pusher.reading.limits)


def _destination(text: str, *, needs_tag: bool) -> Destination:
    bare = text.removeprefix("docker://")
    if needs_tag:
        return parse_destinations([bare], ())[0]
    try:
        return Destination.parse(bare)
    except ValueError as problem:
        raise ConfigError(f"destination {shown(text)!r}: {problem}", hint="write HOST[:PORT]/REPO[:TAG]") from problem


def _kind(artifact_type: str) -> str:
    if artifact_type and not is_media_type(artifact_type):
        raise ValueError(f"{artifact_type!r} is no media type, such as application/spdx+json")
    return artifact_type


def _spec(file: str | os.PathLike[str]) -> FileSpec:
    """Read ``FILE[:TYPE]``; a path is a path, whatever it looks like."""
    text = path_of(file, "a file")
    return FileSpec.parse(text) if isinstance(file, str) else FileSpec(text)


def _attachment(file: str | os.PathLike[str] | Attachment, kind: str, annotations: Mapping[str, str]) -> Attachment:
    if isinstance(file, Attachment):
        if kind or annotations:
            raise ValueError("an Attachment says its own artifact_type and annotations: leave out the arguments")
        return file
    spec = _spec(file)
    return Attachment(spec.path, spec.media_type, kind, annotations)
