"""Bring an image that is in one registry to others of its account's, and see that each serves it.

Where the registry's own rules cover a place, it is waited for; elsewhere the image is copied over HTTP. A place counts
as served only when each tag there names the image: a registry that reports a finished copy may have left out a tag
that could not be moved (ECR user guide, "Private image replication": immutable tags).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from msgspec import Struct

from oci_push.engine.graph import walk
from oci_push.engine.plan import PushTarget, plan_push
from oci_push.engine.push import ReplicaResult, push
from oci_push.errors import ConfigError, DeadlineError, DeniedError, ImmutableTagError, OciPushError, RegistryError
from oci_push.events import Emit, LogMessage, ReplicaDone, ignore
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.outcomes import ReplicaOutcome
from oci_push.model.reference import Reference, Repository
from oci_push.providers.replication import Place, Replication, destinations
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.context import Context
from oci_push.runtime.tasks import run_all
from oci_push.sources.files import SpoolSpace
from oci_push.sources.remote import RemoteSource

_FIRST_WAIT_S, _WAIT_FACTOR, _MOST_WAIT_S = 2.0, 1.5, 30.0
_LOOKS = 3
_COPIES_AT_ONCE = 4


class Original(Struct, frozen=True):
    """An image in the registry it is copied from: by digest, with the tags that count."""

    endpoint: RegistryEndpoint
    repository: Repository
    root: Digest
    tags: tuple[str, ...]


def replicate(
    context: Context,
    clients: RegistryClients,
    original: Original,
    regions: Sequence[str],
    emit: Emit,
) -> tuple[ReplicaResult, ...]:
    """Come back when every place serves the image, or has failed to; no `regions` means all that the rules name.

    The scope's end is the result of the places that were waited for, not an error of the whole.
    """
    replication = clients.cloud_services(original.endpoint).replication
    if replication is None:
        raise ConfigError(
            f"{original.endpoint.host}: its replication cannot be followed",
            hint="only ECR's private registries, with an AWS identity, tell about theirs",
        )
    home = replication.home(context)
    covered = destinations(replication.rules(context), original.repository.path)
    wanted = _wanted(covered, home, regions)
    if not wanted:
        raise ConfigError(
            f"{original.repository}: no replication rule of {home} covers it, and no other region was asked for",
            hint="give --regions or replicate: with regions, or set rules with `oci-push ecr replication set`",
        )
    run = _Replication(context, clients, original, replication, emit)
    waited = [place for place in wanted if place in covered]
    copied = [place for place in wanted if place not in covered]
    jobs: list[Callable[[Context], list[ReplicaResult]]] = [lambda s: run.follow(s, waited)] if waited else []
    jobs += [lambda s, place=place: [run.copy(s, place)] for place in copied]  # type: ignore[misc]
    outcomes = run_all(context, jobs, limit=_COPIES_AT_ONCE + 1)
    for outcome in outcomes:
        if outcome.error is not None and not isinstance(outcome.error, DeadlineError):
            raise outcome.error
    found = {result.place: result for outcome in outcomes for result in outcome.value or ()}
    return tuple(found.get(place) or run.late(context, place, "") for place in wanted)


def nearest(
    places: Sequence[RegistryEndpoint], distance_s: Callable[[RegistryEndpoint], float | None]
) -> RegistryEndpoint:
    """Choose where to copy from: the bytes pass through us, so the registry nearest to us; the first when unknown."""
    measured = {place: distance_s(place) for place in places}
    return min(places, key=lambda place: float("inf") if measured[place] is None else measured[place] or 0.0)


def _wanted(covered: tuple[Place, ...], home: Place, regions: Sequence[str]) -> tuple[Place, ...]:
    if not regions:
        return covered
    found: list[Place] = []
    for region in regions:
        here = [place for place in covered if place.region == region]
        found += here or [Place(region, home.account)]
    return tuple(dict.fromkeys(place for place in found if place != home))


class _Replication:
    """What the jobs of one image share; `finished` grows while they run."""

    def __init__(
        self,
        context: Context,
        clients: RegistryClients,
        original: Original,
        replication: Replication,
        emit: Emit,
    ) -> None:
        self._started = context.clock.monotonic()
        self._clients = clients
        self._original = original
        self._replication = replication
        self._emit = emit
        self._lock = threading.Lock()
        self._finished = [original.endpoint]

    def follow(self, context: Context, places: Sequence[Place]) -> list[ReplicaResult]:
        """Poll until the registry has finished, or given up, every place; slower and slower."""
        original = self._original
        results: dict[Place, ReplicaResult] = {}
        seen: dict[Place, str] = {}
        wait = _FIRST_WAIT_S
        try:
            while True:
                for state in self._replication.states(context, original.repository, original.root):
                    if state.place not in places or state.place in results:
                        continue
                    seen[state.place] = state.status
                    if state.status == "COMPLETE":
                        results[state.place] = self._served(context, state.place, ReplicaOutcome.REPLICATED)
                    elif state.status == "FAILED":
                        error = RegistryError(
                            f"{original.repository}@{original.root.short}: replication to {state.place} failed"
                            f" ({state.failure or 'no reason given'})",
                            hint=_FAILED_HINT,
                        )
                        results[state.place] = self._result(context, state.place, ReplicaOutcome.FAILED, error)
                if len(results) == len(places):
                    break
                context.sleep(wait)
                wait = min(_MOST_WAIT_S, wait * _WAIT_FACTOR)
        except DeadlineError:
            for place in places:
                if place not in results:
                    results[place] = self.late(context, place, seen.get(place, ""))
        except RegistryError as error:
            for place in places:
                results.setdefault(place, self._result(context, place, ReplicaOutcome.FAILED, error))
        return list(results.values())

    def copy(self, context: Context, place: Place) -> ReplicaResult:
        """Copy the image from the nearest place that has it."""
        original = self._original
        try:
            endpoint, repository = self._there(place)
            with self._lock:
                finished = tuple(self._finished)
            source_access = nearest(finished, self._clients.distance_s)
            source_repository = Repository(source_access.host, original.repository.path)
            self._emit(
                LogMessage(f"Copying {original.repository}@{original.root.short} from {source_access.host} to {place}")
            )
            client = self._clients.repository(source_access, source_repository)
            reference = Reference(source_repository, "", original.root)
            source = RemoteSource(client, reference, SpoolSpace(None, 0), keep=False)  # streamed, never kept
            graph = walk(context, source, emit=ignore)
            plan = plan_push(graph, (PushTarget(endpoint, repository, original.tags),), origin=None, remembered={})
            (pushed,) = push(plan, source, self._clients, context, self._emit)
            if pushed.error is not None:
                return self._result(context, place, ReplicaOutcome.FAILED, pushed.error)
        except OciPushError as error:
            return self._result(context, place, ReplicaOutcome.FAILED, error)
        return self._served(context, place, ReplicaOutcome.COPIED)

    def _served(self, context: Context, place: Place, how: ReplicaOutcome) -> ReplicaResult:
        """Look at each tag where the image has arrived."""
        original = self._original
        endpoint, repository = self._there(place)
        client = self._clients.repository(endpoint, repository)
        try:
            for tag in original.tags:
                there = None
                for look in range(_LOOKS):
                    head = client.head(context, tag)
                    there = head.digest if head else None
                    if there == original.root:
                        break
                    if look < _LOOKS - 1:
                        context.sleep(_FIRST_WAIT_S)
                if there != original.root:
                    return self._result(
                        context, place, ReplicaOutcome.FAILED, _left_out(repository, tag, there, original.root)
                    )
        except DeniedError as error:
            if place.account == self._replication.home(context).account:
                return self._result(context, place, ReplicaOutcome.FAILED, error)
            self._emit(
                LogMessage(f"{repository}: cannot be looked at with this login, so its tags are not checked", "warning")
            )
        except OciPushError as error:
            return self._result(context, place, ReplicaOutcome.FAILED, error)
        with self._lock:
            self._finished.append(endpoint)
        return self._result(context, place, how, None)

    def _there(self, place: Place) -> tuple[RegistryEndpoint, Repository]:
        original = self._original
        try:
            endpoint = self._replication.moved(original.endpoint, place)
        except ValueError as problem:
            raise ConfigError(f"{original.repository}: {problem}") from problem
        return endpoint, Repository(endpoint.host, original.repository.path)

    def late(self, context: Context, place: Place, status: str) -> ReplicaResult:
        """Return that time ran out for a place; `status` is the last that was heard."""
        original = self._original
        hint = "rules apply only to what is pushed after they were set: push the image again, or copy it"
        error = DeadlineError(
            f"{original.repository}@{original.root.short}: not replicated to {place} in time"
            f" ({status or 'not begun'} after {context.clock.monotonic() - self._started:.0f} s)",
            hint=None if status else hint,
        )
        return self._result(context, place, ReplicaOutcome.FAILED, error)

    def _result(
        self, context: Context, place: Place, outcome: ReplicaOutcome, error: OciPushError | None
    ) -> ReplicaResult:
        _, repository = self._there(place)
        seconds = context.clock.monotonic() - self._started
        self._emit(ReplicaDone(repository, self._original.root, outcome, str(error) if error else ""))
        return ReplicaResult(place, repository, outcome, error, seconds)


_FAILED_HINT = (
    "look at the destination: is the region enabled, may this registry write there (registry policy), "
    "is the repository's encryption key usable?"
)


def _left_out(repository: Repository, tag: str, there: Digest | None, wanted: Digest) -> OciPushError:
    where = f"still names {there.short}" if there else "is missing"
    return ImmutableTagError(
        f"{repository}:{tag}: the image {wanted.short} has arrived, but the tag {where}",
        hint="the destination's tags are immutable, or the tag was set again meanwhile; use a new tag",
    )
