"""What became of a mirror run, as it is published: ``mirror --json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from oci_push.engine.copying.mirror import Mirrored
from oci_push.engine.copying.mirror_sources import MirrorFailure
from oci_push.engine.copying.report import CopiedReferrers, CopiedTag, CopyReport
from oci_push.errors import exit_code
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model.mirroring import MirrorFile
from oci_push.runtime.costs import Cost


class FailedSource(Struct, frozen=True):
    """A source or a target that failed before its images were known."""

    name: str
    place: str
    error: ErrorForm

    @classmethod
    def of(cls, one: MirrorFailure) -> FailedSource:
        """Return a failure as it is published."""
        return cls(one.name, one.place, ErrorForm.of(one.error))


class MirrorReport(Struct, frozen=True):
    """What ``mirror --json`` prints; `form` is whose form the file has, `notes` what of it is not honoured."""

    version: Version
    file: str
    form: str
    status: Literal["success", "failure"]
    exit_code: int
    counts: Mapping[str, int]
    bytes_sent: int
    seconds: float
    tags: tuple[CopiedTag, ...]
    referrers: CopiedReferrers | None
    failures: tuple[FailedSource, ...]
    notes: tuple[str, ...]
    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    phases: Mapping[str, float] = {}

    @classmethod
    def of(cls, path: str, read: MirrorFile, done: Mirrored, seconds: float, cost: Cost) -> MirrorReport:
        """Return the report of a run, and what it cost."""
        tags = CopyReport.of(done.copied, seconds, with_referrers=True, cost=cost)
        code = exit_code(done.errors)
        return cls(
            VERSION,
            path,
            read.form,
            "failure" if code else "success",
            code,
            tags.counts,
            tags.bytes_sent,
            tags.seconds,
            tags.tags,
            tags.referrers,
            tuple(map(FailedSource.of, done.failures)),
            tuple(map(str, read.notes)),
            tags.requests,
            tags.retries,
            tags.waited_s,
            tags.phases,
        )
