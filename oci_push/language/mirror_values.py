"""Values that the forms of mirror files share: lists that may be one text, patterns, ranges, platforms."""

from __future__ import annotations

import re
import warnings

from oci_push.language.diagnostics import Diagnostics, cut
from oci_push.language.document import Node, Scalar, YamlSequence
from oci_push.model.mirroring import Pattern
from oci_push.model.platform import Platform
from oci_push.model.reference import Repository, is_host
from oci_push.model.version_ranges import VersionRange


def named_host(text: str) -> str:
    """Return a registry's host as references of its images have it: Docker Hub's names are one."""
    return Repository.parse(f"{text}/a/b").host if is_host(text) else text


def texts_of(node: Node | None) -> tuple[Scalar, ...]:
    """Return the texts of a list, or the one text that stands in its place; what is null is none."""
    found = node.items if isinstance(node, YamlSequence) else (node,)
    return tuple(one for one in found if isinstance(one, Scalar) and one.value is not None)


def pattern_of(kind: str, node: Scalar, path: str, diagnostics: Diagnostics) -> Pattern | None:
    """Read a regular expression of Go's; nothing, and an error, for one that cannot be read here."""
    text = node.text.replace(r"\z", r"\Z")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(text, re.ASCII)  # what `regex` knows beyond it is not Go's
    except (re.error, FutureWarning, DeprecationWarning, OverflowError, RecursionError) as problem:
        hint = "classes such as [[:alpha:]] and \\pL are not known here: write [A-Za-z]"
        message = f"{cut(node.text)!r} is no regular expression that is understood ({problem})"
        diagnostics.error(node.location, path, message, hint=hint)
        return None
    return Pattern(kind, text)


def range_of(
    node: Node | None, path: str, diagnostics: Diagnostics, *, any_prerelease: bool = False
) -> tuple[VersionRange, ...]:
    """Read ranges of versions."""
    found: list[VersionRange] = []
    for one in texts_of(node):
        try:
            found.append(VersionRange.parse(one.text, any_prerelease=any_prerelease))
        except ValueError as problem:
            diagnostics.error(one.location, path, str(problem))
    return tuple(found)


def platforms_of(node: Node | None, path: str, diagnostics: Diagnostics) -> tuple[Platform, ...]:
    """Read platforms."""
    found: list[Platform] = []
    for one in texts_of(node):
        try:
            found.append(Platform.parse(one.text))
        except ValueError as problem:
            diagnostics.error(one.location, path, str(problem), hint="such as linux/amd64")
    return tuple(dict.fromkeys(found))
