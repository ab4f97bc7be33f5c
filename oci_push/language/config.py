"""Reading ``oci-push.yaml``: registries, candidates, variables and secrets, with every mistake at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.config_registry import RegistryReader
from oci_push.language.config_schema import CONFIG, unnest
from oci_push.language.config_values import NAMED, Allowed, ConfigOrigin, ValueReader
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Node, Scalar, YamlEntry, YamlMapping, load
from oci_push.language.integrations import Config, Integration
from oci_push.language.scalars import entries, items
from oci_push.secret import Secret

ReadText = Callable[[Path], str]


def load_config(
    text: str | bytes, path: str, env: Mapping[str, str], read: ReadText, origin: ConfigOrigin = NAMED
) -> Config:
    """Return what an ``oci-push.yaml`` says; raises one `ConfigError` with everything that is wrong with it.

    `env` fills ``${NAME}``; `read` reads the files that keys such as `password_file` name, when they are used.
    `origin` says what of both it may have.
    """
    diagnostics = Diagnostics()
    loaded = load(text, path)
    root = loaded.root
    diagnostics.bare_variables(loaded.bare)
    origin = replace(origin, folder=Path(path).parent)
    config = _Reader(ValueReader(env, read, origin, diagnostics)).config(root, path)
    diagnostics.raise_errors()
    return config


class _Reader:
    def __init__(self, values: ValueReader) -> None:
        self._values = values
        self._diagnostics = values.diagnostics
        self._lacking: dict[str, Diagnostic] = {}

    def config(self, root: Node, path: str) -> Config:
        root = unnest(root)
        CONFIG.check("value", root, "", self._diagnostics)
        if not isinstance(root, YamlMapping):
            return Config()
        found = self._registries(root.get("registries"))
        self._check_together(found)
        return Config(
            found,
            self._strings(root.get("candidates"), "candidates"),
            self._strings(root.get("variables"), "variables", ""),
            self._secrets(root.get("secrets")),
            tuple(self._diagnostics.warnings),
            path,
            self._values.origin.is_named,
            self._lacking,
            self._allowed(root.get("allow_env")),
        )

    def _allowed(self, node: Node | None) -> frozenset[Allowed]:
        if node is None:
            return frozenset()
        if not self._values.origin.is_named:
            message, hint = "a file that was found cannot allow itself anything", "write it into your own configuration"
            self._diagnostics.error(node.location, "allow_env", f'"allow_env": {message}', hint=hint)
            return frozenset()
        given = items(node) or (node,)
        try:
            return Allowed.parse_list((item.text for item in given if isinstance(item, Scalar)), '"allow_env"')
        except ConfigError as problem:
            self._diagnostics.error(node.location, "allow_env", str(problem), hint=problem.hint)
            return frozenset()

    def _registries(self, node: Node | None) -> tuple[Integration, ...]:
        reader = RegistryReader(self._values)
        read = (reader.integration(item, f"registries.{number}") for number, item in enumerate(items(node)))
        return tuple(one for one in read if one is not None)

    def _check_together(self, found: tuple[Integration, ...]) -> None:
        by_name = {one.name: one for one in reversed(found)}
        defaults = [one for one in found if one.is_default]
        for one in found:
            if by_name[one.name] is not one:
                self._diagnostics.error(one.location, "registries", f"registry {one.name!r} is described twice")
            self._check_fallback(one, by_name)
        for one in defaults[1:]:
            message = f"registry {one.name!r} and {defaults[0].name!r} are both marked default"
            self._diagnostics.error(one.location, "registries", message)
        by_domain: dict[str, list[Integration]] = {}
        for one in found:
            by_domain.setdefault(one.domain, []).append(one)
        for domain, same in by_domain.items():
            primary = [one for one in same if one.is_primary]
            if domain and len(same) > 1 and len(primary) != 1:
                used = (primary or same)[0].name
                message = f"{len(same)} registries have the domain {domain}, and not exactly one is primary"
                hint = f"write primary: false where images are not pulled with it; {used!r} is used for pulling"
                self._diagnostics.warn(same[1].location, "registries", message, hint=hint)

    def _check_fallback(self, one: Integration, by_name: Mapping[str, Integration]) -> None:
        seen = [one.name]
        while (current := by_name.get(seen[-1])) is not None and current.fallback:
            if current.fallback not in by_name:
                if current is one:
                    message = f"fallback_registry of {one.name!r}: Registry '{one.fallback}' does not exist."
                    self._diagnostics.error(one.location, "registries", message)
                return
            if current.fallback in seen:
                if current.fallback == one.name:
                    message = f"fallback registries go round in a circle: {' -> '.join((*seen, one.name))}"
                    self._diagnostics.error(one.location, "registries", message)
                return
            seen.append(current.fallback)

    def _strings(self, node: Node | None, path: str, names: str | None = None) -> dict[str, str]:
        """Return a mapping of strings; with `names`, why one has no value is kept under its name after these words."""
        found = {}
        for entry in entries(node):
            if isinstance(entry.value, Scalar):
                values = self._values.apart()
                value = values.expanded(entry.value)
                if value is not None:
                    found[entry.key.text] = value
                    self._say_literal(entry, path)
                elif names is not None:  # as good as not defined
                    self._lacking[names + entry.key.text] = values.missing[0]
        return found

    def _say_literal(self, entry: YamlEntry, path: str) -> None:
        """Warn where a template stays as it is written, as strangers may have written it."""
        found = path == "variables" and not self._values.origin.is_named
        if found and isinstance(entry.value, Scalar) and "${{" in entry.value.text:
            message = f"{entry.key.text} keeps its ${{{{…}}}} as it is written: this file was found, not named"
            hint = f"name the file, if you trust it: --config {entry.key.location.file}"
            self._diagnostics.warn(entry.value.location, f"{path}.{entry.key.text}", message, hint=hint)

    def _secrets(self, node: Node | None) -> dict[str, dict[str, Secret]]:
        found = {}
        for entry in entries(node):
            context = f"secrets.{entry.key.text}"
            inside = self._strings(entry.value, context, f"{context}.")
            found[entry.key.text] = {key: Secret(value) for key, value in inside.items()}
        return found
