"""One push as plain data, and doing it: the seam between deciding what is pushed and pushing it.

A unit names registries and never holds a login: the pusher that performs it knows how each is reached. Unit and result
can be written as JSON and read back (`oci_push.forms`), so that another process may do the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.engine.artifacts.attachment import Attachment
from oci_push.engine.plan import PushPlan, PushTarget
from oci_push.engine.push import PushOptions, PushResult, ReplicaResult
from oci_push.engine.pusher import REPLICATION_S, Pusher
from oci_push.engine.signing.required import checking
from oci_push.errors import ConfigError, OciPushError, RegistryError
from oci_push.events import Emit
from oci_push.model.changes import NOTHING, Changed, Changes
from oci_push.model.digest import Digest
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository
from oci_push.model.trust import SignRule
from oci_push.runtime.context import Context
from oci_push.runtime.costs import Cost, Costs
from oci_push.runtime.phases import REPLICATION, SOURCE, timed
from oci_push.sources.base import ImageReader
from oci_push.sources.files import SpoolSpace

if TYPE_CHECKING:
    from oci_push.engine.signing.signer import Signer
    from oci_push.sources.made import Content

_NOT_SPARSE = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_INVALID"})
"""How registries say that a part of an index is not there."""


class UnitTarget(Struct, frozen=True):
    """A repository and its tags; `registry` is a name that the pusher knows, empty for what it finds by host.

    `before` is what tags name now, as in `PushTarget`. `is_signed`: the oci-push.yaml of whoever decided this push says
    who signs there, so that of whoever does it must, too.
    """

    repository: Repository
    tags: tuple[str, ...]
    registry: str = ""
    before: Mapping[str, Digest | None] = field(default_factory=dict)
    is_signed: bool = False


class PushUnit(Struct, frozen=True):
    """One push. `source` is a SOURCE as on the command line, `registry` names what it is pulled from, as in a target.

    `platform` is the only image of an index that goes out, empty for all. `served_in` are regions that must serve the
    image in the end, none named: those of the registry's replication rules; ``None`` where nothing is waited for.
    `is_final` says that nobody tries again: what was pushed is waited for although another target has failed.
    `options` replace those of the pusher. `changes` are what is changed of the image on its way. `attach` becomes
    artifacts about the image, in every target. `sign` says with which keys it is signed, beside what the targets'
    registries say. `is_beside` is for what goes with an image, or is there: it is neither seen to be signed nor signed
    because of what oci-push.yaml says of registries.
    """

    source: str
    targets: tuple[UnitTarget, ...]
    registry: str = ""
    platform: Platform | None = None
    served_in: tuple[str, ...] | None = None
    is_final: bool = False
    options: PushOptions | None = None
    changes: Changes = NOTHING
    attach: tuple[Attachment, ...] = ()
    sign: tuple[SignRule, ...] = ()
    is_beside: bool = False


class UnitResult(Struct, frozen=True):
    """What became of a unit; `error` is the first, whatever it belongs to. `image_id` is the configuration's digest.

    `changed` is there where the image has gone out under another digest than it had. `manifests` are those of the
    image, the root last. `cost` is that of all of it: of reading the source and of waiting for regions, too.
    """

    results: tuple[PushResult, ...] = ()
    image_id: str = ""
    error: OciPushError | None = None
    replicas: tuple[ReplicaResult, ...] = ()
    changed: Changed | None = None
    manifests: tuple[Digest, ...] = ()
    cost: Cost = field(default_factory=Cost)
    seconds: float = 0.0

    @property
    def trouble(self) -> OciPushError | None:
        """Return the error if it belongs neither to one repository nor to one region."""
        own = {*(str(one.error) for one in self.results), *(str(one.error) for one in self.replicas)}
        return None if str(self.error) in own else self.error


Act: TypeAlias = Callable[[PushUnit, Pusher, Context, Emit], UnitResult]
"""Do a push: `perform`, or what has it done elsewhere, or lays it out."""


def perform(unit: PushUnit, pusher: Pusher, context: Context, emit: Emit) -> UnitResult:
    """Open the source, plan, execute, and wait for regions; what goes wrong is in the result."""
    costs, began = Costs(), context.clock.monotonic()
    done = _perform(unit, pusher.speaking(emit), context.spending(costs), emit)
    return replace(done, cost=costs.total(), seconds=context.clock.monotonic() - began)


def _perform(unit: PushUnit, pusher: Pusher, context: Context, emit: Emit) -> UnitResult:
    try:
        with _opened(unit, pusher, context) as (source, targets), _attached(unit, pusher, context) as contents:
            plan, results = pusher.push(source, targets, context, unit.platform, unit.options, contents)
            changed = source.changed
            results = tuple(_explained(one, unit.changes) for one in results)
    except OciPushError as problem:
        return UnitResult(error=problem)
    failed = next((result.error for result in results if result.error is not None), None)
    manifests = tuple(node.digest for node in plan.graph.nodes)
    done = UnitResult(results, image_id_of(plan.graph.root), failed, changed=changed, manifests=manifests)
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


def plan_unit(unit: PushUnit, pusher: Pusher, context: Context, *, signs: bool = True) -> PushPlan:
    """Return what `perform` would execute; nothing is written, and no target is asked anything (`engine.forecast`).

    But for an image that was pulled: whether it keeps its digest depends on what its targets have. Unless `signs`, keys
    are not read: another does the push.
    """
    with _opened(unit, pusher, context, signs=signs) as (source, targets), _attached(unit, pusher, context) as contents:
        pusher.find_stored(source, targets, context, plans=True)
        return pusher.plan(source, targets, context, unit.platform, contents)


@contextmanager
def _opened(
    unit: PushUnit, pusher: Pusher, context: Context, *, signs: bool = True
) -> Iterator[tuple[ImageReader, tuple[PushTarget, ...]]]:
    targets = tuple(_target(unit, one, pusher, signs=signs) for one in unit.targets)
    given = pusher.named(unit.registry)
    check = None if unit.is_beside else checking(context, pusher, unit.source, given)
    began = context.clock.monotonic()
    with pusher.open(
        unit.source,
        context,
        given=given,
        targets=len(targets),
        changes=unit.changes,
        platform=unit.platform,
        check=check,
    ) as source:
        context.costs.spent(SOURCE, context.clock.monotonic() - began)
        yield source, targets


def _target(unit: PushUnit, one: UnitTarget, pusher: Pusher, *, signs: bool) -> PushTarget:
    target = replace(pusher.target(one.repository, one.tags, pusher.named(one.registry)), before=one.before)
    return with_signers(pusher, target, _rules(unit, one, pusher)) if signs else target


def rules_at(one: UnitTarget, pusher: Pusher) -> tuple[SignRule, ...]:
    """Return what oci-push.yaml says of who signs at a target."""
    endpoint = pusher.described(one.repository, pusher.named(one.registry))
    return endpoint.sign if endpoint is not None else ()


def signers_at(unit: PushUnit, one: UnitTarget, pusher: Pusher) -> tuple[Signer, ...]:
    """Return who signs at a target; raises `ConfigError` where a key cannot be read, or nobody signs who must."""
    rules = _rules(unit, one, pusher)
    return pusher.signers.of(rules) if rules else ()


def _rules(unit: PushUnit, one: UnitTarget, pusher: Pusher) -> tuple[SignRule, ...]:
    said = () if unit.is_beside else rules_at(one, pusher)
    if one.is_signed and not said:
        host = one.repository.host
        raise ConfigError(
            f"what goes to {host} is to be signed, and the oci-push.yaml of this worker does not say by whom",
            hint=f"write sign: for {host} into that file, and name it there: --config, or OCI_PUSH_CONFIG",
        )
    return (*unit.sign, *said)


def with_signers(pusher: Pusher, target: PushTarget, rules: Sequence[SignRule]) -> PushTarget:
    """Return a target with who signs what is pushed there; raises `ConfigError` for what cannot be read."""
    if not rules:
        return target
    below = [rule for rule in rules if rule.recursive]
    return replace(target, signers=pusher.signers.of(rules), recursive=pusher.signers.of(below))


@contextmanager
def _attached(unit: PushUnit, pusher: Pusher, context: Context) -> Iterator[tuple[Content, ...]]:
    """Read what is to be attached, before anything is sent."""
    if not unit.attach:
        yield ()
        return
    from oci_push.engine.artifacts.attach import read_attachments

    spool = SpoolSpace(pusher.reading.temp_folder, pusher.reading.spool_bytes)
    try:
        yield read_attachments(context, unit.attach, spool, pusher.reading.limits)
    finally:
        spool.close()


@timed(REPLICATION)
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
