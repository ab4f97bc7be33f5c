"""Copies that a registry makes of itself: their rules, what those mean for a repository, and how far a copy is.

What a cloud allows of rules is its provider's business (`ReplicationLimits`).
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from oci_push.model.digest import Digest
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Repository
from oci_push.runtime.context import Context


class Place(Struct, frozen=True, order=True):
    """One account's registry in one region; an empty account is the own one."""

    region: str
    account: str

    def __str__(self) -> str:
        return f"{self.account} in {self.region}" if self.account else self.region


class Rule(Struct, frozen=True):
    """Copy what is pushed to repositories with one of `prefixes` (none: to any) to `destinations`.

    Deletions and moved-away tags are passed on only where `deletes` says so.
    """

    destinations: tuple[Place, ...]
    prefixes: tuple[str, ...] = ()
    deletes: bool = False

    def __str__(self) -> str:
        what = ", ".join(f"{prefix}*" for prefix in self.prefixes) or "every repository"
        where = ", ".join(str(place) for place in self.destinations)
        return f"{what} to {where}{', deletions too' if self.deletes else ''}"

    def covers(self, path: str) -> bool:
        """Return whether a repository's images are copied."""
        return not self.prefixes or any(path.startswith(prefix) for prefix in self.prefixes)


class ReplicaState(Struct, frozen=True):
    """How far a copy is that the registry makes itself: ``IN_PROGRESS``, ``COMPLETE`` or ``FAILED``, and why."""

    place: Place
    status: str
    failure: str = ""


class ReplicationLimits(Protocol):
    """What a cloud allows of replication rules."""

    @property
    def usual_rules(self) -> int:
        """The number of rules that every registry takes."""
        ...

    def rule_problems(self, rule: Rule, home: Place) -> tuple[str, ...]:
        """Return all that would be refused in one rule of the registry `home`; an empty account means the own one."""
        ...

    def rules_problems(self, rules: tuple[Rule, ...]) -> tuple[str, ...]:
        """Return all that would be refused in the rules together."""
        ...


class Replication(Protocol):
    """See and set the copies that a registry makes of itself."""

    @property
    def limits(self) -> ReplicationLimits:
        """What may be set."""
        ...

    def home(self, context: Context) -> Place:
        """Return which registry this is."""
        ...

    def rules(self, context: Context) -> tuple[Rule, ...]:
        """Return the rules."""
        ...

    def set_rules(self, context: Context, rules: tuple[Rule, ...]) -> None:
        """Replace all rules."""
        ...

    def states(self, context: Context, repository: Repository, digest: Digest) -> tuple[ReplicaState, ...]:
        """Return how far an image's copies are; nothing is listed before the registry has begun."""
        ...

    def moved(self, endpoint: RegistryEndpoint, place: Place) -> RegistryEndpoint:
        """Return how the same registry is reached in another place; raises ``ValueError`` where it cannot be."""
        ...


def destinations(rules: tuple[Rule, ...], path: str) -> tuple[Place, ...]:
    """Return where a repository's images are copied to, each place once."""
    return tuple(dict.fromkeys(place for rule in rules if rule.covers(path) for place in rule.destinations))


class Difference(Struct, frozen=True):
    """What setting new rules would remove and add; rules have no names, so a changed one is both."""

    removed: tuple[Rule, ...]
    added: tuple[Rule, ...]


def compare(old: tuple[Rule, ...], new: tuple[Rule, ...]) -> Difference:
    """Return the difference; the order of rules, destinations and prefixes means nothing."""
    before, after = ({_key(rule): rule for rule in rules} for rules in (old, new))
    return Difference(
        tuple(rule for key, rule in before.items() if key not in after),
        tuple(rule for key, rule in after.items() if key not in before),
    )


def settle(rules: tuple[Rule, ...], home: Place) -> tuple[Rule, ...]:
    """Return the rules with the own account in places that leave theirs open."""
    return tuple(
        replace(rule, destinations=tuple(replace(p, account=p.account or home.account) for p in rule.destinations))
        for rule in rules
    )


def _key(rule: Rule) -> tuple[frozenset[Place], frozenset[str], bool]:
    return frozenset(rule.destinations), frozenset(rule.prefixes), rule.deletes
