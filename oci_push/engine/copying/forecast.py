"""What a copy of many images would do: `copying.copy` itself, but that each push is laid out and asked about, not done.

So a plan and a copy cannot differ in what they take, leave out and find unchanged. Referrers are not looked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.copying.copy import copy
from oci_push.engine.copying.items import Copied, CopyItem, CopyOptions
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.forecast import Forecaster, TargetForecast
from oci_push.engine.plan import PushPlan
from oci_push.engine.push import PushResult
from oci_push.engine.pusher import Pusher
from oci_push.engine.tags import TagResult
from oci_push.engine.transfer import BlobResult
from oci_push.engine.unit import PushUnit, UnitResult, plan_unit
from oci_push.errors import OciPushError
from oci_push.events import CopyStarted, Emit, Event, SourceOpened, TagCopied
from oci_push.model.digest import Digest
from oci_push.model.outcomes import BlobOutcome, BlobWay, TagMove, TagOutcome
from oci_push.model.trust import SignRule
from oci_push.runtime.context import Context

_OUTCOMES = {BlobWay.THERE: BlobOutcome.EXISTS, BlobWay.MOUNT: BlobOutcome.MOUNTED, BlobWay.SEND: BlobOutcome.UPLOADED}


class ImageForecast(Struct, frozen=True):
    """One image that would be copied, and what would be done for each of its repositories.

    `signed` are the registries in which it would be signed, each with one that signs.
    """

    source: str
    digest: Digest
    size_bytes: int
    targets: tuple[TargetForecast, ...]
    signed: tuple[tuple[str, SignRule], ...] = ()


class CopyForecast(Struct, frozen=True):
    """What a copy would come to: the rows of `copied` say so of each tag, `images` of what is not there yet.

    `with_referrers`: those would be copied as well, if there are any.
    """

    copied: Copied
    images: tuple[ImageForecast, ...]
    with_referrers: bool

    @property
    def targets(self) -> tuple[TargetForecast, ...]:
        """Return what would be done for each image in each repository."""
        return tuple(target for image in self.images for target in image.targets)


def forecast(
    context: Context,
    pusher: Pusher,
    items: Sequence[CopyItem],
    emit: Emit,
    options: CopyOptions,
    *,
    lists: TagLists | None = None,
    forecaster: Forecaster | None = None,
) -> CopyForecast:
    """Ask what copying these images would do; nothing is written. Raises `ConfigError` as `copy` does.

    A `forecaster` of several calls knows what the earlier ones would have sent.
    """
    forecaster = forecaster or Forecaster(pusher.clients)
    images: list[ImageForecast] = []
    lock = threading.Lock()

    def look(unit: PushUnit, one: Pusher, inner: Context, told: Emit) -> UnitResult:
        try:
            plan = plan_unit(unit, one.speaking(told), inner)
            found = forecaster.forecast(inner, plan)
        except OciPushError as problem:
            return UnitResult(error=problem)
        root = plan.graph.root.digest
        works = [work.target for work in plan.repositories]
        signed = tuple((to.repository.host, one.rule) for to in works for one in to.signers)
        with lock:
            images.append(ImageForecast(unit.source, root, plan.graph.size_bytes, found, signed))
        results = tuple(_as_result(plan, target) for target in found)
        return UnitResult(results, error=next((target.error for target in found if target.error is not None), None))

    def tell(event: Event) -> None:
        if not isinstance(event, CopyStarted | TagCopied | SourceOpened):  # nothing is copied
            emit(event)

    alone = replace(options, referrers=False, served_in=None)
    copied = copy(context, pusher, items, tell, alone, lists=lists, act=look)
    with_referrers = options.referrers and any(image.source.startswith("docker://") for image in images)
    return CopyForecast(copied, in_order(images), with_referrers)


def in_order(images: Iterable[ImageForecast]) -> tuple[ImageForecast, ...]:
    """Return images by repository and tag."""
    return tuple(sorted(images, key=_place))


def _place(image: ImageForecast) -> tuple[object, ...]:
    """Return where an image stands in a list: by repository and tag."""
    return (*((str(one.repository), [tag.tag for tag in one.tags]) for one in image.targets), image.source)


def _as_result(plan: PushPlan, found: TargetForecast) -> PushResult:
    """Return what a push would give that did what was found."""
    root = plan.graph.root
    return PushResult(
        found.repository,
        root.digest,
        root.size,
        root.media_type,
        tuple(
            TagResult(tag.tag, TagOutcome.UNCHANGED if tag.move is TagMove.UNCHANGED else TagOutcome.PUSHED)
            for tag in found.tags
        ),
        tuple(
            BlobResult(b.digest, b.size, _OUTCOMES[b.way], bytes_sent=b.size if b.way is BlobWay.SEND else 0)
            for b in found.blobs
        ),
        found.error,
    )
