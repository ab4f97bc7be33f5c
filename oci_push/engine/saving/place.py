"""Where an image is saved: a layout's folder or an archive's file, and the name that it gets there.

The forms are those that are read as a SOURCE, so that what was saved is pushed by the same words.
"""

from __future__ import annotations

import re

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.model.reference import Reference
from oci_push.sources.table import GRAMMAR

FORMS = "oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]"
"""As help and errors list them; ``-`` as FILE is stdout."""
_KINDS = ("oci", "oci-archive", "docker-archive")
_STDOUT = "-"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:/@+-]{0,511}")
"""Wider than the grammar of image-spec annotations.md: tags that it does not cover are tags all the same."""


class Place(Struct, frozen=True):
    """A place taken apart: `kind` is its scheme, `name` what the image is called there, empty where nobody said."""

    kind: str
    path: str
    name: str
    text: str

    @property
    def is_folder(self) -> bool:
        """Return whether it is a layout, which may hold other images; an archive is written anew."""
        return self.kind == "oci"

    @property
    def is_stdout(self) -> bool:
        """Return whether an archive goes to stdout."""
        return not self.is_folder and self.path == _STDOUT

    @property
    def title(self) -> str:
        """Return what it is called where its name follows, or its progress."""
        return "stdout" if self.is_stdout else f"{self.kind}:{self.path}"

    @classmethod
    def find(cls, text: str) -> Place | None:
        """Take a text apart that begins as a place does; ``None`` for any other. Raises `ConfigError`."""
        kind, colon, rest = text.partition(":")
        if not colon or kind not in _KINDS:
            return None
        if rest.startswith("//"):
            raise ConfigError(
                f"target {text!r} is no place to save an image in",
                hint=f"for a registry write HOST/REPO[:TAG] and push or copy; the places are {FORMS}",
            )
        spec = GRAMMAR.parse(text)
        if spec.ref and not _NAME.fullmatch(spec.ref):
            raise ConfigError(f"target {text!r}: {spec.ref!r} cannot be a name in it", hint=f"write {FORMS}")
        if "\0" in spec.path:
            raise ConfigError(f"target {text!r}: a path cannot hold a zero byte")
        found = cls(kind, spec.path, spec.ref, text)
        if found.is_folder and found.path == _STDOUT:
            raise ConfigError("oci: writes a folder, and stdout is none", hint="write oci-archive:-")
        if kind == "docker-archive" and spec.ref:
            full_name(spec.ref)
        return found

    @classmethod
    def parse(cls, text: str) -> Place:
        """Take a TARGET apart; raises `ConfigError` that tells the forms."""
        found = cls.find(text)
        if found is None:
            raise ConfigError(
                f"target {text!r} is no place to save an image in",
                hint=f"write oci:{text} for a layout there; the forms are {FORMS}; - as FILE is stdout",
            )
        return found


def full_name(name: str) -> Reference:
    """Read the name of an image in a docker-archive, a reference; raises `ConfigError`."""
    try:
        found = Reference.parse(name)
    except ValueError as problem:
        raise ConfigError(f"docker-archive: {problem}", hint="write docker-archive:FILE:[HOST/]REPO[:TAG]") from problem
    if found.digest is not None:
        raise ConfigError(
            f"docker-archive: {name!r} names a digest, and images have tags there",
            hint="write docker-archive:FILE:[HOST/]REPO[:TAG]",
        )
    return found
