"""Artifacts pushed by themselves: about an image that is there, or under tags of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from oci_push.engine.artifacts.attachment import AttachedForm, AttachedResult
from oci_push.engine.plan import PushTarget
from oci_push.engine.push import PushResult
from oci_push.engine.pusher import Pusher
from oci_push.events import ignore
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model.artifact import TITLE
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.outcomes import ManifestOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context
from oci_push.sources.made import Content, MadeImage

ANNOTATIONS_TYPE = "application/vnd.oci-push.annotations.v1"
"""The artifact type of notes of a pipeline that are attached to an image."""


class Attaching(Struct, frozen=True):
    """What ``attach --json`` prints; `subject` is what the files are attached to."""

    version: Version
    repository: Repository
    subject: Digest
    attached: tuple[AttachedForm, ...]


class ArtifactFile(Struct, frozen=True):
    """One file of an artifact."""

    title: str
    media_type: str
    digest: Digest
    size: int


class ArtifactPush(Struct, frozen=True):
    """What ``artifact push --json`` prints; `signed` is there where oci-push.yaml has such artifacts signed."""

    version: Version
    repository: Repository
    digest: Digest
    artifact_type: str
    subject: Digest | None
    tags: tuple[str, ...]
    files: tuple[ArtifactFile, ...]
    outcome: ManifestOutcome | None
    bytes_sent: int
    error: ErrorForm | None
    signed: tuple[AttachedForm, ...] | UnsetType = UNSET

    @classmethod
    def of(cls, made: MadeImage, result: PushResult) -> ArtifactPush:
        """Return what became of an artifact in one repository."""
        top = made.top
        return cls(
            VERSION,
            result.repository,
            result.root,
            top.artifact_type,
            top.subject.digest if top.subject else None,
            tuple(one.tag for one in result.tags if one.outcome.is_there),
            tuple(
                ArtifactFile(one.annotations[TITLE], one.media_type, one.digest, one.size)
                for one in top.layers
                if TITLE in one.annotations
            ),
            _outcome(result),
            sum(blob.bytes_sent for blob in result.blobs),
            ErrorForm.or_none(result.error),
            tuple(AttachedForm.of(one) for one in result.attached) or UNSET,
        )


def push_made(pusher: Pusher, made: MadeImage, target: PushTarget, context: Context) -> PushResult:
    """Push what was made here to one repository; what goes wrong is in the result."""
    _, results = pusher.push(made, (target,), context)
    return results[0]


def attach_all(
    pusher: Pusher, contents: Sequence[Content], subject: Descriptor, target: PushTarget, context: Context
) -> tuple[AttachedResult, ...]:
    """Attach artifacts, one after the other, to what is in a repository; one that fails does not keep others back."""
    found = []
    for content in contents:
        context.check()
        made = content.about(subject)
        result = push_made(pusher, made, replace(target, tags=()), context)
        found.append(
            AttachedResult(
                content.name,
                content.artifact_type,
                made.top.digest,
                made.top.size,
                _outcome(result),
                sum(blob.bytes_sent for blob in result.blobs),
                result.error,
            )
        )
    return tuple(found)


def attach_notes(
    pusher: Pusher, pushed: PushResult, target: PushTarget, annotations: Mapping[str, str], context: Context
) -> PushResult:
    """Attach annotations to a pushed image, as an artifact without content; raises what goes wrong."""
    subject = Descriptor(pushed.media_type, pushed.root, pushed.root_size)
    made = Content(f"annotations of {pushed.root}", ANNOTATIONS_TYPE, annotations=annotations).about(subject)
    result = push_made(pusher.speaking(ignore), made, replace(target, tags=()), context)
    if result.error is not None:
        raise result.error
    return result


def _outcome(result: PushResult) -> ManifestOutcome | None:
    if result.error is not None:
        return None
    return ManifestOutcome.EXISTS if result.was_there else ManifestOutcome.PUSHED
