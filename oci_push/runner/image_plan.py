"""The published form of what one push would do: laid out here alone, or with what the registries say of it.

Sizes are in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from oci_push.engine.forecast import BlobForecast, TagForecast, TargetForecast
from oci_push.engine.plan import PushPlan, RepositoryPlan
from oci_push.forms import VERSION, ErrorForm, Version, derive
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobKind, BlobWay, TagMove
from oci_push.model.reference import Repository


class PlannedBlob(Struct, frozen=True):
    """One blob of an image."""

    digest: Digest
    size: int
    media_type: str


class PlannedAttachment(Struct, frozen=True):
    """One file that would be attached; `size` is that of its manifest and blobs."""

    file: str
    artifact_type: str
    digest: Digest
    size: int


class PlannedTag(Struct, frozen=True):
    """Where a tag is and would be; `now` is the digest it names, `error` why the registry does not say.

    `immutable` says of one that would move that the registry will refuse that, null where it does not tell.
    """

    tag: str
    move: TagMove
    now: Digest | None
    immutable: bool | None
    error: str | None

    @classmethod
    def of(cls, found: TagForecast) -> PlannedTag:
        """Return one tag's."""
        return derive(cls, found, error=found.error or None)


class PlannedWay(Struct, frozen=True):
    """How a blob would come; `mount_from` has it now, or by then. `resumes`: an earlier run left an upload open."""

    digest: Digest
    size: int
    kind: BlobKind
    way: BlobWay
    mount_from: Repository | None
    resumes: bool

    @classmethod
    def of(cls, found: BlobForecast) -> PlannedWay:
        """Return one blob's."""
        return derive(cls, found)


class PlannedAmount(Struct, frozen=True):
    """How many blobs, and their bytes."""

    blobs: int = 0
    bytes: int = 0


class PlannedAmounts(Struct, frozen=True):
    """Blobs by the way in which they would come, the manifests that would be stored, and the tags that would change."""

    there: PlannedAmount
    mount: PlannedAmount
    send: PlannedAmount
    manifests: int
    tags_new: int
    tags_moved: int

    @classmethod
    def of(cls, found: Sequence[TargetForecast]) -> PlannedAmounts:
        """Return the sums over repositories."""
        ways = {
            way.value: PlannedAmount(sum(one.count(way) for one in found), sum(one.size(way) for one in found))
            for way in BlobWay
        }
        moves = [tag.move for one in found for tag in one.tags]
        manifests = sum(one.manifests for one in found)
        return cls(
            **ways, manifests=manifests, tags_new=moves.count(TagMove.NEW), tags_moved=moves.count(TagMove.MOVES)
        )


class PlannedSignature(Struct, frozen=True):
    """With which key the image would be signed, and how that would be stored, where it has not signed it before.

    `manifests` are those that the index lists and that would be signed as well, each by itself.
    """

    key: str
    forms: tuple[str, ...]
    manifests: tuple[Digest, ...] | UnsetType = UNSET


class PlannedTarget(Struct, frozen=True):
    """The work for one repository; `after` is the one that must be pushed first, `mounts` whom to ask for a blob.

    The rest is there where the registry was asked. `has_image`: the image is there by its digest. `may_push` is what
    the token says, null where it does not; a mount may be refused, and the blob is sent then. `attached` says of the
    digest of each file to attach whether it is there.
    """

    repository: Repository
    tags: tuple[str, ...]
    after: Repository | None
    mounts: dict[Digest, tuple[Repository, ...]]
    has_image: bool | UnsetType = UNSET
    may_push: bool | UnsetType | None = UNSET
    moves: tuple[PlannedTag, ...] | UnsetType = UNSET
    ways: tuple[PlannedWay, ...] | UnsetType = UNSET
    amounts: PlannedAmounts | UnsetType = UNSET
    error: ErrorForm | UnsetType = UNSET
    attached: dict[Digest, bool] | UnsetType = UNSET
    signed: tuple[PlannedSignature, ...] | UnsetType = UNSET

    @classmethod
    def of(cls, plan: PushPlan, work: RepositoryPlan, found: TargetForecast | None) -> PlannedTarget:
        """Return the work for a repository, with what was found out of it, if it was asked."""
        form = cls._of(plan, work, found)
        below = tuple(node.digest for node in plan.graph.nodes if node.digest != plan.graph.root.digest)
        signed = tuple(
            PlannedSignature(
                one.rule.name, one.rule.written, below if below and one in work.target.recursive else UNSET
            )
            for one in work.target.signers
        )
        return replace(form, signed=signed) if signed else form

    @classmethod
    def _of(cls, plan: PushPlan, work: RepositoryPlan, found: TargetForecast | None) -> PlannedTarget:
        after = plan.repositories[work.after].target.repository if work.after is not None else None
        if found is None:
            return cls(work.target.repository, work.target.tags, after, dict(work.mount_candidates))
        if found.error is not None:
            return cls(work.target.repository, work.target.tags, after, {}, error=ErrorForm.of(found.error))
        return cls(
            work.target.repository,
            work.target.tags,
            after,
            {blob.digest: (blob.mount_from,) for blob in found.blobs if blob.mount_from is not None},
            found.has_image,
            found.may_push,
            tuple(PlannedTag.of(tag) for tag in found.tags),
            tuple(PlannedWay.of(blob) for blob in found.blobs),
            PlannedAmounts.of([found]),
            attached=dict(zip((one.top.digest for one in plan.attached), found.attached, strict=True)) or UNSET,
        )


class ImagePlan(Struct, frozen=True):
    """What ``oci-push push --plan`` would do; a report of it has `source` and `status` too.

    `totals` are there where the registries were asked: over all repositories.
    """

    version: Version
    digest: Digest
    media_type: str
    manifests: tuple[Digest, ...]
    blobs: tuple[PlannedBlob, ...]
    targets: tuple[PlannedTarget, ...]
    source: str | UnsetType = UNSET
    status: Literal["planned"] | UnsetType = UNSET
    totals: PlannedAmounts | UnsetType = UNSET
    attached: tuple[PlannedAttachment, ...] | UnsetType = UNSET

    @classmethod
    def of(cls, plan: PushPlan, found: Sequence[TargetForecast] | None = None) -> ImagePlan:
        """Return the form of a plan; `found` is what its repositories have, ``None`` where they were not asked."""
        graph = plan.graph
        asked = found if found is not None else [None] * len(plan.repositories)
        return cls(
            VERSION,
            graph.root.digest,
            graph.root.media_type,
            tuple(node.digest for node in graph.nodes),
            tuple(derive(PlannedBlob, blob) for blob in graph.blobs),
            tuple(PlannedTarget.of(plan, work, one) for work, one in zip(plan.repositories, asked, strict=True)),
            totals=PlannedAmounts.of(found) if found is not None else UNSET,
            attached=tuple(
                PlannedAttachment(one.name, one.top.artifact_type, one.top.digest, one.size) for one in plan.attached
            )
            or UNSET,
        )
