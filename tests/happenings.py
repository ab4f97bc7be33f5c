"""Events of pushes that never were, for whoever shows them."""

from __future__ import annotations

from collections.abc import Iterator

from oci_push import events
from oci_push.events import Event
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobKind, BlobOutcome, CopyOutcome, ManifestOutcome, TagOutcome
from oci_push.model.reference import Repository

APP = Repository("registry.example.com", "team/app")
MIRROR = Repository("mirror.example.com", "team/app")
ROOT = Digest.of(b"root")
MB = 1_000_000


def blob(number: int) -> Digest:
    """Return the digest of a blob."""
    return Digest.of(b"%d" % number)


def begun(blobs: int, size: int, *targets: Repository, tags: tuple[str, ...] = ("1",)) -> Iterator[Event]:
    """An image is open, and its pushes begin."""
    yield events.SourceOpened("oci:image", ROOT, 1, blobs, size)
    for target in targets or (APP,):
        yield events.TargetStarted(target, tags)


def under_way(number: int, size: int, sent: int = 0, target: Repository = APP) -> Iterator[Event]:
    """A blob is on its way."""
    kind = BlobKind.CONFIG if number == 0 else BlobKind.LAYER
    yield events.BlobStarted(target, blob(number), size, kind)
    if sent:
        yield events.BlobProgress(target, blob(number), sent, size)


def done(
    number: int, size: int, outcome: BlobOutcome = BlobOutcome.UPLOADED, target: Repository = APP
) -> Iterator[Event]:
    """A blob has come."""
    kind = BlobKind.CONFIG if number == 0 else BlobKind.LAYER
    yield from under_way(number, size, target=target)
    mounted = "registry.example.com/base" if outcome is BlobOutcome.MOUNTED else ""
    yield events.BlobDone(target, blob(number), size, outcome, mounted, kind)


def ended(target: Repository = APP, tags: tuple[str, ...] = ("1",), error: str = "") -> Iterator[Event]:
    """A push is over."""
    if not error:
        yield from (events.TagDone(target, tag, ROOT, 913, TagOutcome.PUSHED) for tag in tags)
        yield events.ManifestDone(target, ROOT, ManifestOutcome.PUSHED)
    yield events.TargetFinished(target, ROOT, error)


def copied(tag: str, outcome: CopyOutcome = CopyOutcome.COPIED, error: str = "") -> Event:
    """A tag of a mirror was come to."""
    return events.TagCopied(f"docker://{MIRROR}:{tag}", APP, tag, blob(9), outcome, error)
