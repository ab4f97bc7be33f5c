"""Push an image as a plan says: the repositories that wait for nobody first, then those that mount from them.

Repositories are independent of one another: one that fails never hides another's result, and what was done before a
failure stays in its result. All-or-nothing binds them together: no tag moves anywhere before all of the image is
everywhere, and tags that have moved are put back when another repository fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field

from oci_push.engine.artifacts.attachment import AttachedResult
from oci_push.engine.plan import PushPlan
from oci_push.engine.repository_push import RepositoryPush, Step
from oci_push.engine.tags import TagResult
from oci_push.engine.transfer import BlobResult, SentAhead
from oci_push.errors import ContentMismatchError, OciPushError
from oci_push.events import Emit
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.outcomes import ReplicaOutcome, TagOutcome
from oci_push.model.reference import Repository
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.context import Context
from oci_push.runtime.costs import Cost
from oci_push.runtime.tasks import run_all
from oci_push.sources.base import ImageReader

if TYPE_CHECKING:
    from oci_push.providers.replication import Place

Ahead: TypeAlias = Mapping[tuple[RegistryEndpoint, Repository], SentAhead]
_ROLLBACK_S = 30.0
"""How long tags are put back after a cancel, which asked for an end and not for half of a push."""


class PushOptions(Struct, frozen=True):
    """How careful a push is: `verify` reads back what was pushed, `all_or_nothing` moves all tags or none.

    `tells_what_stays` asks a source's registry what refers to the image and does not come along. `root` is the digest
    that goes out, if somebody has decided that: another is refused.
    """

    verify: bool = False
    all_or_nothing: bool = False
    tells_what_stays: bool = True
    root: Digest | None = None


class PushResult(Struct, frozen=True):
    """What became of one repository; `error` is ``None`` on success.

    `verified` says that all of it was read back; `repaired` is what had to be sent again for that. `was_there` says
    that the root was found there, whatever became of its tags. `cost` is that of this repository; of a registry's image
    it counts what was asked of the source for it. `round_trip_s` is what connecting took.
    """

    repository: Repository
    root: Digest
    root_size: int
    media_type: str
    tags: tuple[TagResult, ...]
    blobs: tuple[BlobResult, ...]
    error: OciPushError | None = None
    seconds: float = 0.0
    verified: bool = False
    repaired: tuple[Digest, ...] = ()
    cost: Cost = field(default_factory=Cost)
    round_trip_s: float | None = None
    attached: tuple[AttachedResult, ...] = ()
    was_there: bool = False


class ReplicaResult(Struct, frozen=True):
    """What became of one place that is to serve the image as well; `error` is ``None`` where it does."""

    place: Place
    repository: Repository
    outcome: ReplicaOutcome
    error: OciPushError | None = None
    seconds: float = 0.0


def push(
    plan: PushPlan,
    source: ImageReader,
    clients: RegistryClients,
    context: Context,
    emit: Emit,
    options: PushOptions | None = None,
    ahead: Ahead = MappingProxyType({}),
) -> tuple[PushResult, ...]:
    """Push the plan's image to each of its repositories and return their results in the plan's order.

    `ahead` is what came to some of them before (`engine.ahead`).
    Raises only what is no repository's own: `ContentMismatchError` for another image than was decided on. A cancel of
    `context` still gives results, with the reason in each.
    """
    options = options or PushOptions()
    root = plan.graph.root.digest
    if options.root not in (None, root):
        raise ContentMismatchError(
            f"{source.name}: is {root}, and {options.root} was to be pushed",
            hint="the source has changed, or is another one here: lay out the work again",
        )
    pushes = [
        RepositoryPush(plan, work, source, clients, emit, ahead.get((work.target.endpoint, work.target.repository)))
        for work in plan.repositories
    ]
    checks: tuple[Step, ...] = ()
    if options.verify:
        from oci_push.engine.verify import verify

        checks = (verify,)

    content: tuple[Step, ...] = (RepositoryPush.send_content,)
    beside: tuple[Step, ...] = ()
    if plan.attached:
        from oci_push.engine.artifacts.attach import step_of

        beside += (step_of(plan.attached, clients, checks),)
    if any(work.target.signers for work in plan.repositories):
        from oci_push.engine.signing.step import prepare, signing_step

        content = (prepare, *content)
        beside += (signing_step(clients, checks),)
    # A tag that names the image finds what is attached to it, too, and no tag names what is not signed yet.
    content += (RepositoryPush.put_root, *beside) if beside else ()
    first_tag = (RepositoryPush.put_first_tag,) if beside else ()

    def push_whole(one: RepositoryPush, inner: Context) -> None:
        one.attempt(inner, *content, *first_tag, RepositoryPush.put_tags, *checks)
        one.tell_end()

    def push_without_tags(one: RepositoryPush, inner: Context) -> None:
        one.attempt(inner, *content, RepositoryPush.put_root, RepositoryPush.read_tags)

    def put_tags(one: RepositoryPush, inner: Context) -> None:
        one.attempt(inner, RepositoryPush.put_first_tag, RepositoryPush.put_tags, *checks)

    if options.all_or_nothing:
        _in_waves(context, pushes, push_without_tags)
        if not any(one.error for one in pushes):
            _in_waves(context, pushes, put_tags)
        if any(one.error for one in pushes):
            _roll_back(context, pushes)
        for one in pushes:
            one.tell_end()
    else:
        _in_waves(context, pushes, push_whole)

    done = [one.work.target.repository for one in pushes if one.error is None]
    if source.origin and options.tells_what_stays:
        from oci_push.engine.left_behind import tell_what_stays  # only copies leave something behind

        tell_what_stays(context, clients, source.origin, done, plan.graph.nodes, emit)
    return tuple(_result(one, clients.distance_s(one.work.target.endpoint)) for one in pushes)


def _in_waves(context: Context, pushes: Sequence[RepositoryPush], act: Step) -> None:
    """Act on every repository at once, but on those that wait for another one after it."""
    for wave in ([p for p in pushes if p.work.after is None], [p for p in pushes if p.work.after is not None]):
        outcomes = run_all(context, [partial(act, one) for one in wave], limit=len(wave))
        for one, outcome in zip(wave, outcomes, strict=True):
            if isinstance(outcome.error, OciPushError):
                one.error = outcome.error  # cancelled before it began
            elif outcome.error is not None:
                raise outcome.error


def _roll_back(context: Context, pushes: Sequence[RepositoryPush]) -> None:
    """Put the tags of all repositories back, and say of those that had not failed why they are not tagged."""
    failed = next(one for one in pushes if one.error)
    jobs = [lambda inner, one=one: one.restore_tags(inner.spending(one.costs)) for one in pushes]
    run_all(context.shielded(_ROLLBACK_S), jobs, limit=len(pushes))
    for one in pushes:
        if one.error is None:
            why = f"the push to {failed.work.target.repository} failed"
            one.error = OciPushError(f"{one.work.target.repository}: not tagged, as {why}")


def _result(one: RepositoryPush, distance_s: float | None) -> PushResult:
    target, root = one.work.target, one.root
    return PushResult(
        target.repository,
        root.digest,
        root.size,
        root.media_type,
        tuple(one.tags.get(tag, TagResult(tag, TagOutcome.NOT_REACHED)) for tag in target.tags),
        tuple(one.blobs[blob.digest] for blob in one.work.blobs if blob.digest in one.blobs),
        one.error,
        one.seconds,
        one.is_verified,
        tuple(dict.fromkeys(one.repaired)),
        one.costs.total(),
        distance_s,
        tuple(one.attached),
        one.was_there,
    )
