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

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.document import Location, Node, Scalar, YamlMapping, YamlSequence, load
from oci_push.providers.ecr.replication_rules import Place, Rule, rule_problems, rules_problems


def load_rules(text: str | bytes, path: str, home: Place) -> tuple[Rule, ...]:
    """Read rules for the registry `home` and check every limit; raises `ConfigError` with all that is wrong."""
    reader = _Reader()
    rules = reader.rules(load(text, path).root, home)
    if reader.problems:
        raise ConfigError(problems=reader.problems)
    return rules


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Diagnostic] = []

    def rules(self, root: Node, home: Place) -> tuple[Rule, ...]:
        top = self._mapping(root, ("rules",), "the file")
        listed = top.get("rules") if top else None
        if top is not None and listed is None:
            self._say(top.mark, '"rules" is required', "an empty list switches replication off")
        found: list[Rule] = []
        for node in self._list(listed, "rules"):
            rule = self._rule(node)
            if rule is not None:
                found.append(rule)
                for problem in rule_problems(rule, home):
                    self._say(node.mark, problem)
        for problem in rules_problems(tuple(found)):
            self._say(root.mark, problem)
        return tuple(found)

    def _rule(self, node: Node) -> Rule | None:
        values = self._mapping(node, ("destinations", "prefixes", "deletes"), "a rule")
        if values is None:
            return None
        deletes = values.get("deletes")
        if deletes is not None and not (isinstance(deletes, Scalar) and isinstance(deletes.value, bool)):
            self._say(deletes.mark, '"deletes" must be true or false')
        places = [self._place(item) for item in self._list(values.get("destinations"), "destinations")]
        prefixes = [self._text(item, "a prefix") for item in self._list(values.get("prefixes"), "prefixes")]
        if any(place is None for place in places):
            return None
        return Rule(
            tuple(place for place in places if place is not None),
            tuple(prefixes),
            isinstance(deletes, Scalar) and deletes.value is True,
        )

    def _place(self, node: Node) -> Place | None:
        values = self._mapping(node, ("region", "account"), "a destination")
        if values is None:
            return None
        region, account = values.get("region"), values.get("account")
        if region is None:
            self._say(node.mark, '"region" is required')
            return None
        # The text as written: an account number that begins with 0 must not become another number.
        return Place(self._text(region, "region"), self._text(account, "account") if account is not None else "")

    def _mapping(self, node: Node, keys: tuple[str, ...], what: str) -> YamlMapping | None:
        if not isinstance(node, YamlMapping):
            self._say(node.mark, f"{what} must be a mapping with {', '.join(keys)}")
            return None
        for entry in node.entries:
            if entry.key.text not in keys:
                self._say(entry.key.mark, f'"{entry.key.text}" is not allowed', f"{what} takes {', '.join(keys)}")
        return node

    def _list(self, node: Node | None, what: str) -> tuple[Node, ...]:
        if node is None:
            return ()
        if not isinstance(node, YamlSequence):
            self._say(node.mark, f'"{what}" must be a list')
            return ()
        return node.items

    def _text(self, node: Node, what: str) -> str:
        if isinstance(node, Scalar) and node.text:
            return node.text
        self._say(node.mark, f"{what} must be a text")
        return ""

    def _say(self, mark: Location, message: str, hint: str | None = None) -> None:
        self.problems.append(Diagnostic(message, mark.file, mark.line, mark.column, hint=hint))
