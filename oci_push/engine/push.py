"""Execute a plan: the legs that wait for nobody first, then those that mount from them.

A leg is independent of the others: one failing never hides another's result, and what a leg did before it failed
stays in its result. All-or-nothing binds them together: no tag moves anywhere before all of the image is everywhere,
and tags that have moved are put back when another fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from oci_push.engine.left_behind import tell_what_stays
from oci_push.engine.plan import PushPlan, RepositoryPlan
from oci_push.engine.repository_push import RepositoryPush
from oci_push.engine.tags import TagResult
from oci_push.engine.transfer import BlobResult
from oci_push.engine.verify import verify
from oci_push.errors import OciPushError
from oci_push.events import Emit, TargetFinished, TargetStarted
from oci_push.model.digest import Digest
from oci_push.model.outcomes import TagOutcome
from oci_push.model.reference import Repository
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.sources.base import Source

_UNDO_S = 30.0
"""How long tags are put back after a cancel, which asked for an end and not for half of a push."""


class PushOptions(Struct, frozen=True):
    """Say how careful a push is: `verify` reads back what was pushed, `all_or_nothing` moves all tags or none."""

    verify: bool = False
    all_or_nothing: bool = False


class PushResult(Struct, frozen=True):
    """Tell what became of one repository; `error` is ``None`` on success.

    `verified` says that all of it was read back; `repaired` is what had to be sent again for that.
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


class _State(Struct):
    """One leg while the push goes on."""

    leg: RepositoryPlan
    run: RepositoryPush
    error: OciPushError | None = None
    seconds: float = 0.0


def execute(
    plan: PushPlan,
    source: Source,
    clients: RegistryClients,
    context: Context,
    emit: Emit,
    push_options: PushOptions | None = None,
) -> tuple[PushResult, ...]:
    """Push the plan's image to every leg's repository and give their results in the plan's order.

    Raises only what is no leg's own: a cancel of `context` still gives results, with the reason in each.
    """
    push_options = push_options or PushOptions()
    states = []
    for leg in plan.legs:
        run = RepositoryPush(plan, leg, source, clients, emit)
        states.append(_State(leg, run))
    if push_options.all_or_nothing:
        _all_or_nothing(states, context, emit, push_options)
    else:
        _each_leg(states, context, lambda inner, state: _whole(inner, state, push_options), emit)
    _tell_what_stays(plan, source, clients, context, emit, [state for state in states if state.error is None])
    return tuple(_result(state) for state in states)


def _tell_what_stays(
    plan: PushPlan, source: Source, clients: RegistryClients, context: Context, emit: Emit, done: list[_State]
) -> None:
    """Say what of an image that was copied from a registry has not come along."""
    origin = source.origin
    if origin is None or all(state.leg.target.repository == origin[1] for state in done) or context.is_cancelled:
        return
    try:
        tell_what_stays(context, clients.repository(*origin), plan.graph.nodes, emit)
    except OciPushError:
        return  # the end of the scope: the images are where they should be


def _whole(context: Context, state: _State, push_options: PushOptions) -> None:
    state.run.send_content(context)
    state.run.put_tags(context)
    if push_options.verify:
        verify(state.run, context)


def _all_or_nothing(states: list[_State], context: Context, emit: Emit, push_options: PushOptions) -> None:
    def prepare(inner: Context, state: _State) -> None:
        state.run.send_content(inner)
        state.run.put_root(inner)
        state.run.each(inner, state.leg.target.tags, state.run.tags.read)

    def tag(inner: Context, state: _State) -> None:
        state.run.put_tags(inner)
        if push_options.verify:
            verify(state.run, inner)

    _each_leg(states, context, prepare, emit, finish=False)
    if not any(state.error for state in states):
        _each_leg(states, context, tag, emit, start=False, finish=False)
    failed = next((state for state in states if state.error), None)
    if failed is not None:
        _undo(states, failed, context)
    for state in states:
        _finished(state, emit)


def _undo(states: list[_State], failed: _State, context: Context) -> None:
    outlives = context.shielded(_UNDO_S)
    run_all(outlives, [lambda s, state=state: state.run.restore_tags(s) for state in states], limit=len(states))  # type: ignore[misc]
    for state in states:
        if state.error is None:
            state.error = OciPushError(
                f"{state.leg.target.repository}: not tagged, as the push to {failed.leg.target.repository} failed"
            )


def _each_leg(
    states: list[_State],
    context: Context,
    act: Callable[[Context, _State], None],
    emit: Emit,
    *,
    start: bool = True,
    finish: bool = True,
) -> None:
    """Act on every leg, keeping its failure in its state; `start` and `finish` tell listeners of its begin and end."""

    def one(inner: Context, state: _State) -> None:
        began = inner.clock.monotonic()
        target = state.leg.target
        if start:
            emit(TargetStarted(target.repository, target.tags))
        try:
            act(inner, state)
        except OciPushError as problem:
            state.error = state.run.explain(inner, problem)
            state.run.gave_up(problem)
        state.seconds += inner.clock.monotonic() - began
        if finish:
            _finished(state, emit)

    for wave in _waves(states):
        outcomes = run_all(context, [lambda s, state=state: one(s, state) for state in wave], limit=len(wave))  # type: ignore[misc]
        for state, outcome in zip(wave, outcomes, strict=True):
            if isinstance(outcome.error, OciPushError):
                state.error = outcome.error  # cancelled before it began
            elif outcome.error is not None:
                raise outcome.error


def _finished(state: _State, emit: Emit) -> None:
    error = str(state.error) if state.error else ""
    emit(TargetFinished(state.leg.target.repository, state.run.root.digest, error))


def _waves(states: list[_State]) -> Iterator[list[_State]]:
    """Group legs: first those that wait for nobody, then the rest."""
    yield [state for state in states if state.leg.after is None]
    rest = [state for state in states if state.leg.after is not None]
    if rest:
        yield rest


def _result(state: _State) -> PushResult:
    target, root, progress = state.leg.target, state.run.root, state.run.progress
    return PushResult(
        target.repository,
        root.digest,
        root.size,
        root.media_type,
        tuple(progress.tags.get(tag, TagResult(tag, TagOutcome.NOT_REACHED)) for tag in target.tags),
        tuple(progress.blobs[blob.digest] for blob in state.leg.blobs if blob.digest in progress.blobs),
        state.error,
        state.seconds,
        progress.is_verified,
        tuple(dict.fromkeys(progress.repaired)),
    )
