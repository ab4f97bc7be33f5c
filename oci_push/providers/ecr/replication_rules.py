"""What ECR accepts of replication rules, and where copies can be.

Limits: ECR API reference, PutReplicationConfiguration, and the user guide, "Private image replication". AWS checks
them one at a time or not at all; here all are checked at once, before it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from oci_push.providers.ecr.host import is_account, is_region
from oci_push.providers.replication import Place, Rule

MOST_RULES, usual_rules = 25, 10
"""More than ten rules are accepted by newer registries only."""
MOST_DESTINATIONS, MOST_FILTERS = 25, 100
_PREFIX = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*")


def rule_problems(rule: Rule, home: Place) -> tuple[str, ...]:
    """Return all that ECR would refuse in one rule of the registry `home`; an empty account means the own one."""
    return tuple(_rule(rule, home))


def rules_problems(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """Return all that ECR would refuse in the rules together."""
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
        if place.account and not is_account(place.account):
            yield f"account {place.account!r} is not 12 digits"
        if place.region == home.region and place.account in ("", home.account):
            yield f"{place.region} is the registry's own region"
    if len(rule.prefixes) > MOST_FILTERS:
        yield f"{len(rule.prefixes)} prefixes, at most {MOST_FILTERS} are allowed"
    for prefix in rule.prefixes:
        if not (2 <= len(prefix) <= 256 and _PREFIX.fullmatch(prefix)):
            yield f"prefix {prefix!r} must be 2 to 256 characters of a repository name"
