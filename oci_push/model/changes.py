"""What is changed of an image while it goes out, and what came of it: plain data. `sources.rewriting` does it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from oci_push.model.digest import Digest
from oci_push.model.platform import Platform

LATEST = 253402300799
"""The last second of the year 9999, the last that RFC 3339 can say."""


class AnnotationChange(Struct, frozen=True):
    """One annotation that is set, or removed where `value` is ``None``.

    `on` is ``manifest`` (of each image), ``index`` (the root), or ``manifest-descriptor`` (the entry of each image in
    its index). `platform` keeps it to the images of that platform.
    """

    key: str
    value: str | None
    on: str = "manifest"
    platform: Platform | None = None

    def __post_init__(self) -> None:
        if self.on not in ("manifest", "index", "manifest-descriptor"):
            raise ValueError(f"{self.on!r} cannot be annotated (manifest, index and manifest-descriptor can)")


class ConfigChanges(Struct, frozen=True):
    """What is set in each image's configuration; ``None`` leaves a field as it is, and removes a label or variable.

    An `entrypoint` or `cmd` without words is removed, and so is a text that is empty. `created` is a time as RFC 3339
    has it. `exposed` are ports and `volumes` folders, with whether they are to be there. `platform` keeps all of it to
    the images of that platform.
    """

    labels: Mapping[str, str | None] = field(default_factory=dict)
    env: Mapping[str, str | None] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    user: str | None = None
    working_dir: str | None = None
    created: str | None = None
    exposed: Mapping[str, bool] = field(default_factory=dict)
    volumes: Mapping[str, bool] = field(default_factory=dict)
    stop_signal: str | None = None
    platform: Platform | None = None


class Changes(Struct, frozen=True):
    """What is changed of an image; without any it goes out byte for byte.

    `platforms` are the images of an index that are kept; with `is_sparse` the index keeps its bytes and only those are
    sent. `format` is ``docker`` or ``oci``, `recompress` is ``gzip``, ``zstd`` or ``none`` with `level` 0 for the usual
    one; empty leaves what is there. `epoch`, in seconds since 1970, is when the image was created, and the latest
    that its history may say.
    """

    platforms: tuple[Platform, ...] = ()
    is_sparse: bool = False
    format: str = ""
    recompress: str = ""
    level: int = 0
    annotations: tuple[AnnotationChange, ...] = ()
    epoch: int | None = None
    config: ConfigChanges = ConfigChanges()

    def __post_init__(self) -> None:
        if self.format not in ("", "docker", "oci"):
            raise ValueError(f"format {self.format!r} is not known (docker and oci are)")
        if self.recompress not in ("", "gzip", "zstd", "none"):
            raise ValueError(f"compression {self.recompress!r} is not known (gzip, zstd and none are)")
        if self.epoch is not None and not 0 <= self.epoch <= LATEST:
            raise ValueError(f"{self.epoch} seconds since 1970 are no time that an image can say")


NOTHING = Changes()


class Changed(Struct, frozen=True):
    """What came of changes: the digest of what was read and of what went out, and what was done, in words."""

    before: Digest
    after: Digest
    done: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.done)}: digest {self.before} -> {self.after}"
