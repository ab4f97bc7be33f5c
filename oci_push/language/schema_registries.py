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
from oci_push.language.document import Location, Node, Scalar, YamlEntry, YamlMapping
from oci_push.language.integrations import names_host
from oci_push.language.registry_rules import NONE_ADDED, does_not_exist, hint_for_unknown, unknown_registry
from oci_push.language.scalars import VARIABLE, child, step_type, texts, walk_steps
from oci_push.language.schema_push import PushNode, check_aws
from oci_push.language.steps import HOOK_EVENTS, Text

_MIXED = re.compile(r"\t\s|\s\t")
_VENDORS_HOST = re.compile(
    r"(?:https?://)?(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9][a-z0-9-]*[a-z0-9](?::\d+)?(?:/[a-z0-9%@_.~+&:-]*)*"
    r"(?:\?[a-z0-9%@_.,;&~+:=-]*)?(?:#[a-z0-9_-]*)?",
    re.IGNORECASE | re.ASCII,
)


class KnownRegistry(Struct, frozen=True):
    """What is known of one registry of the configuration."""

    name: str
    provider: str = ""
    domain: str = ""
    is_default: bool = False


class Known(Struct, frozen=True):
    """What pipelines may refer to: registries in order, and `lookup`, which gives a variable's value."""

    registries: tuple[KnownRegistry, ...]
    lookup: Callable[[str], str | None]

    def beside(self, variables: Mapping[str, str], lacking: Mapping[str, Diagnostic]) -> Known:
        """Return the same with variables that the file brings along; what only lacks its value counts as known."""

        def lookup(name: str) -> str | None:
            found = self.lookup(name)
            if found is None and name in lacking:
                return f"${{{{{name}}}}}"
            return variables.get(name) if found is None else found

        return Known(self.registries, lookup)

    def find(self, name: str) -> KnownRegistry | None:
        """Find a registry by name."""
        return next((one for one in self.registries if one.name == name), None)

    def default(self) -> KnownRegistry:
        """Return the registry flagged default, else the first; there must be one."""
        return next((one for one in self.registries if one.is_default), self.registries[0])


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
    alone = Diagnostics()
    for step, path in _mappings(walk_steps(root.get("steps"), "steps")):
        if step_type(step) == "push":
            check_aws(PushNode(step, path, is_ecr=False), None, alone)
    diagnostics.warnings.extend(alone.errors)


def _check_hooks(owner: YamlMapping, path: str, known: Known, diagnostics: Diagnostics) -> None:
    inside = Diagnostics()
    for event in HOOK_EVENTS:
        hook = child(owner.get("hooks"), event)
        where = f"{path}.hooks.{event}".lstrip(".")
        if child(hook, "exec") is not None:
            hook, where = child(hook, "exec"), f"{where}.exec"
        steps = child(hook, "steps")
        found = _mappings(walk_steps(steps, f"{where}.steps")) if steps is not None else iter([(hook, where)])
        for step, at in found:
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
            self._context(step, path)
            self._push(step, path)
        elif kind in ("build", "composition"):
            self._check_unsupported(step, path)

    def _push(self, step: YamlMapping, path: str) -> None:
        written = _text(step.get("registry"))
        if written is None and step.entry("registry") is not None:
            return  # said before: it is no text
        is_ecr = _text(step.get("provider")) == "ecr"
        aws = PushNode(step, path, is_ecr=is_ecr)
        if is_ecr:
            self._ecr_upstream(written, step, path)
            check_aws(aws, None, self.diagnostics)
            return
        if written is None:
            self._without(step, path, aws)
            return
        name = self._filled(written)
        found = self.known.find(name) or self.known.find(written)
        if found is not None:
            self._say_variable(written, step, path)
            check_aws(aws, found.provider, self.diagnostics)
        elif _VENDORS_HOST.fullmatch(written):
            return  # as upstream, whose further checks are skipped for hosts
        elif names_host(name):
            self._host_upstream(written, step, path)
        else:
            self._unknown(written, name, step, path, aws)

    def _without(self, step: YamlMapping, path: str, aws: PushNode) -> None:
        """Check a step that names no registry: the default one is used, or Docker Hub with credentials."""
        if not self.known.registries:
            if step.entry("credentials") is None:
                unknown_registry("", ()).tell(step.location, f"{path}.registry", self.diagnostics)
            else:
                hint = "credentials alone mean Docker Hub here"
                self.diagnostics.refused_upstream(step.location, f"{path}.registry", NONE_ADDED, code=200, hint=hint)
            check_aws(aws, "undefined", self.diagnostics)
            return
        default = self.known.default()
        self._say_default(default, step, path)
        check_aws(aws, "undefined", self.diagnostics, role_of=default.provider)

    def _say_default(self, default: KnownRegistry, step: YamlMapping, path: str) -> None:
        if len(self.known.registries) > 1:
            message = f"You are using the default registry integration '{default.name}'."
            hint = "name the registry to be sure: registry: NAME"
            self.diagnostics.warn(step.location, f"{path}.registry", message, code=203, hint=hint)

    def _unknown(self, written: str, name: str, step: YamlMapping, path: str, aws: PushNode) -> None:
        location, where = _location(step, "registry"), f"{path}.registry"
        if not self.known.registries:
            unknown_registry(name, ()).tell(location, where, self.diagnostics)
        elif _is_variable(written):
            if "${{" in name:
                self._say_variable(written, step, path)
            else:
                hint = f"{written} is {name!r}; {self._near(name)}"
                self.diagnostics.warn(location, where, does_not_exist(name), code=202, hint=hint)
        else:
            message = does_not_exist(written)
            self.diagnostics.error(location, where, message, code=202, hint=self._near(name))
        check_aws(aws, None if _is_variable(written) else "undefined", self.diagnostics)

    def _say_variable(self, written: str, step: YamlMapping, path: str) -> None:
        """Warn about a variable that nothing defines so far."""
        variable = VARIABLE.search(written) if _is_variable(written) else None
        if variable is None or self.known.lookup(variable[1].strip()) is not None:
            return
        if "." in variable[1] and not variable[1].strip().startswith("secrets."):
            return  # an output of a step, which only a run knows
        message = (
            f"Your registry integration uses a variable '{variable[1]}' that is not configured and will fail without"
            " defining it."
        )
        hint = f"give it: --var {variable[1].strip()}=VALUE, or variables: in oci-push.yaml"
        self.diagnostics.warn(_location(step, "registry"), f"{path}.registry", message, code=201, hint=hint)

    def _context(self, step: YamlMapping, path: str) -> None:
        """Check the integration that the candidate is pulled with; no host will do there."""
        written = _text(step.get("registry_context"))
        if written is None:
            return
        name = self._filled(written)
        if self.known.find(name) or self.known.find(written) or (_is_variable(written) and "${{" in name):
            return
        message = does_not_exist(written)
        where, hint = f"{path}.registry_context", f"registry_context: {self._near(name)}"
        self.diagnostics.error(_location(step, "registry_context"), where, message, code=202, hint=hint)

    def _check_unsupported(self, step: YamlMapping, path: str) -> None:
        """Check steps that are not run here, whose registries matter to the vendor alone."""
        hint = f"{step_type(step)} steps are not run here"
        seen: set[str] = set()
        for resolve_context in texts(step.get("registry_contexts")):
            found, where = self.known.find(resolve_context.text), f"{path}.registry_contexts"
            if _is_variable(resolve_context.text):
                continue
            if found is None:
                self._refused(resolve_context, where, does_not_exist(resolve_context.text), 202, hint)
            elif found.domain in seen:
                message = f"Registry contexts contains registries with same domain '{found.domain}'"
                self._refused(resolve_context, where, message, 207, hint)
            else:
                seen.add(found.domain)
        for key in ("registry", "registry_context"):
            written = _text(step.get(key))
            is_host = key == "registry" and written is not None and _VENDORS_HOST.fullmatch(written) is not None
            if written is None or is_host or _is_variable(written) or self.known.find(written) is not None:
                continue
            at = Text(written, _location(step, key))
            self._refused(at, f"{path}.{key}", does_not_exist(written), 202, hint)

    def _refused(self, at: Text, path: str, message: str, code: int, hint: str) -> None:
        self.diagnostics.refused_upstream(at.location, path, message, code=code, hint=hint)

    def _ecr_upstream(self, written: str | None, step: YamlMapping, path: str) -> None:
        """Note what upstream says of ``provider: ecr``, where `registry` is ignored by its own documentation."""
        location, where = _location(step, "registry"), f"{path}.registry"
        hint = "provider: ecr needs no registry"
        if written is not None and _VENDORS_HOST.fullmatch(written):
            return
        if not self.known.registries:
            self.diagnostics.refused_upstream(location, where, NONE_ADDED, code=200, hint=hint)
        elif written is not None and not _is_variable(written) and not self.known.find(written):
            message = does_not_exist(written)
            self.diagnostics.refused_upstream(location, where, message, code=202, hint=hint)

    def _host_upstream(self, written: str, step: YamlMapping, path: str) -> None:
        """Note that upstream takes no host without a dot, or with a short last label, for one."""
        location, where, hint = _location(step, "registry"), f"{path}.registry", "it is a host here"
        if not self.known.registries:
            self.diagnostics.refused_upstream(location, where, NONE_ADDED, code=200, hint=hint)
        elif _is_variable(written):
            self._say_variable(written, step, path)
        else:
            message = does_not_exist(written)
            self.diagnostics.refused_upstream(location, where, message, code=202, hint=hint)

    def _near(self, name: str) -> str:
        return hint_for_unknown(name, [one.name for one in self.known.registries])

    def _filled(self, written: str) -> str:
        """Put in the values of known variables; the others stay."""
        return VARIABLE.sub(self._value, written)

    def _value(self, found: re.Match[str]) -> str:
        value = self.known.lookup(found[1].strip())
        return found[0] if value is None else value


def _is_variable(text: str) -> bool:
    """Say whether upstream leaves a value to the run: it begins with a variable."""
    return text.startswith("${{") and "}}" in text


def _text(node: Node | None) -> str | None:
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) and node.value else None


def _location(step: YamlMapping, key: str) -> Location:
    found = step.get(key)
    return found.location if found is not None else step.location
