"""What is under way, counted from events: for whoever shows it a few times a second, or says so now and then."""

from __future__ import annotations

import threading
from collections import deque
from typing import TypeAlias

from msgspec.structs import replace

from oci_push import events
from oci_push.events import Event
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobKind, BlobOutcome, CopyOutcome
from oci_push.model.reference import Repository

_WINDOW_S = 10.0
"""A rate is that of this last time: long enough to be calm, short enough to follow the line."""


class Rate:
    """Bytes a second over a short past; `sample` is called at each look."""

    __slots__ = ("_seen",)

    def __init__(self, now: float) -> None:
        self._seen: deque[tuple[float, int]] = deque([(now, 0)])

    def sample(self, now: float, total: int) -> None:
        """Note how many bytes there are by now, and forget what is long past."""
        self._seen.append((now, total))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW_S:
            self._seen.popleft()

    def per_s(self) -> float:
        """Return the rate as of the last sample; 0 before there are two."""
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end > start else 0.0


Place: TypeAlias = Repository | str
"""Where blobs come to: a repository, or the path of a layout or an archive."""


class Moving:
    """One blob on its way to one place; `went_out` are bytes of it over the line, more than once some of them."""

    __slots__ = ("digest", "kind", "rate", "repository", "sent_bytes", "size_bytes", "started", "went_out")

    def __init__(self, begun: events.BlobStarted | events.SaveProgress, now: float) -> None:
        self.repository: Place = begun.place if isinstance(begun, events.SaveProgress) else begun.repository
        self.digest = begun.digest
        self.kind = begun.kind
        self.started = now
        self.size_bytes = begun.size_bytes
        self.sent_bytes = 0
        self.went_out = 0
        self.rate = Rate(now)


class Target:
    """One repository that is pushed to, or place that is saved in: how much has come there, and by which way."""

    __slots__ = (
        "done_blobs",
        "done_bytes",
        "error",
        "image",
        "is_finished",
        "left",
        "mounted",
        "repository",
        "resumed",
        "sent",
        "sent_bytes",
        "started",
        "step",
        "tagged",
        "tags",
        "there",
    )

    def __init__(
        self, place: Place, tags: tuple[str, ...], step: str, image: events.SourceOpened | None, now: float
    ) -> None:
        self.repository = place
        self.tags = tags
        self.step = step
        self.started = now
        self.image = image
        self.done_blobs = self.done_bytes = 0
        self.sent = self.mounted = self.there = self.resumed = 0
        self.sent_bytes = 0
        self.tagged: list[str] = []
        self.is_finished = False
        self.left = 1
        self.error = ""

    @property
    def blobs(self) -> int:
        """Return how many blobs the image has, as far as it is known."""
        return self.image.blobs if self.image else 0

    @property
    def size_bytes(self) -> int:
        """Return the size of all of them."""
        return self.image.size_bytes if self.image else 0


class Copies:
    """Many images that are copied: how many of their tags are done, of `tags` in all, and how."""

    __slots__ = ("counts", "tags")

    def __init__(self, tags: int) -> None:
        self.tags = tags
        self.counts: dict[CopyOutcome, int] = {}

    @property
    def done(self) -> int:
        """Return how many tags have ended."""
        return sum(self.counts.values())

    @property
    def failed(self) -> int:
        """Return how many have failed."""
        return self.counts.get(CopyOutcome.FAILED, 0)

    def add(self, event: Event) -> bool:
        """Count an event; return whether that is all: several images go to one repository at once."""
        if isinstance(event, events.TagCopied):
            self.counts[event.outcome] = self.counts.get(event.outcome, 0) + 1
        return isinstance(
            event,
            events.TagCopied
            | events.SourceOpened
            | events.TargetStarted
            | events.TargetFinished
            | events.TagDone
            | events.ManifestDone,
        )


class Tally:
    """Count events; `lock` is held for a moment by each, and by whoever looks at several numbers at once.

    A repository that is pushed to a second time, by another step, is counted anew; its retries are counted on.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.targets: dict[Place, Target] = {}
        self.moving: dict[tuple[Place, Digest], Moving] = {}
        self.reading: dict[Digest, events.LayerReading] = {}
        self.image: events.SourceOpened | None = None
        self.copies: Copies | None = None
        self._images: dict[str, events.SourceOpened] = {}
        self._retried: dict[str, int] = {}  # by what was tried again
        self.waited_s = 0.0
        """The waits before something was tried again, over all."""
        self._went_out = 0
        self._rate: Rate | None = None

    def add(self, event: Event, step: str, now: float) -> None:
        """Count an event, which is of this step, if of any; `now` is on the monotonic clock."""
        with self.lock:
            if self.copies is not None and self.copies.add(event):
                if isinstance(event, events.TargetFinished) and event.error:
                    self._finished(event)  # what was on its way does not come
                return
            match event:
                case events.CopyStarted():
                    self.copies = Copies(event.tags)
                    self._rate = Rate(now)
                case events.BlobProgress() | events.UploadResumed():
                    self._progress(event)
                case events.LayerReading():
                    self.reading[event.diff_id] = event
                case events.LayerCompressed():
                    self.reading.pop(event.diff_id, None)
                case events.SourceOpened():
                    self._opened(event, step)
                case events.StepStarted():
                    self._images.pop(step, None)
                case events.TargetStarted():
                    self.targets.pop(event.repository, None)  # the newest is last
                    self.targets[event.repository] = Target(
                        event.repository, event.tags, step, self._images.get(step), now
                    )
                    self._rate = self._rate or Rate(now)
                case events.BlobStarted():
                    self.moving[event.repository, event.digest] = Moving(event, now)
                case events.BlobDone():
                    self._done(event)
                case events.TagDone():
                    if event.repository in self.targets:
                        self.targets[event.repository].tagged.append(event.tag)
                case events.TargetFinished():
                    self._finished(event)
                case events.SaveStarted():
                    self._saving(event, step, now)
                case events.SaveProgress():
                    key = event.place, event.digest
                    self.moving.setdefault(key, Moving(event, now))
                    self._come(self.moving[key], event.read_bytes)
                case events.BlobSaved():
                    self._saved(event)
                case events.SaveFinished():
                    self._saved_image(event)
                case events.RetryScheduled():
                    self._retried[event.what] = self._retried.get(event.what, 0) + 1
                    self.waited_s += event.wait_s
                case _:
                    pass

    def look(self, now: float) -> None:
        """Take samples for the rates."""
        with self.lock:
            for one in self.moving.values():
                one.rate.sample(now, one.went_out)
            if self._rate is not None:
                self._rate.sample(now, self._went_out)

    def retries_of(self, repository: Place) -> int:
        """Return how often something of a repository was tried again."""
        with self.lock:
            return sum(count for what, count in self._retried.items() if _is_of(what, str(repository)))

    @property
    def retries(self) -> int:
        """Return how often anything was tried again."""
        return sum(self._retried.values())

    def kind_of(self, repository: Place, digest: Digest) -> BlobKind:
        """Return what a blob that is under way is."""
        found = self.moving.get((repository, digest))
        return found.kind if found else BlobKind.LAYER

    def count_of(self, step: str) -> int:
        """Return how many repositories a step has pushed to, or is pushing to; the empty name is that of no step."""
        with self.lock:
            return sum(one.step == step for one in self.targets.values())

    @property
    def under_way(self) -> list[Target]:
        """Return the repositories that are being pushed to."""
        return [one for one in self.targets.values() if not one.is_finished]

    @property
    def per_s(self) -> float:
        """Return the bytes a second that go out, over all."""
        return self._rate.per_s() if self._rate is not None else 0.0

    @property
    def went_out(self) -> int:
        """Return the bytes of blobs that have gone out, over all."""
        return self._went_out

    def blobs_of(self, target: Target) -> list[Moving]:
        """Return what is on its way to a repository."""
        return [one for one in self.moving.values() if one.repository == target.repository]

    def position_of(self, target: Target) -> int:
        """Return how many of the image's bytes a repository has."""
        return target.done_bytes + sum(one.sent_bytes for one in self.blobs_of(target))

    @property
    def left_s(self) -> float | None:
        """Return the seconds that the rest will take at this rate; ``None`` where nobody can tell."""
        rest = sum(one.size_bytes - self.position_of(one) for one in self.under_way)
        return rest / self.per_s if self.is_known and rest > 0 and self.per_s > 0 else None

    @property
    def is_known(self) -> bool:
        """Return whether the images that are on their way are known, and not only layers that go ahead of them."""
        return all(one.image is not None for one in self.under_way)

    def _opened(self, event: events.SourceOpened, step: str) -> None:
        self.image = self._images[step] = event
        self.reading.clear()
        for target in self.under_way:  # to which layers have gone before the image was known
            if target.step == step and target.image is None:
                target.image = event
            elif isinstance(target.repository, str) and target.image is not None:  # one more image for one place
                blobs, size = target.image.blobs + event.blobs, target.image.size_bytes + event.size_bytes
                target.image = replace(event, blobs=blobs, size_bytes=size)

    def _saving(self, event: events.SaveStarted, step: str, now: float) -> None:
        target = self.targets.get(event.place)
        if target is None:
            self.targets[event.place] = Target(event.place, (), step, None, now)
            self._rate = self._rate or Rate(now)
        else:
            target.left += 1
            target.is_finished = False

    def _saved(self, event: events.BlobSaved) -> None:
        one = self.moving.pop((event.place, event.digest), None)
        target = self.targets.get(event.place)
        if target is None:
            return
        if not event.was_there:
            self._went_out += event.size_bytes - (one.sent_bytes if one is not None else 0)
            target.sent_bytes += event.size_bytes - (one.sent_bytes if one is not None else 0)
        target.done_blobs += 1
        target.done_bytes += event.size_bytes
        target.sent += not event.was_there
        target.there += event.was_there

    def _saved_image(self, event: events.SaveFinished) -> None:
        target = self.targets.get(event.place)
        if target is not None:
            target.left -= 1
            target.is_finished = target.left == 0

    def _come(self, one: Moving, position: int) -> None:
        self._count(one, max(0, position - one.sent_bytes))
        one.sent_bytes = position

    def _progress(self, event: events.BlobProgress | events.UploadResumed) -> None:
        one = self.moving.get((event.repository, event.digest))
        if one is None:
            return
        if isinstance(event, events.UploadResumed):
            one.sent_bytes = event.offset_bytes
            if event.repository in self.targets:
                self.targets[event.repository].resumed += 1
            return
        self._come(one, event.sent_bytes)  # what goes back was lost and goes out again

    def _count(self, one: Moving, size: int) -> None:
        one.went_out += size
        self._went_out += size
        if one.repository in self.targets:
            self.targets[one.repository].sent_bytes += size

    def _done(self, event: events.BlobDone) -> None:
        one = self.moving.pop((event.repository, event.digest), None)
        if one is not None and event.outcome is BlobOutcome.UPLOADED:
            self._count(one, max(0, event.size_bytes - one.sent_bytes))
        target = self.targets.get(event.repository)
        if target is None:
            return
        target.done_blobs += 1
        target.done_bytes += event.size_bytes
        target.sent += event.outcome is BlobOutcome.UPLOADED
        target.mounted += event.outcome is BlobOutcome.MOUNTED
        target.there += event.outcome is BlobOutcome.EXISTS

    def _finished(self, event: events.TargetFinished) -> None:
        for key in [key for key in self.moving if key[0] == event.repository]:
            del self.moving[key]
        target = self.targets.get(event.repository)
        if target is not None:
            target.is_finished, target.error = True, event.error


def unwrapped(event: Event) -> tuple[list[str], Event]:
    """Return what happened and the steps it happened in, the outermost first."""
    steps = []
    while isinstance(event, events.Within):
        steps.append(event.step)
        event = event.event
    return steps, event


def _is_of(what: str, repository: str) -> bool:
    """Return whether something belongs to a repository: it is a reference to it, or a part of it."""
    return what == repository or what.startswith((f"{repository}:", f"{repository}@"))
