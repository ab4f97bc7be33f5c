"""The published forms of what copies of many images would do. Sizes are in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from oci_push.engine.copying.forecast import CopyForecast
from oci_push.engine.copying.mirror_report import FailedSource
from oci_push.engine.copying.mirror_sources import MirrorFailure
from oci_push.engine.forecast import TargetForecast
from oci_push.errors import exit_code
from oci_push.forms import VERSION, ErrorForm, Version
from oci_push.model.digest import Digest
from oci_push.model.mirroring import MirrorFile
from oci_push.model.outcomes import CopyOutcome
from oci_push.model.reference import Repository
from oci_push.runner.image_plan import PlannedAmounts, PlannedTag


class PlannedCopyTarget(Struct, frozen=True):
    """What would be done for an image in one repository; with `error`, why that could not be found out."""

    repository: Repository
    has_image: bool
    may_push: bool | None
    moves: tuple[PlannedTag, ...]
    amounts: PlannedAmounts
    error: ErrorForm | UnsetType = UNSET

    @classmethod
    def of(cls, found: TargetForecast) -> PlannedCopyTarget:
        """Return the work for one repository."""
        return cls(
            found.repository,
            found.has_image,
            found.may_push,
            tuple(PlannedTag.of(tag) for tag in found.tags),
            PlannedAmounts.of([found]),
            ErrorForm.of(found.error) if found.error is not None else UNSET,
        )


class PlannedCopy(Struct, frozen=True):
    """One image that is not there yet under all of its tags; `size` is that of its blobs."""

    source: str
    digest: Digest
    size: int
    targets: tuple[PlannedCopyTarget, ...]


class PlannedFailure(Struct, frozen=True):
    """A tag that nothing could be found out of."""

    source: str
    repository: Repository
    tag: str | None
    error: ErrorForm


class CopyPlan(Struct, frozen=True):
    """What ``oci-push copy --plan`` would do; `counts` are of tags by what would become of them.

    ``copy`` are tags that would be set. `images` are those for which there is something to do. Referrers are not
    looked for; `with_referrers` says that they would be copied.
    """

    version: Version
    status: Literal["planned"]
    exit_code: int
    counts: dict[str, int]
    totals: PlannedAmounts
    images: tuple[PlannedCopy, ...]
    failures: tuple[PlannedFailure, ...]
    with_referrers: bool

    @classmethod
    def of(cls, found: CopyForecast) -> CopyPlan:
        """Return the form of what was found."""
        rows = found.copied.rows
        return cls(
            VERSION,
            "planned",
            exit_code(found.copied.errors),
            {
                "copy" if outcome is CopyOutcome.COPIED else outcome.value: found.copied.count(outcome)
                for outcome in CopyOutcome
            },
            PlannedAmounts.of(found.targets),
            tuple(
                PlannedCopy(
                    one.source,
                    one.digest,
                    one.size_bytes,
                    tuple(PlannedCopyTarget.of(target) for target in one.targets),
                )
                for one in found.images
            ),
            tuple(
                PlannedFailure(row.source, row.repository, row.tag or None, ErrorForm.of(row.error))
                for row in rows
                if row.error is not None
            ),
            found.with_referrers,
        )


class MirrorPlan(Struct, frozen=True):
    """What ``oci-push mirror --plan`` would do: the `plan` of all copies that a file means, as `copy` has it.

    `form` is whose form the file has, `failures` are sources and targets that failed before their images were known,
    `notes` what of the file is not honoured.
    """

    version: Version
    file: str
    form: str
    status: Literal["planned"]
    exit_code: int
    plan: CopyPlan
    failures: tuple[FailedSource, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, path: str, read: MirrorFile, found: CopyForecast, failures: Sequence[MirrorFailure]) -> MirrorPlan:
        """Return the form of what was found."""
        return cls(
            VERSION,
            path,
            read.form,
            "planned",
            exit_code([*found.copied.errors, *(one.error for one in failures)]),
            CopyPlan.of(found),
            tuple(map(FailedSource.of, failures)),
            tuple(map(str, read.notes)),
        )
