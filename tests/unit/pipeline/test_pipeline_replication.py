"""The file of replication rules: what it may hold, and every mistake with its place."""

from __future__ import annotations

import pytest

from oci_push.errors import ConfigError
from oci_push.language.replication import load_rules
from oci_push.providers.ecr import replication_rules
from oci_push.providers.replication import Place, Rule

HOME = Place("eu-west-1", "123456789012")


def test_a_file_is_read_with_its_defaults() -> None:
    text = """
rules:
  - destinations:
      - region: eu-central-1
      - {region: us-east-1, account: 012345678901}
    prefixes: [prod/, team-a]
    deletes: true
  - destinations: [{region: ap-south-1}]
"""
    assert load_rules(text, "rules.yml", HOME, replication_rules) == (
        Rule((Place("eu-central-1", ""), Place("us-east-1", "012345678901")), ("prod/", "team-a"), True),
        Rule((Place("ap-south-1", ""),)),
    )


def test_an_empty_list_switches_replication_off() -> None:
    assert load_rules("rules: []", "rules.yml", HOME, replication_rules) == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "rules.yml:1:1: the file must be a mapping with rules"),
        ("rule: []", 'rules.yml:1:1: "rule" is not allowed'),
        ("{}", 'rules.yml:1:1: "rules" is required'),
        ("rules: x", 'rules.yml:1:8: "rules" must be an array'),
        ("rules: [x]", "rules.yml:1:9: a rule must be a mapping with destinations, prefixes, deletes"),
        ("rules: [{}]", "rules.yml:1:9: has no destination"),
        ("rules: [{destinations: [{account: '1'}]}]", 'rules.yml:1:25: "region" is required'),
        ("rules: [{destinations: [{region: [a]}]}]", 'rules.yml:1:34: "region" must be a string'),
        ("rules: [{destinations: [{region: us-east-1}], deletes: yes}]", '"deletes" must be true or false'),
        ("rules: [{destinations: [{region: eu-west-1}]}]", "eu-west-1 is the registry's own region"),
        ("rules: [{destinations: [{region: us-east-1, account: 1}]}]", "account '1' is not 12 digits"),
        (f"rules: [{', '.join(['{destinations: [{region: us-east-1}]}'] * 26)}]", "26 rules, at most 25"),
    ],
)
def test_each_mistake_has_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_rules(text, "rules.yml", HOME, replication_rules)
    assert problem in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    text = "rules:\n  - destinations: [{region: nowhere}]\n    delete: 1\n  - destinations: []\n"
    with pytest.raises(ConfigError) as caught:
        load_rules(text, "rules.yml", HOME, replication_rules)
    assert len(caught.value.problems) == 3
