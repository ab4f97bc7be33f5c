"""One push as plain data, and doing it: the seam between deciding what is pushed and pushing it.

A unit names registries and never holds a login: the pusher that performs it knows how each is reached. Unit and result
can be written as JSON and read back (`oci_push.forms`), so that another process may do the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.plan import PushPlan, PushTarget
from oci_push.engine.push import PushOptions, PushResult, ReplicaResult
from oci_push.engine.pusher import REPLICATION_S, Pusher
from oci_push.errors import OciPushError, RegistryError
from oci_push.events import Emit
from oci_push.model.changes import NOTHING, Changed, Changes
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader

_NOT_SPARSE = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_INVALID"})
"""How registries say that a part of an index is not there."""


class UnitTarget(Struct, frozen=True):
    """A repository and its tags; `registry` is a name that the pusher knows, empty for what it finds by host."""

    repository: Repository
    tags: tuple[str, ...]
    registry: str = ""


class PushUnit(Struct, frozen=True):
    """One push. `source` is a SOURCE as on the command line, `registry` names what it is pulled from, as in a target.

    `platform` is the only image of an index that goes out, empty for all. `served_in` are regions that must serve the
    image in the end, none named: those of the registry's replication rules; ``None`` where nothing is waited for.
    `is_final` says that nobody tries again: what was pushed is waited for although another target has failed.
    `options` replace those of the pusher. `changes` are what is changed of the image on its way.
    """

    source: str
    targets: tuple[UnitTarget, ...]
    registry: str = ""
    platform: Platform | None = None
    served_in: tuple[str, ...] | None = None
    is_final: bool = False
    options: PushOptions | None = None
    changes: Changes = NOTHING


class UnitResult(Struct, frozen=True):
    """What became of a unit; `error` is the first, whatever it belongs to. `image_id` is the configuration's digest.

    `changed` is there where the image has gone out under another digest than it had.
    """

    results: tuple[PushResult, ...] = ()
    image_id: str = ""
    error: OciPushError | None = None
    replicas: tuple[ReplicaResult, ...] = ()
    changed: Changed | None = None

    @property
    def trouble(self) -> OciPushError | None:
        """Return the error if it belongs neither to one repository nor to one region."""
        own = {*(str(one.error) for one in self.results), *(str(one.error) for one in self.replicas)}
        return None if str(self.error) in own else self.error


def perform(unit: PushUnit, pusher: Pusher, context: Context, emit: Emit) -> UnitResult:
    """Open the source, plan, execute, and wait for regions; what goes wrong is in the result."""
    pusher = pusher.speaking(emit)
    try:
        with _opened(unit, pusher, context) as (source, targets):
            plan, results = pusher.push(source, targets, context, unit.platform, unit.options)
            changed = source.changed
            results = tuple(_explained(one, unit.changes) for one in results)
    except OciPushError as problem:
        return UnitResult(error=problem)
    failed = next((result.error for result in results if result.error is not None), None)
    done = UnitResult(results, image_id_of(plan.graph.root), failed, changed=changed)
    if (failed is not None and not unit.is_final) or unit.served_in is None or pusher.is_rehearsal:
        return done
    return _served(done, plan, pusher, unit.served_in, context, emit)


def _explained(result: PushResult, changes: Changes) -> PushResult:
    """Return a result whose error says what a registry has against an index whose images are not all there."""
    error = result.error
    if not changes.is_sparse or not isinstance(error, RegistryError) or _NOT_SPARSE.isdisjoint(error.codes):
        return result
    hint = "this registry wants all of an index: leave out --sparse, and a new index of these platforms is made"
    return replace(result, error=error.with_hint(hint))


def plan_unit(unit: PushUnit, pusher: Pusher, context: Context) -> PushPlan:
    """Return what `perform` would execute; nothing is written, and no registry is asked whether it would take it."""
    with _opened(unit, pusher, context) as (source, targets):
        pusher.find_stored(source, targets, context, plans=True)
        return pusher.plan(source, targets, context, unit.platform)


@contextmanager
def _opened(unit: PushUnit, pusher: Pusher, context: Context) -> Iterator[tuple[ImageReader, tuple[PushTarget, ...]]]:
    targets = tuple(pusher.target(one.repository, one.tags, pusher.named(one.registry)) for one in unit.targets)
    given = pusher.named(unit.registry)
    with pusher.open(
        unit.source, context, given=given, targets=len(targets), changes=unit.changes, platform=unit.platform
    ) as source:
        yield source, targets


def _served(
    done: UnitResult, plan: PushPlan, pusher: Pusher, regions: tuple[str, ...], context: Context, emit: Emit
) -> UnitResult:
    """Wait until every region serves what was pushed; a region that does not is the unit's failure."""
    from oci_push.engine.regions import serve_everywhere  # few pushes wait

    found: list[ReplicaResult] = []
    inner = context.child(seconds=REPLICATION_S, what="waiting for replication")
    try:
        for work, result in zip(plan.repositories, done.results, strict=True):
            if result.error is None:
                found += serve_everywhere(inner, pusher.clients, work.target.endpoint, result, regions, emit)
    except OciPushError as problem:
        return replace(done, error=problem, replicas=tuple(found))
    failed = next((replica.error for replica in found if replica.error is not None), None)
    return replace(done, error=done.error or failed, replicas=tuple(found))


def image_id_of(root: Manifest) -> str:
    """Return the digest of an image's configuration; an index has none and stands for itself."""
    return str(root.config.digest if root.config else root.digest)
