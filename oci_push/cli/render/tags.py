"""What became of the tags of a push that failed, as plain text on stderr."""

from __future__ import annotations

from oci_push.cli.output import tell
from oci_push.engine.push import PushResult
from oci_push.model.outcomes import TagOutcome

_NOT_MOVED = (TagOutcome.FAILED, TagOutcome.NOT_REACHED, TagOutcome.RESTORED, TagOutcome.REMOVED)
_TOLD = (TagOutcome.RESTORED, TagOutcome.REMOVED, TagOutcome.LEFT, TagOutcome.UNKNOWN)


def show_tags(result: PushResult) -> None:
    """List the tags that are where they were, and by name each that was moved or may have been."""
    missing = [tag.tag for tag in result.tags if tag.outcome in _NOT_MOVED]
    if missing:
        tell(f"  tags not pushed to {result.repository}: {', '.join(missing)}")
    for tag in result.tags:
        if tag.outcome in _TOLD:
            tell(f"  tag {tag.tag}: {tag.outcome}" + (f" ({tag.error})" if tag.error else ""))
