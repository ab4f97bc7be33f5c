"""What CI services read out of a log: annotations and sections, each in its service's own words.

Texts are cleaned and escaped here, so that only what is ours is a command. Nothing is printed here, and nothing is made
where the service does not say by its variable that it reads along.

* GitHub Actions (and Gitea): ``::error file=…,line=…,col=…::text``, ``::group::``
  (docs.github.com, "Workflow commands"); escapes as in actions/toolkit, ``command.ts``.
* Azure Pipelines: ``##vso[task.logissue type=error;…]text``, ``##[group]`` (learn.microsoft.com, "Logging commands").
* GitLab CI: ``section_start:TIME:NAME`` and a header (docs.gitlab.com, "Custom collapsible sections").
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from oci_push.model.display import clean

_CLEAR = "\r\x1b[0K"
"""What GitLab wants behind a section's mark: what hides the mark in a terminal."""


class Place(Struct, frozen=True):
    """Where in a file something is wrong; `line` and `column` count from 1, 0: not known."""

    file: str = ""
    line: int = 0
    column: int = 0


class Ci:
    """A service that reads along; this one reads nothing."""

    def issue(self, level: str, text: str, place: Place) -> str:
        """Return a line that makes an annotation of an ``error`` or a ``warning``; empty where there are none."""
        return ""

    def opened(self, title: str, now: float) -> str:
        """Return the line that begins a section; `now` is in seconds since 1970."""
        return ""

    def closed(self, title: str, now: float) -> str:
        """Return the line that ends it."""
        return ""


class GitHub(Ci):
    """GitHub Actions, and Gitea's, which follow them."""

    def issue(self, level: str, text: str, place: Place) -> str:
        """Return a command; its lines become one annotation."""
        where = _named(file=place.file, line=place.line, col=place.column)
        properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in where.items())
        return f"::{level}{' ' if properties else ''}{properties}::{_escaped(text)}"

    def opened(self, title: str, now: float) -> str:
        """Return a group's begin."""
        return f"::group::{_escaped(title)}"

    def closed(self, title: str, now: float) -> str:
        """Return a group's end."""
        return "::endgroup::"


class Azure(Ci):
    """Azure Pipelines."""

    def issue(self, level: str, text: str, place: Place) -> str:
        """Return a command; a line break ends it, so its lines become one."""
        where = _named(sourcepath=place.file, linenumber=place.line, columnnumber=place.column)
        properties = "".join(f";{name}={_azure_escaped(value)}" for name, value in where.items())
        said = " ".join(clean(line).strip() for line in text.split("\n"))
        return f"##vso[task.logissue type={level}{properties}]{said}"

    def opened(self, title: str, now: float) -> str:
        """Return a group's begin."""
        return f"##[group]{clean(title)}"

    def closed(self, title: str, now: float) -> str:
        """Return a group's end."""
        return "##[endgroup]"


class GitLab(Ci):
    """GitLab CI, which has sections and no annotations."""

    def opened(self, title: str, now: float) -> str:
        """Return a section's begin and header."""
        return f"section_start:{now:.0f}:{_section(title)}{_CLEAR}{clean(title)}"

    def closed(self, title: str, now: float) -> str:
        """Return a section's end."""
        return f"section_end:{now:.0f}:{_section(title)}{_CLEAR}"


def find_ci(env: Mapping[str, str]) -> Ci:
    """Return the service that says by its variable that it reads along."""
    if env.get("GITHUB_ACTIONS", "").lower() == "true":
        return GitHub()
    if env.get("TF_BUILD", "").lower() == "true":
        return Azure()
    return GitLab() if env.get("GITLAB_CI") else Ci()


def _named(**values: str | int) -> dict[str, str]:
    """Return what is known of a place; without a file there is none."""
    known = {name: str(value) for name, value in values.items() if value}
    return known if next(iter(values.values())) else {}


def _escaped(text: str, more: str = "") -> str:
    lines = "\n".join(clean(line) for line in text.split("\n"))
    return "".join(f"%{ord(char):02X}" if char in f"%\r\n{more}" else char for char in lines)


def _azure_escaped(text: str) -> str:
    return "".join("%AZP25" if c == "%" else f"%{ord(c):02X}" if c in ";]" else c for c in clean(text))


def _section(title: str) -> str:
    """Return a name of letters, digits and underlines, as sections must have."""
    return re.sub(r"[^a-z0-9]+", "_", clean(title).lower()).strip("_")[:60] or "oci_push"
