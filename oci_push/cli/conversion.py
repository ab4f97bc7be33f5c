"""Options that change an image while it goes out, and what they become: `model.changes.Changes`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct
from msgspec.structs import replace

from oci_push.cli.options import Common
from oci_push.cli.words import SOURCE, Option
from oci_push.errors import ConfigError
from oci_push.model.changes import LATEST, NOTHING, AnnotationChange, Changes
from oci_push.model.platform import Platform

_ALGORITHMS = ("gzip", "zstd", "none")
_ANNOTATION = r"(?:(?P<on>manifest|index|manifest-descriptor)(?:\[(?P<platform>[^]]*)\])?:)?(?P<key>[^:\s]+)"


OnePlatform = Annotated[
    str, Option("Only this image of an index.", name="--platform", metavar="OS/ARCH[/VARIANT]", under=SOURCE)
]


class Platforms(Struct, frozen=True):
    """Which images of an index are wanted."""

    platform: Annotated[
        list[str] | None,
        Option("Only this image of an index; of several a new index.", metavar="OS/ARCH[/VARIANT],…", under=SOURCE),
    ] = None
    sparse: Annotated[bool, Option("Keep the index as it is, with only what --platform names of it.", under=SOURCE)] = (
        False
    )

    def check(self) -> None:
        """Refuse values that mean nothing, and an option that needs another."""
        self.platforms()
        if self.sparse and not self.platform:
            raise ConfigError("--sparse needs --platform: it says what of the index is wanted", hint="give both")

    def platforms(self) -> tuple[Platform, ...]:
        """Return what ``--platform`` names, each once; raises `ConfigError`."""
        return read_platforms(self.platform)

    def only(self) -> Platform | None:
        """Return the one image that is wanted alone; ``None`` for all, or for an index of several."""
        found = self.platforms()
        return found[0] if len(found) == 1 and not self.sparse else None

    def selected(self) -> Changes:
        """Return what is changed of an index where several of its images are wanted."""
        found = () if self.only() else self.platforms()
        return Changes(found, self.sparse) if found else NOTHING


class Conversion(Platforms, frozen=True):
    """What `push` and `copy` change of an image; without any of it the image goes out byte for byte."""

    recompress: Annotated[
        str, Option("Compress all layers like this: gzip, zstd or none.", metavar="HOW[:LEVEL]", under=SOURCE)
    ] = ""
    annotation: Annotated[
        list[str] | None,
        Option(
            "Annotate each image; index:KEY=VALUE the index, manifest[OS/ARCH]:… one image.",
            metavar="[WHERE:]KEY=VALUE",
            under=SOURCE,
        ),
    ] = None
    source_date_epoch: Annotated[
        str, Option("Date the image so, and nothing in its history later.", metavar="SECONDS", under=SOURCE)
    ] = ""

    def check(self) -> None:
        """Refuse values that mean nothing, and options that need another."""
        Platforms.check(self)
        self._compression()
        self._annotations()
        self._epoch()

    def changes(self, common: Common) -> Changes:
        """Return what is changed; raises `ConfigError` where `common` asks for something that takes its effect."""
        recompress, level = self._compression()
        annotations = self._annotations()
        form = "" if common.format == "auto" else common.format
        for option, value in (("--compression", common.compression), ("--compression-level", common.compression_level)):
            if recompress and value:
                raise ConfigError(
                    f"{option} has no effect with --recompress, which is for all layers",
                    hint=f"leave it out; a level is written --recompress {recompress}:LEVEL",
                )
        if form == "docker" and recompress == "zstd":
            raise ConfigError(
                "--recompress zstd has no effect with --format docker: docker's manifests do not know zstd",
                hint="leave out --format, or give --recompress gzip",
            )
        if form == "docker" and annotations:
            raise ConfigError(
                "--annotation has no effect with --format docker: docker's manifests have no annotations",
                hint="leave out one of them",
            )
        if self.sparse and (recompress or annotations or form or self.source_date_epoch):
            raise ConfigError(
                "--sparse keeps the index as it is, and nothing in it can be changed",
                hint="leave out --sparse: then a new index of these platforms is made",
            )
        made = replace(
            self.selected(),
            format=form,
            recompress=recompress,
            level=level,
            annotations=annotations,
            epoch=self._epoch(),
        )
        return made if made != NOTHING else NOTHING

    def _compression(self) -> tuple[str, int]:
        algorithm, colon, text = self.recompress.partition(":")
        if not self.recompress:
            return "", 0
        if algorithm not in _ALGORITHMS or (colon and not re.fullmatch(r"\d{1,3}", text, re.ASCII)):
            hint = "gzip, zstd or none, with a level as in zstd:19"
            if self.recompress.startswith("zstd:chunked"):
                hint = "zstd:chunked is not made here; give zstd, which whoever reads zstd:chunked reads as well"
            raise ConfigError(f"--recompress {self.recompress!r} is not known", hint=hint)
        level = int(text or 0)
        if level or colon:
            from oci_push.sources.compress import check_level

            check_level(algorithm, level)
        return algorithm, level

    def _annotations(self) -> tuple[AnnotationChange, ...]:
        found: dict[tuple[str, str, Platform | None], AnnotationChange] = {}
        for text in self.annotation or ():
            one = annotation(text)
            if (one.on, one.key, one.platform) in found:
                raise ConfigError(f"--annotation {text!r}: {one.key} is there twice", hint="say it once")
            found[one.on, one.key, one.platform] = one
        return tuple(found.values())

    def _epoch(self) -> int | None:
        text = self.source_date_epoch
        if not text:
            return None
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or int(text) > LATEST:
            raise ConfigError(
                f"--source-date-epoch {text!r} is no time",
                hint="give seconds since 1970, as in $SOURCE_DATE_EPOCH or by: git log -1 --format=%ct",
            )
        return int(text)


def read_platform(text: str) -> Platform | None:
    """Read ``--platform`` of one image, ``None`` where it is not given; raises `ConfigError`."""
    try:
        return Platform.parse(text) if text else None
    except ValueError as problem:
        raise ConfigError(f"--platform: {problem}", hint="such as linux/amd64") from problem


def read_platforms(texts: Sequence[str] | None) -> tuple[Platform, ...]:
    """Read ``--platform`` of several, each with commas, each once; raises `ConfigError`."""
    found = (read_platform(part) for text in texts or () for part in text.split(","))
    return tuple(dict.fromkeys(one for one in found if one is not None))


def annotation(text: str) -> AnnotationChange:
    """Read ``[WHERE:]KEY=VALUE`` as buildx's ``--annotation`` has it; raises `ConfigError`."""
    name, equals, value = text.partition("=")
    match = re.fullmatch(_ANNOTATION, name)
    if not equals or match is None:
        known = "manifest:, index: or manifest-descriptor:, the first and last also as manifest[linux/amd64]:"
        raise ConfigError(f"--annotation {text!r}: expected [WHERE:]KEY=VALUE", hint=f"WHERE is {known}")
    on, runs_on = match["on"] or "manifest", match["platform"]
    if runs_on is not None and on == "index":
        raise ConfigError(
            f"--annotation {text!r}: an index has no platform", hint=f"write index:{match['key']}={value}"
        )
    try:
        platform = Platform.parse(runs_on) if runs_on is not None else None
    except ValueError as problem:
        raise ConfigError(f"--annotation {text!r}: {problem}", hint="such as linux/amd64") from problem
    return AnnotationChange(match["key"], value, on, platform)
