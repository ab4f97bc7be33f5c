"""Checking a pipeline against the registries and variables that are known: the vendor's check with context.

Numbers and words are the vendor's (200 to 207, 400), so that people find them. Where its rules come from a hosted
service and would refuse what runs here, ours are wider: a registry with a port is a host, every AWS region of the usual
shape is one, a variable whose value is known counts as its value. What only the vendor refuses is kept apart, in
`Diagnostics.upstream`. Steps in hooks are checked too, as warnings, which the vendor does not do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from oci_push.errors import Diagnostic
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Location, YamlEntry, YamlMapping
from oci_push.language.integrations import Config
from oci_push.language.registry_choice import (
    AWS_CODE,
    INVALID_REGION,
    INVALID_ROLE,
    LATER,
    NONE_ADDED,
    ChosenRegistry,
    RegistryRefusal,
    begins_with_variable,
    choose_registry,
    does_not_exist,
    not_for,
    refuse_context,
    refuse_registry,
)
from oci_push.language.scalars import VARIABLE, step_type, text, texts, walk_hooks, walk_steps
from oci_push.language.schema_steps import AWS_KEYS, PUSH_STEP
from oci_push.language.steps import AwsKeys, PushStep, Text
from oci_push.providers.families import is_region

_MIXED = re.compile(r"\t\s|\s\t")
_VENDORS_HOST = re.compile(
    r"(?:https?://)?(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9][a-z0-9-]*[a-z0-9](?::\d+)?(?:/[a-z0-9%@_.~+&:-]*)*"
    r"(?:\?[a-z0-9%@_.,;&~+:=-]*)?(?:#[a-z0-9_-]*)?",
    re.IGNORECASE | re.ASCII,
)

_VENDORS_REGIONS = frozenset(
    f"{area}-{number}"
    for area, numbers in {
        "us-east": "12",
        "us-west": "12",
        "af-south": "1",
        "ap-east": "1",
        "ap-south": "1",
        "ap-northeast": "123",
        "ap-southeast": "12",
        "ca-central": "1",
        "eu-central": "1",
        "eu-west": "123",
        "eu-north": "1",
        "me-south": "1",
        "sa-east": "1",
    }.items()
    for number in numbers
)
"""The vendor's closed list, which lacks many regions."""


class Known(Struct, frozen=True):
    """What pipelines may refer to: a configuration's registries, and `lookup`, which gives a variable's value."""

    config: Config
    lookup: Callable[[str], str | None]

    def beside(self, variables: Mapping[str, str], lacking: Mapping[str, Diagnostic]) -> Known:
        """Return the same with variables that the file brings along; what only lacks its value counts as known."""

        def lookup(name: str) -> str | None:
            found = self.lookup(name)
            if found is None and name in lacking:
                return f"${{{{{name}}}}}"
            return variables.get(name) if found is None else found

        return Known(self.config, lookup)

    def fill(self, text: Text) -> str | None:
        """Return a text with the values of variables, or nothing where one has none before a run."""

        def value(found: re.Match[str]) -> str:
            known = self.lookup(found[1].strip())
            return found[0] if known is None else known

        filled = VARIABLE.sub(value, text.text)
        return None if "${{" in filled else filled


def check_tabs(text: str, path: str, diagnostics: Diagnostics) -> None:
    """Refuse lines in which tabs and other blanks stand side by side, wherever that is."""
    for number, line in enumerate(text.split("\n"), 1):
        found = _MIXED.search(line)
        if found is not None:
            location = Location(path, number, found.start() + 1)
            hint = "replace all tabs with spaces"
            diagnostics.error(location, "", "Your YAML contains both spaces and tabs.", code=400, hint=hint)


def check_registries(root: YamlMapping, known: Known, diagnostics: Diagnostics) -> None:
    """Check every step of an expanded pipeline against what is known."""
    checker = _Checker(known, diagnostics)
    for step, path in _mappings(walk_steps(root.get("steps"), "steps")):
        checker.step(step, path)
        _check_hooks(step, path, known, diagnostics)
    _check_hooks(root, "", known, diagnostics)


def check_without_registries(root: YamlMapping, diagnostics: Diagnostics) -> None:
    """Warn about AWS keys that no registry can make right, where the registries are not known."""
    checker = _Checker(Known(Config(), lambda _: None), Diagnostics())
    for step, path in _mappings(walk_steps(root.get("steps"), "steps")):
        if step_type(step) == "push":
            checker.aws_alone(step, path)
    diagnostics.warnings.extend(checker.diagnostics.errors)


def _check_hooks(owner: YamlMapping, path: str, known: Known, diagnostics: Diagnostics) -> None:
    inside = Diagnostics()
    for step, at in walk_hooks(owner, path):
        if isinstance(step, YamlMapping):
            _Checker(known, inside).step(step, at)
    diagnostics.warnings.extend([*inside.errors, *inside.warnings])


def _mappings(steps: Iterator[tuple[YamlEntry, str]]) -> Iterator[tuple[YamlMapping, str]]:
    return ((entry.value, path) for entry, path in steps if isinstance(entry.value, YamlMapping))


class _Checker(Struct, frozen=True):
    known: Known
    diagnostics: Diagnostics

    def step(self, step: YamlMapping, path: str) -> None:
        kind = step_type(step)
        if kind == "push":
            self._push(step, path)
        elif kind in ("build", "composition"):
            self._check_unsupported(step, path)

    def aws_alone(self, node: YamlMapping, path: str) -> None:
        aws = AWS_KEYS.read(node)
        for one in refuse_registry(LATER, None, self.known.config, self.known.fill, aws=aws, at=node.location):
            self._tell(one, node, path)

    def _push(self, node: YamlMapping, path: str) -> None:
        config, fill = self.known.config, self.known.fill
        step, aws = PUSH_STEP.read(node), AWS_KEYS.read(node)
        context = step.registry_context and refuse_context(step.registry_context, config, fill)
        if context:
            self._tell(context, node, path)
        if step.registry is None and node.entry("registry") is not None:
            return  # said before: it is no text
        chosen = choose_registry(step.registry, config, fill, step.provider)
        self._say_upstream(step, aws, chosen, node, path)
        if step.registry is not None and not chosen.is_own_ecr:
            self._say_variable(step.registry, path)
        elif chosen.integration is not None and len(config.integrations) > 1:
            message = f"You are using the default registry integration '{chosen.name}'."
            hint = "name the registry to be sure: registry: NAME"
            self.diagnostics.warn(node.location, f"{path}.registry", message, code=203, hint=hint)
        for one in refuse_registry(chosen, step.registry, config, fill, aws=aws, at=node.location):
            self._tell(one, node, path)

    def _tell(self, refusal: RegistryRefusal, node: YamlMapping, path: str) -> None:
        """Tell what a run would refuse; what another call may put right is a warning."""
        tell = self.diagnostics.warn if refusal.may_pass else self.diagnostics.error
        where = f"{path}.{refusal.key}"
        tell(_location(node, refusal.key), where, refusal.message, code=refusal.code, hint=refusal.hint)

    def _say_variable(self, named: Text, path: str) -> None:
        """Warn about a variable that nothing defines so far."""
        variable = VARIABLE.search(named.text)
        if variable is None or self.known.lookup(variable[1].strip()) is not None:
            return
        if "." in variable[1] and not variable[1].strip().startswith("secrets."):
            return  # an output of a step, which only a run knows
        message = (
            f"Your registry integration uses a variable '{variable[1]}' that is not configured and will fail without"
            " defining it."
        )
        hint = f"give it: --var {variable[1].strip()}=VALUE, or variables: in oci-push.yaml"
        self.diagnostics.warn(named.location, f"{path}.registry", message, code=201, hint=hint)

    def _say_upstream(self, step: PushStep, aws: AwsKeys, chosen: ChosenRegistry, node: YamlMapping, path: str) -> None:
        """Note what the vendor refuses of a registry and its AWS keys, and a run does not."""
        written = step.registry.text if step.registry else ""
        if _VENDORS_HOST.fullmatch(written) or not chosen.is_known:
            return
        at, where, config = _location(node, "registry"), f"{path}.registry", self.known.config
        if chosen.is_own_ecr:
            hint = "provider: ecr needs no registry"
        elif chosen.is_later:
            hint = "it is checked here when the variable has a value"
        else:
            hint = "it is a host here" if step.registry else "without a registry Docker Hub is meant here"
        if not config.integrations:
            self._refused(Text("", at), where, NONE_ADDED, 200, hint)
        elif written and not begins_with_variable(written) and config.find(written) is None:
            self._refused(Text("", at), where, does_not_exist(written), 202, hint)
        if chosen.host and step.registry:
            return
        region, role = aws.region, aws.role_arn
        if region and not begins_with_variable(region.text) and region.text not in _VENDORS_REGIONS:
            hint = "every region of the usual shape is accepted here"
            if is_region(region.text) or "${{" in region.text:
                self._refused(region, f"{path}.region", INVALID_REGION, AWS_CODE, hint)
        elif region and (chosen.is_own_ecr or (step.registry is None and _is_ecr(chosen))):
            hint = "provider: ecr needs no registry" if chosen.is_own_ecr else "the default registry is ECR's"
            self._refused(region, f"{path}.region", not_for("undefined", "region"), AWS_CODE, hint)
        if role and "${{" in role.text:
            hint = "it is checked here when the variable has a value"
            self._refused(role, f"{path}.role_arn", INVALID_ROLE, AWS_CODE, hint)

    def _check_unsupported(self, step: YamlMapping, path: str) -> None:
        """Check steps that are not run here, whose registries matter to the vendor alone."""
        find, hint = self.known.config.find, f"{step_type(step)} steps are not run here"
        seen: set[str] = set()
        for context in texts(step.get("registry_contexts")):
            found, where = find(context.text), f"{path}.registry_contexts"
            if begins_with_variable(context.text):
                continue
            if found is None:
                self._refused(context, where, does_not_exist(context.text), 202, hint)
            elif found.domain in seen:
                message = f"Registry contexts contains registries with same domain '{found.domain}'"
                self._refused(context, where, message, 207, hint)
            else:
                seen.add(found.domain)
        for key in ("registry", "registry_context"):
            written = text(step.get(key))
            if written is None or begins_with_variable(written.text) or find(written.text) is not None:
                continue
            if key != "registry" or _VENDORS_HOST.fullmatch(written.text) is None:
                self._refused(written, f"{path}.{key}", does_not_exist(written.text), 202, hint)

    def _refused(self, at: Text, path: str, message: str, code: int, hint: str) -> None:
        self.diagnostics.refused_upstream(at.location, path, message, code=code, hint=hint)


def _is_ecr(chosen: ChosenRegistry) -> bool:
    return chosen.integration is not None and chosen.integration.provider == "ecr"


def _location(step: YamlMapping, key: str) -> Location:
    found = step.get(key)
    return found.location if found is not None else step.location
