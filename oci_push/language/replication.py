"""The file of replication rules that `oci-push ecr replication set` takes.

::

    rules:
      - destinations:
          - region: eu-central-1
          - region: us-east-1
            account: "210987654321"    # left out: the own account
        prefixes: [prod/]              # left out: every repository
        deletes: true                  # pass deletions on; left out: no
"""

from __future__ import annotations

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import YamlMapping, load
from oci_push.language.scalar_rules import Boolean, PlainText
from oci_push.language.scalars import child, items
from oci_push.language.schema import Field, Fields, Items
from oci_push.language.steps import Flag
from oci_push.providers.replication import Place, ReplicationLimits, Rule


def load_rules(text: str | bytes, path: str, home: Place, limits: ReplicationLimits) -> tuple[Rule, ...]:
    """Return the rules for the registry `home`; raises `ConfigError` with all that is wrong, limits included."""
    root = load(text, path).root
    diagnostics = Diagnostics()
    RULES.check("value", root, "", diagnostics)
    found: list[Rule] = []
    for node in items(child(root, "rules")):
        rule = _RULE.read(node)
        if isinstance(node, YamlMapping) and all(place.region for place in rule.destinations):
            found.append(rule)
            for problem in limits.rule_problems(rule, home):
                diagnostics.error(node.location, "rules", problem)
    for problem in limits.rules_problems(tuple(found)):
        diagnostics.error(root.location, "rules", problem)
    diagnostics.raise_errors()
    return tuple(found)


def replication_schema() -> dict[str, object]:
    """Return the JSON Schema of such a file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Replication rules of an ECR registry",
        **RULES.to_json(),
    }


def _place(region: str = "", account: str = "") -> Place:
    return Place(region, account)


def _rule(destinations: tuple[Place, ...] = (), prefixes: tuple[str, ...] = (), deletes: Flag = None) -> Rule:
    return Rule(destinations, prefixes, deletes is True)


_TEXT = PlainText(is_needed=True)
_PLACE = Fields(
    {
        "region": Field(_TEXT, "AWS region to copy to.", required=True),
        "account": Field(_TEXT, "Its account, 12 digits; left out: the own one."),
    },
    into=_place,
    words="a destination must be a mapping with region, account",
)
_RULE = Fields(
    {
        "destinations": Field(Items(_PLACE), "Where images are copied to."),
        "prefixes": Field(Items(_TEXT), "Repositories whose names begin so; left out: every one."),
        "deletes": Field(
            Boolean(strict=True, variable=False, words="be true or false"), "Pass deletions on.", default=False
        ),
    },
    into=_rule,
    words="a rule must be a mapping with destinations, prefixes, deletes",
)
RULES: Fields[None] = Fields(
    {"rules": Field(Items(_RULE), "All rules; an empty list switches replication off.", required=True)},
    words="the file must be a mapping with rules",
)
