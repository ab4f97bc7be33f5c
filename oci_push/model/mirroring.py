"""Many images to be copied, as a file describes them: from where, which, to where, and how registries are reached.

Plain values; what reads them out of a file is in `language`, what makes copies of them in `engine`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from oci_push.errors import ConfigError, Diagnostic
from oci_push.model.digest import Digest
from oci_push.model.endpoint import Credential
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository
from oci_push.model.version_ranges import VersionRange

GLOB = frozenset("*?[")
MAX_SEARCH_S = 1.0
"""How long one expression may look at one name: some take years for a name that was made for it."""
PLACEHOLDERS = ("{host}", "{path}", "{name}", "{tag}")
"""What may stand in a target: the source's host, its repository, the last part of that, its tag."""


class Pattern(Struct, frozen=True):
    """A glob, or a regular expression that a whole name must match, or that is searched for in it."""

    kind: str
    text: str

    def matches(self, name: str) -> bool:
        """Return whether a name matches; raises `ConfigError` where that cannot be found out in time."""
        if self.kind == "glob":
            return fnmatchcase(name, self.text)
        import regex  # `re` cannot be told to give up

        engine = regex.compile(self.text, regex.ASCII | regex.VERSION0)
        try:
            found = (engine.fullmatch if self.kind == "whole" else engine.search)(name, timeout=MAX_SEARCH_S)
        except TimeoutError:
            raise ConfigError(
                f"{self.text[:80]!r}: searching {name[:80]!r} took longer than {MAX_SEARCH_S:g} s and was given up",
                hint="write it without repeats inside repeats, such as (a+)+",
            ) from None
        return found is not None


class Filter(Struct, frozen=True):
    """Which names are meant: one of `allow` matches or there is none, none of `deny` does, and a range holds it."""

    allow: tuple[Pattern, ...] = ()
    deny: tuple[Pattern, ...] = ()
    ranges: tuple[VersionRange, ...] = ()

    def matches(self, name: str) -> bool:
        """Return whether a name is meant."""
        return (
            (not self.allow or any(one.matches(name) for one in self.allow))
            and not any(one.matches(name) for one in self.deny)
            and (not self.ranges or any(one.holds(name) for one in self.ranges))
        )


class MirrorSource(Struct, frozen=True):
    """A repository of a registry, or many by a glob; `references` are tags and digests, none: its tags are listed."""

    host: str
    path: str
    references: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def is_glob(self) -> bool:
        """Return whether it may be many repositories."""
        return not GLOB.isdisjoint(self.path)


class MirrorJob(Struct, frozen=True):
    """Images that are treated alike. `targets` are texts with placeholders, as ``mirror.example.com/hub/{name}:{tag}``.

    A tag goes along where one of `tags` means it, of those only the `newest` by version where that is not 0.
    `repositories` bound what a glob stands for. `is_sparse` keeps the index of several platforms as it is. `referrers`
    brings along what refers to an image; ``None``: as is usual. `backup` is the tag
    that keeps what is overwritten, ``{tag}`` standing in it, or a whole reference elsewhere, in which placeholders are
    of the target. `place` tells people where it is written.
    """

    sources: tuple[MirrorSource, ...]
    targets: tuple[str, ...]
    tags: tuple[Filter, ...] = ()
    newest: int = 0
    repositories: Filter = Filter()
    platforms: tuple[Platform, ...] = ()
    is_sparse: bool = False
    referrers: bool | None = None
    backup: str = ""
    place: str = ""

    def wanted(self, tags: Iterable[str]) -> list[str]:
        """Return the tags that are meant, in their order."""
        return [tag for tag in tags if not self.tags or any(one.matches(tag) for one in self.tags)]


class MirrorAccess(Struct, frozen=True):
    """How one registry is reached, as the file says: `ca` is a PEM text, `folder` holds files as ``certs.d`` does."""

    host: str
    credential: Credential | None = None
    plain_http: bool | None = None
    skip_verify: bool = False
    folder: str = ""
    ca: str = ""


class MirrorFile(Struct, frozen=True):
    """What a file says; `form` is whose form it has, `notes` are what in it is not honoured here."""

    form: str
    jobs: tuple[MirrorJob, ...]
    accesses: tuple[MirrorAccess, ...] = ()
    notes: tuple[Diagnostic, ...] = ()


def elsewhere(backup: str) -> Reference | None:
    """Return where a backup goes that is not another tag in the same repository."""
    return Reference.parse(backup) if "/" in backup else None


def filled(template: str, source: Repository, reference: str) -> Reference:
    """Return where an image goes; by a digest it keeps that and gets no tag. Raises ``ValueError``."""
    digest = Digest.parse(reference) if ":" in reference else None
    tag = "" if digest else reference
    values = {"{host}": source.host, "{path}": source.path, "{name}": source.path.rpartition("/")[2], "{tag}": tag}
    text = re.sub("|".join(map(re.escape, values)), lambda match: values[match[0]], template)
    found = Reference.parse(text.removesuffix(":") if digest else text, default_tag=tag)
    return Reference(found.repository, found.tag, digest) if digest else found
