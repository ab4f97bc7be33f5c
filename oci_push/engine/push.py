"""Execute a plan: blobs before manifests, children before the index, the root before any further tag.

A leg is independent of the others: one failing never hides another's result, and what a leg did before it
failed stays in its result. Legs on one registry follow its first one, to mount from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oci_push.engine.plan import Leg, PushPlan
from oci_push.engine.transfer import BlobOutcome, BlobResult, transfer
from oci_push.errors import ImmutableTagError, OciPushError, RegistryError, UploadRejectedError
from oci_push.events import BlobDone, Emit, LegFinished, LegStarted, ManifestDone, TagDone
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Repository
from oci_push.registry.connections import Connections
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.scope import Scope
from oci_push.runtime.tasks import first_error, run_all
from oci_push.sources.base import Source

_TAGS_AT_ONCE = 10
"""What a registry that takes several tags in one PUT should accept (distribution-spec after 1.1.1)."""


@dataclass(frozen=True, slots=True)
class TagResult:
    """Tell what became of one tag: ``pushed``, ``unchanged``, ``failed`` or ``not reached``."""

    tag: str
    outcome: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class PushResult:
    """Tell what became of one repository; `error` is ``None`` on success."""

    repository: Repository
    root: Digest
    root_size: int
    media_type: str
    tags: tuple[TagResult, ...]
    blobs: tuple[BlobResult, ...]
    error: OciPushError | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class _Progress:
    blobs: list[BlobResult] = field(default_factory=list)
    tags: dict[str, TagResult] = field(default_factory=dict)


def execute(
    plan: PushPlan, source: Source, connections: Connections, scope: Scope, emit: Emit
) -> tuple[PushResult, ...]:
    """Push the plan's image to every leg's repository and give their results in the plan's order.

    Raises only what is no leg's own: a cancel of `scope` still gives results, with the reason in each.
    """
    results: dict[int, PushResult] = {}
    for wave in _waves(plan.legs):
        outcomes = run_all(
            scope,
            [lambda s, leg=leg: _leg(plan, leg, source, connections, s, emit) for leg in wave],  # type: ignore[misc]
            limit=len(wave),
        )
        for leg, outcome in zip(wave, outcomes, strict=True):
            if outcome.error is not None and not isinstance(outcome.error, OciPushError):
                raise outcome.error
            results[leg.number] = outcome.value or _unreached(plan, leg, outcome.error)
    return tuple(results[leg.number] for leg in plan.legs)


def _waves(legs: tuple[Leg, ...]) -> list[list[Leg]]:
    """Group legs: first those that wait for nobody, then the rest."""
    first = [leg for leg in legs if leg.after is None]
    rest = [leg for leg in legs if leg.after is not None]
    return [first, rest] if rest else [first]


def _leg(plan: PushPlan, leg: Leg, source: Source, connections: Connections, scope: Scope, emit: Emit) -> PushResult:
    clock = scope.clock
    started = clock.monotonic()
    target, root = leg.target, plan.graph.root
    client = connections.repository(target.access, target.repository)
    progress = _Progress()
    emit(LegStarted(target.repository, target.tags))
    error: OciPushError | None = None
    try:
        _run(plan, leg, source, connections, client, scope, emit, progress)
    except OciPushError as problem:
        error = problem
    tags = tuple(progress.tags.get(tag, TagResult(tag, "not reached")) for tag in target.tags)
    emit(LegFinished(target.repository, root.digest, str(error) if error else ""))
    return PushResult(
        target.repository,
        root.digest,
        root.size,
        root.media_type,
        tags,
        tuple(progress.blobs),
        error,
        clock.monotonic() - started,
    )


def _run(
    plan: PushPlan,
    leg: Leg,
    source: Source,
    connections: Connections,
    client: RepositoryClient,
    scope: Scope,
    emit: Emit,
    progress: _Progress,
) -> None:
    root = plan.graph.root
    is_new = client.head(scope, str(root.digest), push=True) is None
    if is_new:
        _send_blobs(leg, source, connections, client, scope, emit, progress)
        _put_children(plan, client, scope, connections, emit)
        _put_root(root, leg, client, scope, emit, progress)
    else:
        for blob in leg.blobs:
            progress.blobs.append(BlobResult(blob.digest, blob.size, BlobOutcome.EXISTS))
            emit(BlobDone(client.repository, blob.digest, blob.size, BlobOutcome.EXISTS.value))
        emit(ManifestDone(client.repository, root.digest, "exists"))
    _put_tags(root, leg, client, scope, connections, emit, progress, is_new=is_new)


def _send_blobs(
    leg: Leg,
    source: Source,
    connections: Connections,
    client: RepositoryClient,
    scope: Scope,
    emit: Emit,
    progress: _Progress,
) -> None:
    # Largest first: a blob cannot be split over connections, so the longest decides when all are done.
    ordered = sorted(leg.blobs, key=lambda blob: -blob.size)
    outcomes = run_all(
        scope,
        [lambda s, blob=blob: transfer(s, client, source, leg, blob, s.clock, emit) for blob in ordered],  # type: ignore[misc]
        limit=connections.width(),
        stop_on_error=True,
    )
    progress.blobs.extend(outcome.value for outcome in outcomes if outcome.value is not None)
    _raise_first(first_error(outcomes))


def _put_children(plan: PushPlan, client: RepositoryClient, scope: Scope, connections: Connections, emit: Emit) -> None:
    done: set[Digest] = set()
    waiting = [node for node in plan.graph.nodes if node.digest != plan.graph.root.digest]
    while waiting:
        known = {node.digest for node in waiting}
        ready = [node for node in waiting if not any(child.digest in known for child in node.children)]
        outcomes = run_all(
            scope,
            [lambda s, node=node: _put_child(client, s, node, emit) for node in ready],  # type: ignore[misc]
            limit=connections.width(),
            stop_on_error=True,
        )
        _raise_first(first_error(outcomes))
        done.update(node.digest for node in ready)
        waiting = [node for node in waiting if node.digest not in done]


def _put_child(client: RepositoryClient, scope: Scope, node: Manifest, emit: Emit) -> None:
    client.put_manifest(scope, node, str(node.digest))
    emit(ManifestDone(client.repository, node.digest, "pushed"))


def _put_root(
    root: Manifest, leg: Leg, client: RepositoryClient, scope: Scope, emit: Emit, progress: _Progress
) -> None:
    """Store the root with all its tags in one request where that is known, else with its first tag."""
    tags = leg.target.tags
    if len(tags) > 1:
        made: frozenset[str] = frozenset()
        for start in range(0, len(tags), _TAGS_AT_ONCE):
            batch = tags[start : start + _TAGS_AT_ONCE]
            named = client.put_with_tags(scope, root, batch)
            if not named:
                break
            made |= named
        for tag in tags:
            if tag in made:
                _tagged(tag, "pushed", root, client, emit, progress)
        if made:
            emit(ManifestDone(client.repository, root.digest, "pushed"))
            return
    if tags:
        _put_tag(tags[0], root, client, scope, emit, progress, ask_first=False)
    else:
        client.put_manifest(scope, root, str(root.digest))
    emit(ManifestDone(client.repository, root.digest, "pushed"))


def _put_tags(
    root: Manifest,
    leg: Leg,
    client: RepositoryClient,
    scope: Scope,
    connections: Connections,
    emit: Emit,
    progress: _Progress,
    *,
    is_new: bool,
) -> None:
    """Set the tags that are still missing: the first alone, since what refuses it refuses all; then the rest.

    An image that was there already may have its tags already: they are asked for, and nothing is sent.
    """
    left = [tag for tag in leg.target.tags if tag not in progress.tags]
    if left and not progress.tags:
        _put_tag(left.pop(0), root, client, scope, emit, progress, ask_first=not is_new)
    outcomes = run_all(
        scope,
        [lambda s, tag=tag: _put_tag(tag, root, client, s, emit, progress, ask_first=not is_new) for tag in left],  # type: ignore[misc]
        limit=connections.width(),
    )
    _raise_first(first_error(outcomes))


def _put_tag(
    tag: str,
    root: Manifest,
    client: RepositoryClient,
    scope: Scope,
    emit: Emit,
    progress: _Progress,
    *,
    ask_first: bool,
) -> None:
    try:
        if ask_first and _points_at(tag, client, scope) == root.digest:
            _tagged(tag, "unchanged", root, client, emit, progress)
            return
        client.put_manifest(scope, root, tag)
    except OciPushError as error:
        if isinstance(error, ImmutableTagError | UploadRejectedError):
            there = _points_at(tag, client, scope)
            if there == root.digest:
                _tagged(tag, "unchanged", root, client, emit, progress)
                return
            if isinstance(error, ImmutableTagError) and there is not None:
                error.message += f": it is {there}, the image is {root.digest}"
        progress.tags[tag] = TagResult(tag, "failed", str(error))
        raise
    _tagged(tag, "pushed", root, client, emit, progress)


def _points_at(tag: str, client: RepositoryClient, scope: Scope) -> Digest | None:
    """Ask where a tag is. ECR refuses to push an immutable tag's own digest again, which is no failure."""
    try:
        there = client.head(scope, tag, push=True)
    except RegistryError:
        return None
    return there.digest if there else None


def _tagged(tag: str, outcome: str, root: Manifest, client: RepositoryClient, emit: Emit, progress: _Progress) -> None:
    progress.tags[tag] = TagResult(tag, outcome)
    emit(TagDone(client.repository, tag, root.digest, root.size, outcome))


def _unreached(plan: PushPlan, leg: Leg, error: BaseException | None) -> PushResult:
    root = plan.graph.root
    return PushResult(
        leg.target.repository,
        root.digest,
        root.size,
        root.media_type,
        tuple(TagResult(tag, "not reached") for tag in leg.target.tags),
        (),
        error if isinstance(error, OciPushError) else None,
    )


def _raise_first(error: BaseException | None) -> None:
    if error is not None:
        raise error
