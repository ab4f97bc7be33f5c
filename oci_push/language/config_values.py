"""Values in ``oci-push.yaml``: ``${NAME}`` from the environment, secrets from files, paths beside the file.

Whether a value may be read at all is asked of the configuration's `ConfigOrigin`, here and nowhere else.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Scalar
from oci_push.model.reference import Repository
from oci_push.runtime.single_flight import SingleFlight
from oci_push.secret import Secret, repr_without

_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

ReadText = Callable[[Path], str]


class ValueReader(Struct, frozen=True):
    """Reads values; `missing` collects what could not be read, for whoever turns out to need it.

    `host` is the registry that the values are for, where variables may be allowed for that one alone.
    """

    env: Mapping[str, str]
    read: ReadText
    origin: ConfigOrigin
    diagnostics: Diagnostics
    host: str = ""
    missing: list[Diagnostic] = field(default_factory=list)

    def apart(self, host: str = "") -> ValueReader:
        """Return the same for a host, with a list of its own of what is missing."""
        return replace(self, host=host, missing=[])

    def expanded(self, node: Scalar) -> str | None:
        """Return a text with ``${NAME}`` replaced, or nothing, and note it, when one is not set or may not be used."""
        names = tuple(dict.fromkeys(_ENVIRONMENT.findall(node.text)))
        before = len(self.missing)
        for name in names:
            if not self.origin.may_use(name, self.host):
                allowed = f"{name}@{self.host}" if self.host else name
                hint = (
                    f"allow it: --allow-env {allowed}; or name the file, if you trust it: --config {node.location.file}"
                )
                self._miss(
                    node, f"environment variable {name} is not allowed here: the file was found, not named", hint
                )
            elif name not in self.env:
                hint = f"export {name}, or take {name} out of {node.location.file}"
                self._miss(node, f"environment variable {name} is not set", hint)
        if len(self.missing) > before:
            return None
        return _ENVIRONMENT.sub(lambda match: self.env[match[1]], node.text)

    def file(self, node: Scalar, key: str) -> str | None:
        """Return the text of the file that a value names, without the last line end, or nothing, and note why."""
        path = self._place(node, key)
        if path is None:
            return None
        try:
            return self.read(path).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
            self._miss(node, f"{key}: {path}: cannot be read ({reason})", "check the file's name")
            return None

    def path(self, node: Scalar, key: str) -> str:
        """Return the path that a value names, seen from the configuration's folder."""
        return str(self._place(node, key) or "")

    def warn_if_written(self, node: Scalar, key: str) -> None:
        """Warn about a secret that is written out."""
        if not _ENVIRONMENT.search(node.text):
            message = f"{key} is written out; better take it from the environment: ${{NAME}}"
            self.diagnostics.warn(node.location, key, message)

    def _place(self, node: Scalar, key: str) -> Path | None:
        named = self.expanded(node)
        if not named:
            return None
        path = self.origin.folder / named
        if not self.origin.may_read(path):
            hint = f"name the file, if you trust it: --config {node.location.file}"
            where = "lies outside the folder of this file, which was found, not named"
            self._miss(node, f"{key}: {path}: {where}", hint)
            return None
        return path

    def _miss(self, node: Scalar, message: str, hint: str) -> None:
        self.missing.append(node.location.problem(message, hint=hint))


class SecretSource(Struct, frozen=True):
    """Where a secret is, which is read when it is used: the first of `choices` that is not empty.

    A choice is a value and the key of a file that it names, or nothing for a value that is the secret.
    """

    values: ValueReader
    choices: tuple[tuple[Scalar, str], ...]
    _kept: SingleFlight[str, Secret] = field(default_factory=SingleFlight)

    def __repr__(self) -> str:
        return repr_without(self, "values", "_kept")

    def read(self) -> Secret:
        """Return the secret, which may be empty; raises `ConfigError` for what cannot be read, or may not be.

        It is read once: a pipe that was named gives its text only once.
        """
        return self._kept.get("", self._read)

    def learn(self) -> None:
        """Make the secret known, so that it is masked before it is used; what cannot be read now is let be.

        A pipe is left alone: whoever writes into it waits for the step that needs it.
        """
        values = self.values.apart(self.values.host)
        paths = [values.path(node, key) for node, key in self.choices if key]
        if all(Path(path).is_file() for path in paths if path):
            with contextlib.suppress(ConfigError):
                self.read()

    def is_from_environment(self) -> bool:
        """Return whether nothing but environment variables can be in it."""
        return all(not key and not _ENVIRONMENT.sub("", node.text).strip() for node, key in self.choices)

    def _read(self) -> Secret:
        values = self.values.apart(self.values.host)
        for node, key in self.choices:
            text = values.file(node, key) if key else values.expanded(node)
            if values.missing:
                raise ConfigError(problems=values.missing)
            if text:
                return Secret(text)
        return Secret("")


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORM = "NAME, or NAME@HOST for one registry alone; several with commas"


class Allowed(Struct, frozen=True):
    """An environment variable that found configurations may use; with a `host`, as that registry's login only."""

    name: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.host}" if self.host else self.name

    @classmethod
    def parse_list(cls, texts: Iterable[str], where: str) -> frozenset[Allowed]:
        """Read ``NAME[@HOST],…``; `where` is what they were given with. Raises `ConfigError`."""
        words = (word.strip() for text in texts for word in text.split(","))
        return frozenset(cls._parse(word, where) for word in words if word)

    @classmethod
    def _parse(cls, word: str, where: str) -> Allowed:
        name, at, host = word.partition("@")
        if _NAME.fullmatch(name) is None:
            # No wildcards: a list that lets a family of names through lets in what is added to it later.
            hint = f"write {_FORM}; to trust a whole file, name it: --config FILE"
            raise ConfigError(f"{where}: {name!r} is no name of an environment variable", hint=hint)
        try:
            return cls(name, Repository(host, "x").host if at else "")
        except ValueError as problem:
            raise ConfigError(f"{where}: {word!r}: {problem}", hint=f"write {_FORM}") from problem


class ConfigOrigin(Struct, frozen=True):
    """Where a configuration came from; a found one may use `allowed` variables and files below its `folder`."""

    folder: Path = Path()
    is_named: bool = True
    allowed: frozenset[Allowed] = frozenset()

    def may_use(self, name: str, host: str = "") -> bool:
        """Return whether it may read an environment variable, to be used for a registry's `host` where one is given."""
        return self.is_named or Allowed(name) in self.allowed or (bool(host) and Allowed(name, host) in self.allowed)

    def may_read(self, path: Path) -> bool:
        """Return whether it may read a file; links are followed, so that one out of the folder is outside."""
        return self.is_named or path.resolve().is_relative_to(self.folder.resolve())


NAMED = ConfigOrigin()
