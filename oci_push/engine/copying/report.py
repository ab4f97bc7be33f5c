"""What became of many copies, as it is published: ``copy --json`` and its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from oci_push.engine.copying.items import Copied
from oci_push.errors import exit_code
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model.digest import Digest
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.costs import Cost
from oci_push.runtime.phases import seconds_of


class CopiedTag(Struct, frozen=True):
    """What became of one tag, null for an image that goes by its digest alone.

    `bytes_sent` are those of the image's blobs, told at the first of its tags in a repository. `before` is the digest
    that the image had at the source, where it went out under another.
    """

    source: str
    repository: Repository
    tag: str | None
    digest: Digest | None
    outcome: CopyOutcome
    before: Digest | None
    bytes_sent: int
    error: ErrorForm | None


class CopiedReferrers(Struct, frozen=True):
    """What came along with the images: how many of each kind, and of all how many were there already."""

    count: int
    kinds: Mapping[str, int]
    there: int
    errors: tuple[ErrorForm, ...]


class CopyReport(Struct, frozen=True):
    """What ``copy --json`` prints; `counts` are of tags by outcome, `referrers` null where they were not asked for.

    `requests` are all over HTTP, `retries` tries after a failure, `waited_s` the waits before them. `phases` are
    seconds, of all images together, of which several go at once.
    """

    version: Version
    status: Literal["success", "failure"]
    exit_code: int
    counts: Mapping[str, int]
    bytes_sent: int
    seconds: float
    tags: tuple[CopiedTag, ...]
    referrers: CopiedReferrers | None
    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    phases: Mapping[str, float] = {}

    @classmethod
    def of(cls, copied: Copied, seconds: float, *, with_referrers: bool, cost: Cost) -> CopyReport:
        """Return the report of a copy."""
        code = exit_code(copied.errors)
        found = copied.referrers
        referrers = CopiedReferrers(
            found.count, dict(sorted(found.counts.items())), found.there, tuple(map(ErrorForm.of, found.errors))
        )
        return cls(
            VERSION,
            "failure" if code else "success",
            code,
            {outcome.value: copied.count(outcome) for outcome in CopyOutcome},
            sum(row.bytes_sent for row in copied.rows),
            round(seconds, 3),
            tuple(
                CopiedTag(
                    row.source,
                    row.repository,
                    row.tag or None,
                    row.digest,
                    row.outcome,
                    row.before,
                    row.bytes_sent,
                    ErrorForm.or_none(row.error),
                )
                for row in copied.rows
            ),
            referrers if with_referrers else None,
            cost.requests,
            cost.retries,
            round(cost.waited_s, 3),
            seconds_of(cost),
        )
