"""Attaching files to what was pushed: each becomes an artifact about it, which goes out like any other image.

In a push it is done between the root and its tags: what finds the image by a tag finds what is said of it, too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec.structs import replace

from oci_push.engine.artifacts.attachment import AttachedResult, Attachment
from oci_push.engine.graph import walk
from oci_push.engine.plan import PushPlan, plan_repositories
from oci_push.engine.repository_push import RepositoryPush, Step
from oci_push.engine.transfer import BlobResult, SentAhead
from oci_push.errors import OciPushError
from oci_push.events import LogMessage, ignore
from oci_push.model.digest import Digest
from oci_push.model.outcomes import ManifestOutcome
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.context import Context
from oci_push.sources.artifact_files import Annotations, FileSpec, content_of, read_layer
from oci_push.sources.files import SpoolSpace
from oci_push.sources.made import Content, MadeImage
from oci_push.sources.settings import Limits


def read_attachments(
    context: Context, attachments: Sequence[Attachment], spool: SpoolSpace, limits: Limits, option: str = ""
) -> tuple[Content, ...]:
    """Read the files to be attached; raises `SourceError` and `ConfigError` before anything is sent.

    `option` is the command's that says what an artifact is, if it has one. The title is the file's name alone, so that
    the same file makes the same artifact from any folder.
    """
    found = []
    for one in attachments:
        title = os.path.basename(os.path.abspath(one.path))
        layer = read_layer(context, FileSpec(one.path, one.media_type), title, spool, limits, one.file_annotations)
        said = Annotations(one.annotations, one.config_annotations)
        found.append(content_of([layer], one.artifact_type, said, one.created, option=option))
    return tuple(found)


def step_of(attached: Sequence[MadeImage], clients: RegistryClients, checks: Sequence[Step]) -> Step:
    """Return the step of a push that attaches these artifacts, and does `checks` on each."""

    def attach_all(push: RepositoryPush, context: Context) -> None:
        known = dict(push.blobs)
        for made in attached:
            done = attach_made(push, context, made, clients, checks, known)
            push.attached.append(done)
            if done.error is not None:
                raise done.error

    return attach_all


def attach_made(
    push: RepositoryPush,
    context: Context,
    made: MadeImage,
    clients: RegistryClients,
    checks: Sequence[Step],
    known: dict[Digest, BlobResult],
) -> AttachedResult:
    """Attach one artifact; `known` is what became of blobs before, and of its own afterwards."""
    graph = walk(context, made, emit=ignore)
    target = replace(push.work.target, tags=(), signers=(), recursive=())
    work = plan_repositories(graph.blobs, [target], origin=None, remembered={})[0]
    there = {one.digest: known[one.digest] for one in graph.blobs if one.digest in known}
    # As one sent ahead it is told of as a part of this push, and not as another one to the same repository.
    one = RepositoryPush(PushPlan(graph, (work,)), work, made, clients, push.emit, SentAhead(dict(there)))
    one.attempt(context, RepositoryPush.send_content, RepositoryPush.put_root, *checks)
    known.update(one.blobs)
    push.repaired += one.repaired
    result = AttachedResult(
        made.name,
        graph.root.artifact_type,
        graph.root.digest,
        graph.root.size,
        bytes_sent=sum(blob.bytes_sent for digest, blob in one.blobs.items() if digest not in there),
    )
    if one.error is not None:
        return replace(result, error=_about(one.error, made))
    outcome = ManifestOutcome.EXISTS if one.was_there else ManifestOutcome.PUSHED
    is_new = "attached" if outcome is ManifestOutcome.PUSHED else "was attached before"
    repository = push.work.target.repository
    subject = graph.root.subject
    of = f" of {subject.digest}" if subject is not None and subject.digest != push.root.digest else ""
    push.emit(LogMessage(f"{repository}: {made.name}{of} {is_new} as {graph.root.digest} ({result.artifact_type})"))
    return replace(result, outcome=outcome)


def _about(error: OciPushError, made: MadeImage) -> OciPushError:
    return error.with_more(f"; {made.name} is not attached")
