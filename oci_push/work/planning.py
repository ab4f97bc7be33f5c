"""Laying out work: pushes become units, pinned to their digests, with hints about their large blobs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from oci_push.engine.graph import ImageGraph
from oci_push.engine.plan import SMALL_BYTES
from oci_push.engine.push import PushResult
from oci_push.engine.pusher import Pusher
from oci_push.engine.tags import TagResult
from oci_push.engine.unit import Act, PushUnit, UnitResult, UnitTarget, plan_unit, rules_at
from oci_push.errors import ConfigError, OciPushError
from oci_push.events import Emit, ignore
from oci_push.model.digest import Digest
from oci_push.model.outcomes import TagOutcome
from oci_push.model.reference import Repository
from oci_push.runtime.cache import Cache
from oci_push.runtime.context import Context
from oci_push.work.units import WorkUnit

_MOST_LARGE = 16
"""How many large blobs of an image are waited for and hinted at; what is shared is mostly among the largest."""
_MOST_MOUNTS = 2
Backups: TypeAlias = Mapping[tuple[Repository, str], str]
"""Which tag keeps what a repository's tag names, before that is overwritten."""


class Seen(Struct, frozen=True):
    """What was read of an image: the digest that goes out, and its large blobs, the largest first."""

    root: Digest | None = None
    large: tuple[Digest, ...] = ()

    @classmethod
    def of(cls, graph: ImageGraph) -> Seen:
        """Return what is worth knowing of an image."""
        sizes = {blob.digest: blob.size for blob in graph.blobs if blob.size > SMALL_BYTES}
        return cls(graph.root.digest, tuple(sorted(sizes, key=lambda one: (-sizes[one], str(one)))[:_MOST_LARGE]))


def split(push: PushUnit) -> tuple[PushUnit, ...]:
    """Return a push as one for each registry, so that one that is slow or gone keeps nobody waiting.

    All-or-nothing binds its targets together, so it stays whole.
    """
    if push.options is not None and push.options.all_or_nothing:
        return (push,)
    parts: dict[str, list[UnitTarget]] = {}
    for one in push.targets:
        parts.setdefault(one.repository.host, []).append(one)
    return tuple(replace(push, targets=tuple(part)) for part in parts.values())


def look(push: PushUnit, pusher: Pusher, context: Context) -> Seen:
    """Read the manifests of an image; nothing is asked of a target. Raises what goes wrong with the source."""
    if push.source == "-":
        raise ConfigError("-: stdin can be read once, and whoever does a unit has another", hint="name a file")
    return Seen.of(plan_unit(push, pusher.speaking(ignore), context, signs=False).graph)


def units_of(
    push: PushUnit, seen: Seen, pusher: Pusher, *, referrers: bool = False, backups: Backups | None = None
) -> tuple[WorkUnit, ...]:
    """Return the units of a push, with where oci-push.yaml wants it signed, and what is known of its large blobs."""
    if not push.is_beside:
        targets = tuple(replace(one, is_signed=bool(rules_at(one, pusher))) for one in push.targets)
        push = replace(push, targets=targets)
    return tuple(
        WorkUnit.of(
            part,
            seen.root,
            referrers=referrers,
            backup=backup,
            large=seen.large,
            mounts=_mounts(part, seen.large, pusher.cache),
        )
        for part, backup in _parts(push, backups or {})
    )


def _parts(push: PushUnit, backups: Backups) -> Iterator[tuple[PushUnit, str]]:
    """Return the parts of a push, each with the tag that keeps what it overwrites.

    What is kept is a part of its own: one that cannot be kept stops no other.
    """
    rest: list[UnitTarget] = []
    for one in push.targets:
        kept = [tag for tag in one.tags if (one.repository, tag) in backups]
        yield from ((replace(push, targets=(replace(one, tags=(tag,)),)), backups[one.repository, tag]) for tag in kept)
        if not one.tags or len(kept) < len(one.tags):
            rest.append(replace(one, tags=tuple(tag for tag in one.tags if tag not in kept)))
    yield from ((part, "") for part in split(replace(push, targets=tuple(rest))) if part.targets)


def _mounts(push: PushUnit, large: Sequence[Digest], memory: Cache) -> dict[Digest, tuple[Repository, ...]]:
    found: dict[Digest, tuple[Repository, ...]] = {}
    targets = {one.repository.host: one.repository.path for one in push.targets}
    for digest in large:
        known = tuple(
            Repository(host, path)
            for host, near in targets.items()
            for path in memory.find_mounts(host, digest, near, _MOST_MOUNTS)
        )
        if known:
            found[digest] = known
    return found


class Seeds:
    """Which unit brings a large blob to a registry first; those after it mount it there."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, Digest], str] = {}

    def after(self, unit: WorkUnit) -> tuple[str, ...]:
        """Return the keys of earlier units that a unit waits for, and remember what it will bring."""
        found: dict[str, None] = {}
        for host in unit.hosts:
            for digest in unit.large:
                if any(one.host == host for one in unit.mounts.get(digest, ())):
                    continue
                first = self._first.setdefault((host, digest), unit.key)
                if first != unit.key:
                    found[first] = None
        return tuple(found)


def in_waves(units: Iterable[WorkUnit]) -> tuple[WorkUnit, ...]:
    """Return units with what each waits for; one that is there twice is left out."""
    seeds = Seeds()
    single = {unit.key: unit for unit in units}
    return tuple(replace(unit, after=seeds.after(unit)) for unit in single.values())


class Layout:
    """Collects units in the place of pushes: `act` gives what `copying.copy` calls, which so decides what is copied."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._units: list[WorkUnit] = []

    def act(self, *, referrers: bool, backups: Backups | None = None) -> Act:
        """Return what lays out a push, and returns what it would come to."""

        def lay(push: PushUnit, pusher: Pusher, context: Context, emit: Emit) -> UnitResult:
            try:
                seen = look(push, pusher, context)
            except OciPushError as problem:
                return UnitResult(error=problem)
            self.add(units_of(push, seen, pusher, referrers=referrers, backups=backups))
            return UnitResult(tuple(_as_if_pushed(one, seen) for one in push.targets))

        return lay

    def add(self, units: Iterable[WorkUnit]) -> None:
        """Take in units."""
        with self._lock:
            self._units += units

    def units(self) -> tuple[WorkUnit, ...]:
        """Return what was laid out, in an order that is the same each time."""
        with self._lock:
            return in_waves(sorted(self._units, key=lambda one: (one.name, one.key)))


def _as_if_pushed(target: UnitTarget, seen: Seen) -> PushResult:
    tags = tuple(TagResult(tag, TagOutcome.PUSHED) for tag in target.tags)
    root = seen.root
    assert root is not None  # noqa: S101  # a graph has one
    return PushResult(target.repository, root, 0, "", tags, ())
