"""Replication rules: their limits, what they cover, how two sets differ."""

from __future__ import annotations

import pytest

from oci_push.providers.ecr.replication_rules import rule_problems, rules_problems
from oci_push.providers.replication import Place, Rule, compare, destinations, settle

HOME = Place("eu-west-1", "123456789012")
AWAY = Place("us-east-1", "123456789012")
OTHER = Place("eu-west-1", "210987654321")


def test_a_rule_without_prefixes_covers_everything_and_each_place_counts_once() -> None:
    rules = (Rule((AWAY,)), Rule((AWAY, OTHER), ("prod/",)), Rule((Place("ap-south-1", "1"),), ("dev/",)))
    assert destinations(rules, "prod/app") == (AWAY, OTHER)
    assert destinations(rules, "production") == (AWAY,)


def test_own_accounts_are_filled_in() -> None:
    assert settle((Rule((Place("us-east-1", ""), OTHER)),), HOME) == (Rule((AWAY, OTHER)),)


def test_order_makes_no_difference() -> None:
    difference = compare((Rule((AWAY, OTHER), ("a/", "b/")),), (Rule((OTHER, AWAY), ("b/", "a/")),))
    assert (difference.removed, difference.added) == ((), ())


def test_a_changed_rule_is_removed_and_added() -> None:
    old, new = Rule((AWAY,)), Rule((AWAY,), deletes=True)
    difference = compare((old, Rule((OTHER,))), (new, Rule((OTHER,))))
    assert (difference.removed, difference.added) == ((old,), (new,))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule(()), "has no destination"),
        (Rule((AWAY, AWAY)), "names a destination twice"),
        (Rule((Place("nowhere", ""),)), "'nowhere' is not an AWS region"),
        (Rule((Place("us-east-1", "12"),)), "account '12' is not 12 digits"),
        (Rule((HOME,)), "own region"),
        (Rule((Place("eu-west-1", ""),)), "own region"),
        (Rule((AWAY,), ("a",)), "prefix 'a' must be"),
        (Rule((AWAY,), ("Prod/",)), "prefix 'Prod/' must be"),
        (Rule((AWAY,), tuple(f"p{n}/" for n in range(101))), "101 prefixes, at most 100"),
    ],
)
def test_each_limit_of_a_rule_is_checked(rule: Rule, message: str) -> None:
    (problem,) = rule_problems(rule, HOME)
    assert message in problem


@pytest.mark.parametrize("rule", [Rule((AWAY, OTHER), ("prod/", "team-a", "x_y.z/")), Rule((AWAY,), deletes=True)])
def test_what_ecr_takes_passes(rule: Rule) -> None:
    assert rule_problems(rule, HOME) == ()


def test_rules_are_counted_together() -> None:
    assert rules_problems(tuple(Rule((AWAY,), (f"p{n}/",)) for n in range(25))) == ()
    assert "26 rules, at most 25" in rules_problems(tuple(Rule((AWAY,), (f"p{n}/",)) for n in range(26)))[0]
    many = tuple(Rule((Place("us-east-1", f"{n:012}"),)) for n in range(13))
    more = (Rule(tuple(Place("us-west-2", f"{n:012}") for n in range(13))),)
    assert "26 different destinations over all rules, at most 25" in rules_problems(many + more)[0]
