"""Lines for a log: what happens that is worth a line, and every ten seconds of long work how far it is.

What was there already, was mounted, or had been compressed before is counted, and told in the line that ends a
repository: an image of two hundred layers fills no screen with what did not happen.
"""

from __future__ import annotations

import threading

from oci_push import events
from oci_push.cli.output import issue, tell, tell_section
from oci_push.cli.tally import Tally, Target, unwrapped
from oci_push.cli.wording import counted, duration, familiar, short, size
from oci_push.events import Event
from oci_push.model.outcomes import BlobOutcome, CopyOutcome, TagOutcome
from oci_push.runtime.clock import Clock, SystemClock

MOST_TOLD = 50
"""Of more copies than that only the sum is told."""
MOST_ERRORS = 20
"""Of more copies that fail only the number is told: where a registry is down, all of them do."""
BEAT_S = 10.0
"""How often long work says how far it is."""
_LASTING = (
    events.LogMessage
    | events.SourceOpened
    | events.ImageChanged
    | events.UploadResumed
    | events.ReplicaDone
    | events.RetryScheduled
    | events.StepStarted
    | events.StepFinished
)
"""What is told in lines above a display that shows the rest."""
_ONE_OF_MANY = (
    events.SourceOpened
    | events.ImageChanged
    | events.TargetStarted
    | events.BlobDone
    | events.TagDone
    | events.TargetFinished
)
"""What is not told of each image where many are copied: their tags are."""


class LineRenderer:
    """Write a line for each event that a person wants to see; whole lines, from any thread.

    A `quiet` one writes only what went wrong. `beside_display` leaves out what a display shows. What is counted is in
    `tally`.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        beside_display: bool = False,
        tally: Tally | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._quiet = quiet
        self._beside_display = beside_display
        self._tally = tally or Tally()
        self._clock = clock or SystemClock()
        self._began = self._clock.monotonic()
        self._lock = threading.Lock()
        self._stage = ""
        self._open = ""

    def __call__(self, event: Event) -> None:
        """Count an event, and print it or nothing."""
        steps, event = unwrapped(event)
        now = self._clock.monotonic()
        self._tally.add(event, steps[-1] if steps else "", now)
        if isinstance(event, events.BlobProgress | events.LayerReading | events.SaveProgress):
            return
        if self._tally.copies is not None and isinstance(event, _ONE_OF_MANY):
            return
        is_loud = isinstance(event, events.RetryScheduled) or (
            isinstance(event, events.LogMessage) and event.level != "info"
        )
        is_lasting = isinstance(event, _LASTING) or (isinstance(event, events.TargetFinished) and event.error)
        if (self._quiet and not is_loud) or (self._beside_display and not is_lasting):
            return
        prefix = "".join(f"[{step}] " for step in steps)
        with self._lock:
            if isinstance(event, events.LogMessage) and event.level != "info":
                issue(event.level, f"{prefix}{event.text}")
                return
            if isinstance(event, events.StepStarted):
                self._begin_step(event, is_alone=not steps)
            line = self._line(event, steps[-1] if steps else "", now)
            if line:
                tell(f"{prefix}{line}")
            if isinstance(event, events.StepFinished) and event.name == self._open:
                tell_section(event.title, self._clock.now(), begins=False)
                self._open = ""

    def beat(self) -> None:
        """Say how far the work is, if any is under way."""
        now = self._clock.monotonic()
        with self._tally.lock:
            self._tally.look(now)
            state = how_far(self._tally)
        with self._lock:
            tell(f"... {duration(now - self._began)}: {state}")

    def _begin_step(self, event: events.StepStarted, *, is_alone: bool) -> None:
        if event.stage != self._stage:
            self._stage = event.stage
            tell(f"Stage: {event.stage or 'default'}")
        # Lines of steps that run beside one another are mixed: no part of them could be folded.
        if is_alone and not self._open:
            self._open = event.name
            tell_section(event.title, self._clock.now(), begins=True)

    def _line(self, event: Event, step: str, now: float) -> str:
        match event:
            case events.LogMessage(text=text):
                return text
            case events.CopyStarted():
                return f"Copying {counted(event.tags, 'tag')}"
            case events.TagCopied() if event.outcome is CopyOutcome.COPIED:
                return f"Copied {name_of(event)}" if self._tells_each() else ""
            case events.TagCopied(error=error) if error:
                is_told = self._tally.copies is None or self._tally.copies.failed <= MOST_ERRORS
                return f"Copying {name_of(event)} failed" if is_told else ""
            case events.SourceOpened():
                what = f"{counted(event.blobs, 'blob')}, {size(event.size_bytes)}"
                return f"Image {short(event.root)} ({what}) from {event.source}"
            case events.ImageChanged():
                return f"note: {', '.join(event.done)}: digest {event.before} -> {event.after}"
            case events.LayerCompressed(from_memory=False):
                how = "decompressed" if event.is_plain else "compressed"
                return f"layer {event.diff_id.short}: {how} to {size(event.size_bytes)}"
            case events.TargetStarted():
                return f"Pushing to {familiar(event.repository)}"
            case events.UploadResumed():
                kind = self._tally.kind_of(event.repository, event.digest)
                there, whole = size(event.offset_bytes), size(event.size_bytes)
                return f"{kind} {event.digest.short} goes on at {there} of {whole}, where an earlier run had stopped"
            case events.BlobDone(outcome=BlobOutcome.UPLOADED):
                is_one = self._tally.count_of(step) <= 1
                where = "" if is_one else f" to {familiar(event.repository)}"
                return f"{event.kind} {event.digest.short}: pushed {size(event.size_bytes)}{where}"
            case events.BlobSaved(was_there=False):
                return f"{event.kind} {event.digest.short}: saved {size(event.size_bytes)}"
            case events.SaveFinished():
                name = f"{event.place}:{event.name}" if event.name else event.place
                if event.digest is None:
                    return f"Saving {name} failed"
                return f"{name} is {short(event.digest)} already" if event.is_unchanged else f"Saved {name}"
            case events.TagDone():
                place = f"{familiar(event.repository)}:{event.tag}"
                same = event.outcome is TagOutcome.UNCHANGED
                return f"Tag {place} is {short(event.digest)} already" if same else f"Tagged {place}"
            case events.TargetFinished():
                return self._finished_target(event, now)
            case events.ReplicaDone():
                return "" if event.error else f"{event.repository}@{short(event.digest)}: {event.outcome}"
            case events.RetryScheduled():
                why = event.why if event.why.startswith(event.what) else f"{event.what}: {event.why}"
                return f"warning: {why}; attempt {event.attempt} failed, the next follows in {event.wait_s:.1f} s"
            case events.StepStarted():
                again = f" (attempt {event.attempt} of {event.max_attempts})" if event.attempt > 1 else ""
                return f"Running push step: {event.title}{again}"
            case events.StepFinished():
                return _finished_step(event)
            case _:
                return ""

    def _tells_each(self) -> bool:
        """Return whether there are so few copies that each has a line."""
        return self._tally.copies is not None and self._tally.copies.tags <= MOST_TOLD

    def _finished_target(self, event: events.TargetFinished, now: float) -> str:
        name = familiar(event.repository)
        if event.error:
            return f"Push to {name} failed"
        target = self._tally.targets.get(event.repository)
        what = f": {came(target)}, {duration(now - target.started)}" if target is not None else ""
        return f"Pushed {name}@{short(event.digest)}{what}"


def name_of(event: events.TagCopied) -> str:
    """Return the name of what was copied, at the target."""
    name = familiar(event.repository)
    return f"{name}:{event.tag}" if event.tag else f"{name}@{event.digest.short if event.digest else '?'}"


def came(target: Target) -> str:
    """Return by which ways blobs have come to a repository."""
    ways = (
        (target.sent, f"{target.sent} sent ({size(target.sent_bytes)})"),
        (target.mounted, f"{target.mounted} mounted"),
        (target.there, f"{target.there} there"),
    )
    return ", ".join(text for count, text in ways if count) or "nothing sent"


def how_far(tally: Tally) -> str:
    """Return how far the work is, in one line."""
    retries = f", {counted(tally.retries, 'retry', 'retries')}" if tally.retries else ""
    targets, reading = tally.under_way, _reading(tally)
    if tally.copies is not None:
        return f"{copies(tally)}{retries}"
    if targets and tally.is_known:
        blobs = sum(one.done_blobs for one in targets), sum(one.blobs for one in targets)
        there, whole = sum(map(tally.position_of, targets)), sum(one.size_bytes for one in targets)
        where = familiar(targets[0].repository) if len(targets) == 1 else counted(len(targets), "", "repositories")
        rate = f", {size(tally.per_s)}/s" if tally.moving else ""
        left = tally.left_s
        rest = f", {duration(left)} left" if left is not None and tally.moving else ""
        return f"{where}: {blobs[0]} of {blobs[1]} blobs, {size(there)} of {size(whole)}{rate}{rest}{retries}"
    if targets:  # of an archive whose first layers go out while others are compressed
        done = counted(sum(one.done_blobs for one in targets), "blob")
        return f"{reading or 'reading the image'}; {done}, {size(tally.went_out)} sent{retries}"
    return f"{reading or ('reading the image' if tally.image is None else 'at work')}{retries}"


def copies(tally: Tally) -> str:
    """Return how far many copies are."""
    found = tally.copies
    if found is None:
        return ""
    if not found.done and not tally.went_out:
        return f"asking what {counted(found.tags, 'tag')} name"
    failed = f", {found.failed} failed" if found.failed else ""
    rate = f", {size(tally.per_s)}/s" if tally.moving and tally.per_s else ""
    return f"{found.done} of {counted(found.tags, 'tag')}{failed}, {size(tally.went_out)} sent{rate}"


def _reading(tally: Tally) -> str:
    found = tally.reading.values()
    if not found:
        return ""
    act = "compressing" if any(one.is_compressed for one in found) else "reading"
    read, whole = sum(one.read_bytes for one in found), sum(one.size_bytes for one in found)
    return f"{act} {counted(len(found), 'layer')}, {size(read)} of {size(whole)}"


def _finished_step(event: events.StepFinished) -> str:
    if event.result == "success" and event.step_type == "push":
        return f"Successfully ran push step: {event.title}"
    if event.result == "success":
        return f"{event.step_type} step {event.title}: {event.reason or 'success'}"
    if event.result == "skipped":
        return f"Skipped step: {event.title} ({event.reason})"
    return f"Step ended with {event.result}: {event.title}" + (f" ({event.reason})" if event.reason else "")
