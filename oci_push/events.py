"""What happens during a push, as data. The core emits these; only the command line turns them into text.

Events never hold secrets, as `discreet` stands before whoever listens, and URLs in them have no query.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from oci_push.model.digest import Digest
from oci_push.model.outcomes import (
    BlobKind,
    BlobOutcome,
    CopyOutcome,
    ManifestOutcome,
    ReplicaOutcome,
    Status,
    TagOutcome,
)
from oci_push.model.reference import Repository
from oci_push.secret import masked


def _tag(name: str) -> str:
    """Return what an event is called in JSON: ``blob_done``."""
    return re.sub("(?<=.)(?=[A-Z])", "_", name).lower()


class _Event(Struct, frozen=True, tag=_tag):
    """Base of all; `type` says in JSON which one it is."""


class LogMessage(_Event, frozen=True):
    """Something that a person should read: `level` is ``info``, ``warning`` or, from the command line, ``error``."""

    text: str
    level: str = "info"


class SourceOpened(_Event, frozen=True):
    """An image's structure is known: what it is, how many distinct blobs it has and their bytes.

    What is to be attached to it counts as well.
    """

    source: str
    root: Digest
    manifests: int
    blobs: int
    size_bytes: int


class LayerReading(_Event, frozen=True):
    """A layer of an archive is being read before anything is sent: `read_bytes` of `size_bytes` that are stored.

    It is compressed on the way, or only checked and hashed. It comes a few times a second from a layer that takes long.
    """

    diff_id: Digest
    read_bytes: int
    size_bytes: int
    is_compressed: bool


class LayerCompressed(_Event, frozen=True):
    """A layer has been compressed, or was known from an earlier run; `is_plain` if it has only been decompressed."""

    diff_id: Digest
    digest: Digest
    size_bytes: int
    from_memory: bool
    is_plain: bool = False


class ImageChanged(_Event, frozen=True):
    """An image goes out changed, under another digest: `done` says how, in words."""

    source: str
    before: Digest
    after: Digest
    done: tuple[str, ...]


class TargetStarted(_Event, frozen=True):
    """Work on one target repository begins."""

    repository: Repository
    tags: tuple[str, ...]


class BlobStarted(_Event, frozen=True):
    """Work on a blob begins, which may come to sending it."""

    repository: Repository
    digest: Digest
    size_bytes: int
    kind: BlobKind


class BlobProgress(_Event, frozen=True):
    """Bytes of a blob have gone out; `sent_bytes` counts from the blob's start, and goes back when some are lost.

    It comes a few times a second from each blob that is being sent.
    """

    repository: Repository
    digest: Digest
    sent_bytes: int
    size_bytes: int


class UploadResumed(_Event, frozen=True):
    """An upload that an earlier run left open goes on: `offset_bytes` of the blob are there already."""

    repository: Repository
    digest: Digest
    offset_bytes: int
    size_bytes: int


class BlobDone(_Event, frozen=True):
    """A blob is in the repository."""

    repository: Repository
    digest: Digest
    size_bytes: int
    outcome: BlobOutcome
    mounted_from: str = ""
    kind: BlobKind = BlobKind.LAYER


class ManifestDone(_Event, frozen=True):
    """A manifest is in the repository."""

    repository: Repository
    digest: Digest
    outcome: ManifestOutcome


class TagDone(_Event, frozen=True):
    """A tag points at the image; `outcome` is ``pushed`` or ``unchanged``."""

    repository: Repository
    tag: str
    digest: Digest
    size_bytes: int
    outcome: TagOutcome


class TargetFinished(_Event, frozen=True):
    """Work on one target repository has ended; `error` is empty on success."""

    repository: Repository
    digest: Digest
    error: str = ""


class ReplicaDone(_Event, frozen=True):
    """A copy in another region is there and checked, or is not."""

    repository: Repository
    digest: Digest
    outcome: ReplicaOutcome
    error: str = ""


class CopyStarted(_Event, frozen=True):
    """Several images are being copied: `tags` are all that is wanted at the targets."""

    tags: int


class TagCopied(_Event, frozen=True):
    """What became of one of many tags; `tag` is empty for an image that goes by its digest, `error` on success."""

    source: str
    repository: Repository
    tag: str
    digest: Digest | None
    outcome: CopyOutcome
    error: str = ""


class SaveStarted(_Event, frozen=True):
    """An image is about to be saved: `place` is a layout or archive as in ``oci:DIR``, `name` its name there."""

    place: str
    name: str


class SaveProgress(_Event, frozen=True):
    """Bytes of a blob have come: `read_bytes` counts from the blob's start. It comes a few times a second from each."""

    place: str
    digest: Digest
    read_bytes: int
    size_bytes: int
    kind: BlobKind


class BlobSaved(_Event, frozen=True):
    """A blob is in the layout or archive; `was_there` says that nothing of it had to be read."""

    place: str
    digest: Digest
    size_bytes: int
    was_there: bool
    kind: BlobKind = BlobKind.LAYER


class SaveFinished(_Event, frozen=True):
    """Work on one image that is saved has ended; `error` is empty on success.

    `is_unchanged` says that its tag still names what is there, so that nothing of it was read.
    """

    place: str
    name: str
    digest: Digest | None
    error: str = ""
    is_unchanged: bool = False


class RetryScheduled(_Event, frozen=True):
    """Something failed in a way that may pass and is tried again after `wait_s` seconds.

    `what` begins with the repository it belongs to, if to one, and goes on as a reference or after a colon.
    """

    what: str
    why: str
    attempt: int
    wait_s: float


class StepStarted(_Event, frozen=True):
    """A pipeline step begins (or begins again: `attempt` counts from 1)."""

    name: str
    title: str
    stage: str
    attempt: int = 1
    max_attempts: int = 1
    timeout_s: float | None = None


class StepFinished(_Event, frozen=True):
    """A pipeline step has ended with `result`."""

    name: str
    title: str
    result: Status
    reason: str = ""
    seconds: float = 0.0
    step_type: str = "push"


class Within(_Event, frozen=True):
    """Something happened inside a pipeline step, which may run beside others."""

    step: str
    event: Event


Event: TypeAlias = (
    Within
    | LogMessage
    | SourceOpened
    | LayerReading
    | LayerCompressed
    | ImageChanged
    | TargetStarted
    | BlobStarted
    | BlobProgress
    | UploadResumed
    | BlobDone
    | ManifestDone
    | TagDone
    | TargetFinished
    | ReplicaDone
    | CopyStarted
    | TagCopied
    | SaveStarted
    | SaveProgress
    | BlobSaved
    | SaveFinished
    | RetryScheduled
    | StepStarted
    | StepFinished
)
Emit: TypeAlias = Callable[[Event], None]


E = TypeVar("E", bound=Event)


class _Discreet:
    """A listener to events without secrets; `inner` gets them."""

    def __init__(self, inner: Emit) -> None:
        self.inner = inner

    def __call__(self, event: Event) -> None:
        self.inner(_masked(event))


def discreet(emit: Emit) -> Emit:
    """Return a listener that passes events on without the secrets that titles, answers and commands repeat."""
    return emit if isinstance(emit, _Discreet) else _Discreet(emit)


def _masked(event: E) -> E:
    if isinstance(event, Within):
        return replace(event, step=masked(event.step), event=_masked(event.event))
    if isinstance(event, BlobProgress | LayerReading | SaveProgress):  # those that come often, and hold no text
        return event
    texts = {name: value for name in event.__struct_fields__ if isinstance(value := getattr(event, name), str)}
    changed = {name: shown for name, value in texts.items() if (shown := masked(value)) != value}
    return replace(event, **changed) if changed else event


def ignore(event: Event) -> None:
    """Drop an event; the default where nobody listens."""


def quieter(emit: Emit) -> Emit:
    """Return a listener that is told what a person must know, and nothing of what goes well."""

    def tell(event: Event) -> None:
        if isinstance(event, LogMessage | RetryScheduled):
            emit(event)

    return tell
