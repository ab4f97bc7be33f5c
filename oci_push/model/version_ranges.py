"""Ranges of versions as people write them: ``>=1.2 <2``, ``^1.4``, ``~1.2``, ``1.x``, ``1.2 - 1.4 || 2``.

The language is that of Masterminds/semver 3, which skopeo reads ``images-by-semver`` with: a comma or a blank is "and",
``||`` is "or", a number that is left out or ``x`` stands for any, and a version with a prerelease (``1.2-rc1``) lies in
a range only where that names one, too.
"""

from __future__ import annotations

import re

from msgspec import Struct

from oci_push.model.versions import Key, version_key

_VERSION = r"v?(?:\d{1,9}|[xX*])(?:\.(?:\d{1,9}|[xX*])){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
_PART = rf"(=|!=|>=|=>|<=|=<|>|<|~>|~|\^)?\s*({_VERSION})"
_HYPHEN = rf"\s*({_VERSION})\s+-\s+({_VERSION})\s*"
_SAME = {"": "=", "=>": ">=", "=<": "<=", "~>": "~"}
_TAG = r"v?\d{1,9}(?:\.\d{1,9}){0,2}(?:-[0-9A-Za-z.-]+)?"


class VersionRange(Struct, frozen=True):
    """A range; `any_prerelease` takes prereleases for what they are in order, as regsync does."""

    text: str
    choices: tuple[tuple[_Bound, ...], ...]
    any_prerelease: bool = False

    @classmethod
    def parse(cls, text: str, *, any_prerelease: bool = False) -> VersionRange:
        """Read a range; raises ``ValueError``."""
        return cls(text, tuple(_choice(one, text) for one in text.split("||")), any_prerelease)

    def holds(self, tag: str) -> bool:
        """Return whether a tag is a version in this range; one that is no version lies in none."""
        if re.fullmatch(_TAG, tag, re.ASCII) is None:
            return False
        key = version_key(tag)
        return key is not None and any(all(one.holds(key, self) for one in choice) for choice in self.choices)


class _Bound(Struct, frozen=True):
    """One comparison: `numbers` are those that are written, up to the first that stands for any."""

    operator: str
    numbers: tuple[int, ...]
    key: Key

    def holds(self, version: Key, whole: VersionRange) -> bool:
        numbers, is_release = version[0][:3], version[1]
        if not is_release and self.key[1] and not whole.any_prerelease:
            return False
        at_least = version[:3] >= self.key[:3]
        given = len(self.numbers)
        is_partial = given < 3
        same = numbers[:given] == self.numbers
        match self.operator:
            case "=":
                return same if is_partial else version[:3] == self.key[:3]
            case "!=":
                return not same if is_partial else version[:3] != self.key[:3]
            case ">=":
                return at_least
            case "<":
                return not at_least
            case ">":
                return numbers[:given] > self.numbers if is_partial else version[:3] > self.key[:3]
            case "<=":
                return numbers[:given] <= self.numbers if is_partial else version[:3] <= self.key[:3]
            case "~":
                return at_least and numbers[: min(given, 2)] == self.numbers[:2]
            case _:
                return at_least and numbers[: self._fixed()] == self.numbers[: self._fixed()]

    def _fixed(self) -> int:
        """Return how many numbers ``^`` keeps: up to the first that is not 0."""
        first = next((place for place, number in enumerate(self.numbers, 1) if number), len(self.numbers))
        return min(first, len(self.numbers))


def _choice(text: str, whole: str) -> tuple[_Bound, ...]:
    hyphen = re.fullmatch(_HYPHEN, text, re.ASCII)
    if hyphen:
        return _bound(">=", hyphen[1]), _bound("<=", hyphen[2])
    bounds: list[_Bound] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = re.compile(rf"{_PART}(?:\s*,\s*|\s+|$)", re.ASCII).match(text, at)
        if match is None:
            break
        bounds.append(_bound(match[1] or "", match[2]))
        at = match.end()
    if not bounds or at < len(text):
        raise ValueError(f"{whole!r} is no range of versions, such as >=1.2 <2, ^1.4, ~1.2 or 1.x")
    return tuple(bounds)


def _bound(operator: str, version: str) -> _Bound:
    core, dash, before = version.removeprefix("v").partition("+")[0].partition("-")
    numbers: list[int] = []
    for part in core.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    key = version_key(".".join(map(str, numbers or [0])) + dash + before)
    if key is None:
        raise ValueError(f"{version!r} is no version")
    return _Bound(_SAME.get(operator, operator), tuple(numbers), key)
