"""Units of work: one image to the repositories of one registry, as a line of JSON that any machine can do.

A file of units has a head and then one unit a line. A unit names registries and files, and never holds a login; the
digest that its image must have is in it, so that a tag that has moved, or another file of the same name, is refused.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from oci_push import forms
from oci_push.engine.push import PushOptions
from oci_push.engine.unit import PushUnit
from oci_push.errors import ConfigError, Diagnostic
from oci_push.forms import VERSION, Version
from oci_push.model.digest import Digest
from oci_push.model.mirroring import elsewhere
from oci_push.model.reference import Reference, Repository, is_tag
from oci_push.runtime.files import write_result
from oci_push.sources.table import GRAMMAR

_KEY_LENGTH = 16
_GZIP = b"\x1f\x8b"
_MOST_BYTES = 1024 * 1024 * 1024  # of a file that was compressed


class UnitsHead(Struct, frozen=True):
    """The first line of a file of units: what it was made of, and how many there are."""

    version: Version
    kind: Literal["units"]
    made_of: str
    units: int


class WorkUnit(Struct, frozen=True):
    """One image, and the repositories of one registry that it goes to.

    `key` is made of what is to be done, so the same work has the same key whenever it is laid out. `root` is the digest
    that goes out; ``None`` where nobody has read the image yet. `referrers`: what refers to it comes along. `backup`:
    the tag, or the whole reference elsewhere, that keeps what is about to be overwritten; such a unit has one target
    and one tag.

    The rest are hints, and may be wrong: `large` are the digests of its large blobs, the largest first. `after` are
    keys of units that bring one of these to the same registry. `mounts` are repositories that hold them.
    """

    key: str
    push: PushUnit
    root: Digest | None = None
    referrers: bool = False
    backup: str = ""
    large: tuple[Digest, ...] = ()
    after: tuple[str, ...] = ()
    mounts: Mapping[Digest, tuple[Repository, ...]] = field(default_factory=dict)
    version: Version = VERSION

    @classmethod
    def of(
        cls,
        push: PushUnit,
        root: Digest | None = None,
        *,
        referrers: bool = False,
        backup: str = "",
        large: Sequence[Digest] = (),
        mounts: Mapping[Digest, tuple[Repository, ...]] | None = None,
    ) -> WorkUnit:
        """Return a unit with its key. What tags name now is left out: it may be otherwise when the unit is done."""
        targets = tuple(replace(one, before={}) for one in push.targets)
        options = replace(push.options or PushOptions(), root=root)
        push = replace(push, targets=targets, options=options)
        made = cls("", push, root, referrers, backup, tuple(large), (), mounts or {})
        return replace(made, key=key_of(made))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the registries that it goes to."""
        return tuple(dict.fromkeys(one.repository.host for one in self.push.targets))

    @property
    def origin(self) -> Reference | None:
        """Return the image of a registry that it comes from, if that is what its source is."""
        try:
            spec = GRAMMAR.read(self.push.source)
        except ConfigError:  # told of this unit alone, when it is done
            return None
        return Reference.parse(spec.path) if spec is not None and spec.kind == "registry" else None

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Return the names of registries that whoever does it must know, each with the host that is meant by it."""
        named = [(one.registry, one.repository.host) for one in self.push.targets]
        if self.origin is not None:
            named.append((self.push.registry, self.origin.repository.host))
        return tuple(dict.fromkeys(one for one in named if one[0]))

    @property
    def registries(self) -> tuple[str, ...]:
        """Return the names of registries that whoever does it must know."""
        return tuple(dict.fromkeys(name for name, _ in self.places))

    @property
    def name(self) -> str:
        """Return what people call it."""
        target = self.push.targets[0] if self.push.targets else None
        tags = ",".join(target.tags) if target else ""
        more = f" and {len(self.push.targets) - 1} more" if len(self.push.targets) > 1 else ""
        where = f"{target.repository}:{tags}" if target and tags else f"{target.repository}" if target else "nowhere"
        return f"{self.push.source} to {where}{more}"


def key_of(unit: WorkUnit) -> str:
    """Return the hash of what is to be done, hints left out."""
    told = forms.to_builtins(replace(unit, key="", large=(), after=(), mounts={}))
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_KEY_LENGTH]


def write_units(path: Path, made_of: str, units: Sequence[WorkUnit]) -> None:
    """Write a file of units in one move; raises `ConfigError`."""
    head = UnitsHead(VERSION, "units", made_of, len(units))
    lines = [forms.encode(head), *(forms.encode(one) for one in units)]
    write_result(path, "".join(f"{line.decode()}\n" for line in lines), "the units")


def read_units(data: bytes, name: str) -> tuple[WorkUnit, ...]:
    """Read a file of units, or one that was compressed by gzip; raises `ConfigError` with the line of what is wrong."""
    lines = plain(data, name).removeprefix(codecs.BOM_UTF8).splitlines()
    _check_version(lines[0] if lines else b"", name)
    try:
        head: UnitsHead = forms.decode(lines[0] if lines else b"", UnitsHead)
        if head.kind != "units":
            raise ValueError("it is no head")
    except ValueError as problem:
        raise ConfigError(
            f"{name}: this is no file of units", hint="write one: oci-push plan PIPELINE --units FILE"
        ) from problem
    units = {number: _read(line, name, number) for number, line in enumerate(lines[1:], 2) if line.strip()}
    if len(units) != head.units:
        raise ConfigError(f"{name}: holds {len(units)} units of {head.units}", hint="copy the whole file")
    seen: dict[str, int] = {}
    for number, unit in units.items():
        if unit.key in seen:
            raise _wrong(f"unit {unit.key} is the same as that of line {seen[unit.key]}", name, number)
        seen[unit.key] = number
    return tuple(units.values())


def plain(data: bytes, name: str) -> bytes:
    """Return what is in a file that may be compressed by gzip; raises `ConfigError`."""
    if not data.startswith(_GZIP):
        return data
    import zlib  # loaded where a file is compressed

    reader = zlib.decompressobj(wbits=31)
    try:
        told = reader.decompress(data, _MOST_BYTES)
    except zlib.error as problem:
        raise ConfigError(f"{name}: is damaged gzip ({problem})", hint="copy the whole file") from problem
    if not reader.eof:
        raise ConfigError(f"{name}: is cut off, or larger than {_MOST_BYTES} bytes", hint="copy the whole file")
    return told


def hosts_asked(units: Iterable[WorkUnit]) -> tuple[str, ...]:
    """Return the registries that units go to, those that they come from, and those that keep what is overwritten."""
    found: dict[str, None] = {}
    for unit in units:
        source = (unit.origin.repository.host,) if unit.origin is not None else ()
        kept = elsewhere(unit.backup)
        found.update(dict.fromkeys((*unit.hosts, *source, *((kept.repository.host,) if kept else ()))))
    return tuple(found)


def _check_version(line: bytes, name: str) -> None:
    try:
        head = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return  # told by who reads it as a whole
    version = head.get("version") if isinstance(head, dict) and head.get("kind") == "units" else VERSION
    if version != VERSION:
        raise ConfigError(f"{name}: version {version} is not known here", hint="use a newer oci-push")


def hosts_of(units: Iterable[WorkUnit]) -> tuple[str, ...]:
    """Return the registries that units go to."""
    return tuple(dict.fromkeys(host for unit in units for host in unit.hosts))


def _read(line: bytes, name: str, number: int) -> WorkUnit:
    try:
        unit: WorkUnit = forms.decode(line, WorkUnit)
    except ValueError as problem:
        raise _wrong(f"this is no unit ({str(problem)[:120]})", name, number) from problem
    if not unit.push.targets:
        raise _wrong("the unit goes nowhere", name, number)
    if unit.backup and (unit.root is None or [len(one.tags) for one in unit.push.targets] != [1]):
        raise _wrong("a unit with a backup has one tag, and the digest that is to be there", name, number)
    if unit.key != key_of(unit):
        hint = "if nobody has changed it, another version of oci-push wrote it: use the same, or write the file again"
        raise _wrong("the unit was changed after it was written", name, number, hint)
    if unit.root is None:
        raise _wrong("the unit does not say which digest goes out", name, number)
    if unit.push.source == "-":
        raise _wrong("the unit reads stdin, which is another one here", name, number)
    bad = next((tag for one in unit.push.targets for tag in one.tags if not is_tag(tag)), None)
    if bad is not None:
        raise _wrong(f"{bad!r} is no tag", name, number)
    return unit


def _wrong(
    message: str, name: str, line: int, hint: str = "write the file again: oci-push plan PIPELINE --units FILE"
) -> ConfigError:
    return ConfigError(problems=(Diagnostic(message, name, line, 1, hint=hint),))
