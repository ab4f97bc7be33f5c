"""What became of a push, as plain text: tags that did not move, and copies in other regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oci_push.cli.failures import show_error
from oci_push.cli.output import say, tell
from oci_push.engine.push import PushResult

if TYPE_CHECKING:
    from oci_push.engine.replicate import ReplicaResult

_NOT_MOVED = ("failed", "not reached", "restored", "removed")
_TOLD = ("restored", "removed", "left", "unknown")


def show_tags(result: PushResult) -> None:
    """List the tags that are where they were, and by name each that was moved or may have been."""
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
