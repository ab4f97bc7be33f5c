"""Pushes of a run done by an engine: decided here, done elsewhere, and told here as if it were here."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from oci_push.engine.pusher import Pusher
from oci_push.engine.signing.required import checking
from oci_push.engine.unit import PushUnit, UnitResult, perform
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit, LogMessage, discreet
from oci_push.model.changes import NOTHING
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Reference
from oci_push.runtime.context import Context
from oci_push.runtime.costs import Cost
from oci_push.runtime.tasks import go
from oci_push.sources.table import GRAMMAR
from oci_push.work.dispatch import Dispatcher, learn_places
from oci_push.work.engine import Engine
from oci_push.work.planning import Seen, look, units_of
from oci_push.work.results import WorkResult
from oci_push.work.worker import Describe

_POLL_S = 0.05


class Remote:
    """Have an engine do pushes; `perform` stands in the place of `engine.unit.perform`. Close it at the end.

    `describe` is what a worker makes of the name of a registry: a push that needs what workers do not have, such as a
    login that is written in a pipeline, is done here.
    """

    def __init__(
        self,
        engine: Engine,
        context: Context,
        limits: Mapping[str, int] | None = None,
        describe: Describe | None = None,
    ) -> None:
        self._engine = engine
        self._context = context
        self._dispatcher = Dispatcher(engine, limits)
        self._describe = describe
        self._ended = threading.Event()
        self._closed = threading.Event()
        go(self._serve)

    def close(self) -> None:
        """End the engine; nothing may be under way."""
        self._ended.set()
        while not self._closed.is_set():
            self._context.clock.wait(self._closed, _POLL_S)
        self._engine.close()

    def perform(self, push: PushUnit, pusher: Pusher, context: Context, emit: Emit) -> UnitResult:
        """Have a push done, and wait for it; a cancel of `context` stops it wherever it is."""
        why = self._why_here(push, pusher)
        if why:
            emit(LogMessage(f"{push.source}: {why}, so it is pushed from here"))
            return perform(push, pusher, context, emit)
        try:
            push, seen = _look(push, pusher, context)
            units = units_of(push, seen, pusher)
        except OciPushError as problem:
            return UnitResult(error=problem)
        results: dict[str, WorkResult] = {}
        ended = threading.Event()

        def done(result: WorkResult) -> None:
            learn_places(result.learned, pusher.cache.remember_blob)
            results[result.key] = result
            if len(results) == len(units):
                ended.set()

        told = discreet(emit)
        wishes = [self._dispatcher.add(unit, told, done) for unit in units]
        is_asked = False
        while not ended.is_set():
            context.clock.wait(ended, _POLL_S)
            if self._closed.is_set() and not ended.is_set():
                return UnitResult(error=OciPushError(f"{push.source}: whoever was to push it has ended"))
            context.expire()
            if context.reason is not None and not is_asked:
                is_asked = True
                for one in wishes:
                    self._dispatcher.cancel(one, context.reason)
        joined = joined_results(push, [results[unit.key].result for unit in units])
        context.costs.add(joined.cost)
        return joined

    def _serve(self) -> None:
        try:
            while not (self._ended.is_set() and self._dispatcher.is_idle):
                self._dispatcher.turn(self._context)
        finally:
            self._closed.set()

    def _why_here(self, push: PushUnit, pusher: Pusher) -> str:
        """Return why a push cannot be done elsewhere; empty where it can."""
        if pusher.is_rehearsal:
            return "a rehearsal's registry is in this process"
        if GRAMMAR.parse(push.source).path == "-":
            return "it is read from stdin"
        for name in dict.fromkeys((*(one.registry for one in push.targets), push.registry)):
            if name and not self._knows(name, pusher.named(name)):
                return f"{name.partition(' ')[2] or name} has a login that no worker has"
        return ""

    def _knows(self, name: str, endpoint: RegistryEndpoint | None) -> bool:
        try:
            return self._describe is not None and self._describe(name) == endpoint
        except ConfigError:
            return False


def _look(push: PushUnit, pusher: Pusher, context: Context) -> tuple[PushUnit, Seen]:
    """Read an image's manifests, where that takes no work that the worker would do again.

    What must be signed is seen to be so here, whatever the worker's oci-push.yaml says; its digest is what is pushed.
    """
    given = pusher.named(push.registry)
    check = None if push.is_beside else checking(context, pusher, push.source, given)
    is_made = push.changes != NOTHING or bool(push.attach)
    if is_made and check is None:
        return push, Seen()
    with pusher.open(push.source, context, given=given, platform=push.platform) as source:
        if source.is_ready and not is_made:
            return push, look(push, pusher, context)
        if check is not None:
            check(source)
            image = Reference.parse(GRAMMAR.parse(push.source).path)
            push = replace(push, source=f"docker://{image.repository}@{source.root(context).digest}")
    return push, Seen()


def joined_results(push: PushUnit, parts: Sequence[UnitResult]) -> UnitResult:
    """Return the results of a push's units as one, its repositories in the order of its targets."""
    if len(parts) == 1:
        return parts[0]
    order = {one.repository: place for place, one in enumerate(push.targets)}
    results = sorted(
        (result for part in parts for result in part.results), key=lambda one: order.get(one.repository, len(order))
    )
    return UnitResult(
        tuple(results),
        next((part.image_id for part in parts if part.image_id), ""),
        next((part.error for part in parts if part.error is not None), None),
        tuple(replica for part in parts for replica in part.replicas),
        next((part.changed for part in parts if part.changed is not None), None),
        next((part.manifests for part in parts if part.manifests), ()),
        sum((part.cost for part in parts), Cost()),
        max(part.seconds for part in parts),
    )
