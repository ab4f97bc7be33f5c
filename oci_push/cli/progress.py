"""Plain lines for a CI log, in the words people know from ``docker push``: what happens, and what became of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from oci_push import events
from oci_push.cli.command import show_error
from oci_push.cli.output import say, tell
from oci_push.engine.push import PushResult, ReplicaResult
from oci_push.events import Event
from oci_push.model.reference import DOCKER_HUB, Repository

_NOT_MOVED = ("failed", "not reached", "restored", "removed")
_TOLD = ("restored", "removed", "left", "unknown")


class LineRenderer:
    """Write one line for each event that a person wants to see; whole lines, from any thread."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lock = threading.Lock()
        self._stage = ""

    def __call__(self, event: Event) -> None:
        """Print an event, or nothing."""
        prefix = ""
        while isinstance(event, events.Within):
            prefix += f"[{event.step}] "
            event = event.event
        loud = isinstance(event, events.LogMessage | events.RetryScheduled) and not (
            isinstance(event, events.LogMessage) and event.level == "info"
        )
        if self._quiet and not loud:
            return
        lines = [line for line in _lines(event) if line]
        if not lines:
            return
        with self._lock:
            if isinstance(event, events.StepStarted) and event.stage != self._stage:
                self._stage = event.stage
                tell(f"Stage: {event.stage or 'default'}")
            for line in lines:
                tell(prefix + line)


def _lines(event: Event) -> Iterable[str]:
    if isinstance(event, events.TargetStarted):
        yield from (f"Tagging image as: {familiar(event.repository)}:{tag}" for tag in event.tags)
        yield f"The push refers to repository [{familiar(event.repository)}]"
    else:
        yield _line(event)


def _line(event: Event) -> str:
    match event:
        case events.LogMessage(text=text, level=level):
            return f"warning: {text}" if level == "warning" else text
        case events.SourceOpened():
            return f"Image {event.root} ({event.blobs} blobs, {size(event.size_bytes)}) from {event.source}"
        case events.LayerCompressed():
            how = "compressed before" if event.from_memory else "compressed"
            return f"Layer '{event.diff_id.short}' {how} to {size(event.size_bytes)}"
        case events.UploadResumed():
            there, whole = size(event.offset_bytes), size(event.size_bytes)
            return f"Layer '{event.digest.short}' goes on at {there} of {whole}, where an earlier run had stopped"
        case events.BlobDone():
            return f"Layer '{event.digest.short}' {_outcome(event)}"
        case events.TagDone():
            same = " (unchanged)" if event.outcome == "unchanged" else ""
            return f"{event.tag}: digest: {event.digest} size: {event.size_bytes}{same}"
        case events.TargetFinished():
            if event.error:
                return ""
            return f"Storing new pushed image: {familiar(event.repository)}@{event.digest}"
        case events.ReplicaDone():
            return "" if event.error else f"{event.repository}@{event.digest.short}: {event.outcome}"
        case events.RetryScheduled():
            why = event.why if event.why.startswith(event.what) else f"{event.what}: {event.why}"
            return f"warning: {why}; attempt {event.attempt} failed, the next follows in {event.wait_s:.1f} s"
        case events.StepStarted():
            again = f" (attempt {event.attempt} of {event.max_attempts})" if event.attempt > 1 else ""
            return f"Running push step: {event.title}{again}"
        case events.StepFinished():
            return _finished(event)
        case _:
            return ""


def _outcome(event: events.BlobDone) -> str:
    words = {"exists": "already exists", "uploaded": "successfully pushed", "skipped": "skipped"}
    if event.outcome == "mounted":
        return f"mounted from {event.mounted_from}"
    return words.get(event.outcome, event.outcome)


def _finished(event: events.StepFinished) -> str:
    if event.result == "success" and event.step_type == "push":
        return f"Successfully ran push step: {event.title}"
    if event.result == "success":
        return f"{event.step_type} step {event.title}: {event.reason or 'success'}"
    if event.result == "skipped":
        return f"Skipped step: {event.title} ({event.reason})"
    return f"Step ended with {event.result}: {event.title}" + (f" ({event.reason})" if event.reason else "")


def familiar(repository: Repository) -> str:
    """Return a repository's name, Docker Hub's with its host, as the vendor's log does."""
    return f"{DOCKER_HUB}/{repository.familiar}" if repository.host == DOCKER_HUB else str(repository)


def size(count: int) -> str:
    """Return a number of bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def show_tags(result: PushResult) -> None:
    """Print the tags that are where they were, and by name each that was moved or may have been."""
    missing = [tag.tag for tag in result.tags if tag.outcome in _NOT_MOVED]
    if missing:
        tell(f"  tags not pushed to {result.repository}: {', '.join(missing)}")
    for tag in result.tags:
        if tag.outcome in _TOLD:
            tell(f"  tag {tag.tag}: {tag.outcome}" + (f" ({tag.error})" if tag.error else ""))


def show_replicas(results: Sequence[ReplicaResult], *, is_quiet: bool) -> None:
    """Print each place that serves the image on stdout, unless `is_quiet`, and each failure on stderr."""
    for result in results:
        if result.error is not None:
            show_error(result.error)
        elif not is_quiet:
            say(f"{result.repository} {result.outcome}")
