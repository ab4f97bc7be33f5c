"""What things came to, in the words of reports and events: steps, tags, blobs, manifests, copies."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a step is, and what it, a hook or a build came to."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    SKIPPED = "skipped"
    TERMINATED = "terminated"


class TagOutcome(StrEnum):
    """What became of a tag.

    FAILED and NOT_REACHED: it is where it was. Where it had moved and should not have: RESTORED is where it was again,
    REMOVED was new, LEFT could not be put back, UNKNOWN may have moved and the registry could not be asked.
    """

    PUSHED = "pushed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    NOT_REACHED = "not reached"
    RESTORED = "restored"
    REMOVED = "removed"
    LEFT = "left"
    UNKNOWN = "unknown"

    @property
    def is_there(self) -> bool:
        """Return whether the tag names the image."""
        return self in (TagOutcome.PUSHED, TagOutcome.UNCHANGED)


class BlobKind(StrEnum):
    """What a blob is in its image; OTHER is what an index lists that is no manifest."""

    LAYER = "layer"
    CONFIG = "config"
    OTHER = "blob"


class BlobOutcome(StrEnum):
    """How a blob came to be in a repository."""

    EXISTS = "exists"
    MOUNTED = "mounted"
    UPLOADED = "uploaded"
    SKIPPED = "skipped"


class BlobWay(StrEnum):
    """How a blob would come to be in a repository: it is there, another one of the registry has it, or it is sent."""

    THERE = "there"
    MOUNT = "mount"
    SEND = "send"


class TagMove(StrEnum):
    """What would become of a tag: it names nothing yet, this image already, or another; or nobody says."""

    NEW = "new"
    UNCHANGED = "unchanged"
    MOVES = "moves"
    UNKNOWN = "unknown"


class ManifestOutcome(StrEnum):
    """How a manifest came to be in a repository."""

    EXISTS = "exists"
    PUSHED = "pushed"


class ReplicaOutcome(StrEnum):
    """What became of a copy in another region: made by the registry, by us, or not."""

    REPLICATED = "replicated"
    COPIED = "copied"
    FAILED = "failed"


class CopyOutcome(StrEnum):
    """What became of one tag that was copied.

    UNCHANGED named the image at the target already. THERE was listed and not asked what it names, OLDER is an image
    that was left out for its age, NOT_REACHED was to be copied when the run was stopped.
    """

    COPIED = "copied"
    UNCHANGED = "unchanged"
    THERE = "there"
    OLDER = "older"
    FAILED = "failed"
    NOT_REACHED = "not reached"
