"""Replication of a registry as its owner configures it: rules, their limits, and what they mean for a repository.

Limits: ECR API reference, PutReplicationConfiguration, and the user guide, "Private image replication". AWS checks
them one at a time or not at all; here all are checked at once, before it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from oci_push.providers.ecr.host import is_region

MOST_RULES, USUAL_RULES = 25, 10
"""More than ten rules are accepted by newer registries only."""
MOST_DESTINATIONS, MOST_FILTERS = 25, 100
_PREFIX = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*")


class Place(Struct, frozen=True, order=True):
    """Name one account's registry in one region; an empty account is the own one."""

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
        """Say whether a repository's images are copied."""
        return not self.prefixes or any(path.startswith(prefix) for prefix in self.prefixes)


def destinations(rules: tuple[Rule, ...], path: str) -> tuple[Place, ...]:
    """Return where a repository's images are copied to, each place once."""
    return tuple(dict.fromkeys(place for rule in rules if rule.covers(path) for place in rule.destinations))


class Difference(Struct, frozen=True):
    """What setting new rules would remove and add; rules have no names, so a changed one is both."""

    removed: tuple[Rule, ...]
    added: tuple[Rule, ...]


def compare(old: tuple[Rule, ...], new: tuple[Rule, ...]) -> Difference:
    """Find the difference; the order of rules, destinations and prefixes means nothing."""
    before, after = ({_key(rule): rule for rule in rules} for rules in (old, new))
    return Difference(
        tuple(rule for key, rule in before.items() if key not in after),
        tuple(rule for key, rule in after.items() if key not in before),
    )


def settle(rules: tuple[Rule, ...], home: Place) -> tuple[Rule, ...]:
    """Name the own account in places that leave theirs open."""
    return tuple(
        replace(rule, destinations=tuple(replace(p, account=p.account or home.account) for p in rule.destinations))
        for rule in rules
    )


def rule_problems(rule: Rule, home: Place) -> tuple[str, ...]:
    """List everything ECR would refuse in one rule of the registry `home`; an empty account means the own one."""
    return tuple(_rule(rule, home))


def rules_problems(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """List everything ECR would refuse in the rules together."""
    return tuple(_rules(rules))


def _rules(rules: tuple[Rule, ...]) -> Iterator[str]:
    if len(rules) > MOST_RULES:
        yield f"{len(rules)} rules, at most {MOST_RULES} are allowed"
    everywhere = {place for rule in rules for place in rule.destinations}
    if len(everywhere) > MOST_DESTINATIONS:
        yield f"{len(everywhere)} different destinations over all rules, at most {MOST_DESTINATIONS} are allowed"


def _rule(rule: Rule, home: Place) -> Iterator[str]:
    if not rule.destinations:
        yield "has no destination"
    if len(set(rule.destinations)) < len(rule.destinations):
        yield "names a destination twice"
    for place in rule.destinations:
        if not is_region(place.region) or len(place.region) > 25:
            yield f"{place.region!r} is not an AWS region"
        if place.account and not re.fullmatch(r"[0-9]{12}", place.account):
            yield f"account {place.account!r} is not 12 digits"
        if place.region == home.region and place.account in ("", home.account):
            yield f"{place.region} is the registry's own region"
    if len(rule.prefixes) > MOST_FILTERS:
        yield f"{len(rule.prefixes)} prefixes, at most {MOST_FILTERS} are allowed"
    for prefix in rule.prefixes:
        if not (2 <= len(prefix) <= 256 and _PREFIX.fullmatch(prefix)):
            yield f"prefix {prefix!r} must be 2 to 256 characters of a repository name"


def _key(rule: Rule) -> tuple[frozenset[Place], frozenset[str], bool]:
    return frozenset(rule.destinations), frozenset(rule.prefixes), rule.deletes
