"""Whence an ``oci-push.yaml`` came, and what it may therefore read: the one place that decides it.

One that the user named (``--config``, ``OCI_PUSH_CONFIG``, the user's own folder) may read all that the user may. One
that was found in the working tree may be part of a stranger's pull request: it gets the environment variables that an
allow-list names, and files below its own folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.model.reference import Repository

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORM = "NAME, or NAME@HOST for one registry alone; several with commas"


class Allowed(Struct, frozen=True):
    """Name an environment variable that found configurations may use; with a `host`, as that registry's login only."""

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


class Origin(Struct, frozen=True):
    """Say whence a configuration came; a found one may use `allowed` variables and files below its `folder`."""

    folder: Path = Path()
    is_named: bool = True
    allowed: frozenset[Allowed] = frozenset()

    def may_use(self, name: str, host: str = "") -> bool:
        """Say whether it may read an environment variable, to be used for a registry's `host` where one is given."""
        return self.is_named or Allowed(name) in self.allowed or (bool(host) and Allowed(name, host) in self.allowed)

    def may_read(self, path: Path) -> bool:
        """Say whether it may read a file; links are followed, so that one that leads out of the folder is outside."""
        return self.is_named or path.resolve().is_relative_to(self.folder.resolve())


NAMED = Origin()
