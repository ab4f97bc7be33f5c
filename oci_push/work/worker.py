"""Doing units: what a worker is, wherever it runs. It has its own logins, and tells what it has learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec.structs import replace

from oci_push.engine.copying.referrers import Referred, ReferrerCopy
from oci_push.engine.copying.tag_lists import TagLists
from oci_push.engine.plan import SMALL_BYTES
from oci_push.engine.push import PushOptions
from oci_push.engine.pusher import Pusher
from oci_push.engine.unit import PushUnit, UnitResult, perform, signers_at
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit
from oci_push.language.integrations import Config
from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository, comparable_host
from oci_push.providers.families import regional
from oci_push.runtime.context import Context
from oci_push.work.memory import Places, WorkMemory
from oci_push.work.results import WorkResult
from oci_push.work.units import WorkUnit

Describe: TypeAlias = Callable[[str], RegistryEndpoint]
"""Return how a registry that a unit names is reached from here; raises `ConfigError`."""


def described_by(config: Config) -> Describe:
    """Return what tells how the registries of an oci-push.yaml are reached that units name: ``push NAME@HOST``."""

    def describe(name: str) -> RegistryEndpoint:
        purpose, _, place = name.partition(" ")
        integration, _, host = place.rpartition("@")
        if not integration:
            return RegistryEndpoint(host)
        found = config.find(integration)
        if found is None:
            raise ConfigError(
                f"registry {integration!r} is not described here", hint="describe it in the oci-push.yaml of the worker"
            )
        endpoint = found.endpoint()
        endpoint = endpoint if not host or endpoint.host == host else _elsewhere(endpoint, host)
        return config.as_pulled(endpoint) if purpose == "pull" else endpoint

    return describe


def _elsewhere(endpoint: RegistryEndpoint, host: str) -> RegistryEndpoint:
    """Return the same registry under another of its hosts, which only a cloud has: in another region."""
    cloud = regional(endpoint.host)
    region = cloud.identity_at(host).region if cloud is not None else ""
    if cloud is not None and region:
        other = cloud.in_region(endpoint, region)
        if other.host == host:
            return other
    raise ConfigError(f"registry {endpoint.name!r} is {endpoint.host} here, and {host} is meant")


def reach(describe: Describe, name: str, host: str) -> RegistryEndpoint:
    """Return how a registry is reached that a unit names for what is at `host`; raises `ConfigError`.

    Whoever wrote the unit must not lead a login for one registry to another.
    """
    found = describe(name)
    if comparable_host(found.host) != comparable_host(host):
        raise ConfigError(f"a unit for {host} names the registry {name.partition(' ')[2]!r}, which is {found.host!r}")
    return found


class Worker:
    """Do units by one pusher, which stays the caller's; for any number of threads.

    `describe` tells how named registries are reached, `name` who this is.
    """

    def __init__(self, pusher: Pusher, describe: Describe, name: str = "") -> None:
        self._places = Places()
        self._pusher = pusher.knowing({}, WorkMemory(pusher.cache, self._places))
        self._describe = describe
        self._name = name

    @property
    def pusher(self) -> Pusher:
        """Return the pusher that it does units by."""
        return self._pusher

    def do(self, unit: WorkUnit, context: Context, emit: Emit) -> WorkResult:
        """Do a unit; what goes wrong is in the result."""
        try:
            registries = {name: reach(self._describe, name, host) for name, host in unit.places}
            pusher = self._pusher.knowing(registries)
            for one in unit.push.targets:
                signers_at(unit.push, one, pusher)  # who has no key gives it back
        except ConfigError as problem:
            return WorkResult(unit.key, unit.name, UnitResult(error=problem), returned=True, worker=self._name)
        self._places.learn(unit.mounts)
        try:
            push = _kept(unit, pusher, context, emit) if unit.backup else unit.push
        except OciPushError as problem:
            return WorkResult(unit.key, unit.name, UnitResult(error=problem), worker=self._name)
        done = perform(push, pusher, context, emit)
        referrers = self._referrers(unit, done, pusher, context, emit) if unit.referrers else None
        learned = _learned(done)
        self._places.learn(learned)
        return WorkResult(unit.key, unit.name, done, referrers, learned=learned, worker=self._name)

    def _referrers(
        self, unit: WorkUnit, done: UnitResult, pusher: Pusher, context: Context, emit: Emit
    ) -> Referred | None:
        """Bring what refers to an image to where that is by now."""
        origin = unit.origin
        there = [one.repository for one in done.results if one.error is None]
        wanted = [one for one in unit.push.targets if one.repository in there]
        if origin is None or unit.root is None or not wanted:
            return None
        lists = TagLists(pusher)
        copy = ReferrerCopy(pusher, lists, unit.push.options or PushOptions(), emit)
        try:
            side = lists.source(origin.repository, unit.push.registry)
            copy.copy(
                context,
                emit,
                side,
                [lists.target(one.repository, one.registry) for one in wanted],
                done.manifests or (unit.root,),
            )
        except OciPushError as problem:
            copy.fail(problem)
        return copy.total()


def _kept(unit: WorkUnit, pusher: Pusher, context: Context, emit: Emit) -> PushUnit:
    """Keep what a unit overwrites; return its push, which need not ask again what the tag names."""
    from oci_push.engine.copying.backup import Backups  # few units have one

    [target] = unit.push.targets
    [tag] = target.tags
    side = TagLists(pusher).target(target.repository, target.registry)
    there = Backups(pusher, emit).keep(context, side, tag, unit.backup, lambda: unit.root)
    return replace(unit.push, targets=(replace(target, before={tag: there}),))


def _learned(done: UnitResult) -> Mapping[Digest, tuple[Repository, ...]]:
    found: dict[Digest, tuple[Repository, ...]] = {}
    for one in done.results:
        if one.error is None:
            for blob in one.blobs:
                if blob.size > SMALL_BYTES:
                    found[blob.digest] = (*found.get(blob.digest, ()), one.repository)
    return found
