"""``registries.conf``: where podman, buildah and skopeo read images from in the place of the registry that was named.

The file, its drop-in folders and how entries are chosen follow containers-registries.conf(5) and containers-registries
.conf.d(5), and where those are silent what containers/image does (``pkg/sysregistriesv2``). Only places of the system
and of the user are looked at, never the working folder. Short names, aliases and search registries are not used: a
source names its registry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from oci_push.errors import ConfigError
from oci_push.model.reference import Reference, is_host

NAMED_BY = "CONTAINERS_REGISTRIES_CONF"
SYSTEM_FILE = Path("/etc/containers/registries.conf")
SYSTEM_FOLDER = Path("/etc/containers/registries.conf.d")
_OF_USER = ".config/containers"
_HAS_ENTRIES = re.compile(r"""^\s*\[*\s*["']?registr(?:y|ies)\b|\\""", re.MULTILINE)
"""Whether reading a file is worth a parser: most hold comments, or aliases alone. A key may hide behind escapes."""
_MOST_BYTES = 4 * 1024 * 1024
_WHEN = ("all", "digest-only", "tag-only")


class Place(Struct, frozen=True):
    """Where an image may be read: `is_insecure` takes any certificate, and plain http where there is no TLS."""

    reference: Reference
    is_mirror: bool = False
    is_insecure: bool = False


class _Mirror(Struct, frozen=True):
    location: str
    is_insecure: bool
    when: str


class _Entry(Struct, frozen=True):
    """One ``[[registry]]``, and the `file` that it stands in."""

    prefix: str
    location: str
    is_insecure: bool
    is_blocked: bool
    by_digest_only: bool
    mirrors: tuple[_Mirror, ...]
    file: Path


class RegistriesConf(Struct, frozen=True):
    """What all files say together, by prefix."""

    entries: Mapping[str, _Entry]

    def places(self, reference: Reference) -> tuple[Place, ...]:
        """Return where an image is read, in the order of trying; raises `ConfigError` where its registry is blocked."""
        text = _text(reference)
        found = [(len(one.prefix), one) for one in self.entries.values() if _match(text, one.prefix) >= 0]
        if not found:
            return (Place(reference),)
        entry = max(found, key=lambda pair: pair[0])[1]
        if entry.is_blocked:
            raise ConfigError(
                f"{text}: {entry.prefix} is blocked in {entry.file}", hint="read the image from elsewhere"
            )
        mirrors = [] if entry.by_digest_only and reference.digest is None else entry.mirrors
        unwanted = "digest-only" if reference.digest is None else "tag-only"
        return (
            *(
                Place(_moved(reference, entry, one.location), is_mirror=True, is_insecure=one.is_insecure)
                for one in mirrors
                if one.when != unwanted
            ),
            Place(_moved(reference, entry, entry.location), is_insecure=entry.is_insecure),
        )


def read_registries_conf(env: Mapping[str, str], home: Path | None) -> RegistriesConf:
    """Read the files of the system and of the user; raises `ConfigError` for what cannot be read or is no such file."""
    found: dict[str, _Entry] = {}
    for path in _files(env, home):
        for entry in _read(path, is_needed=str(path) == env.get(NAMED_BY)):
            found[entry.prefix] = entry  # a later file replaces the whole entry
    return RegistriesConf(found)


def _files(env: Mapping[str, str], home: Path | None) -> Iterable[Path]:
    """Return the files in the order in which they are read.

    A user's own file keeps the system's folder out as well; one that is named by the environment does not.
    """
    named = env.get(NAMED_BY)
    own = home / _OF_USER / "registries.conf" if home else None
    folders = [SYSTEM_FOLDER]
    if named:
        yield Path(named)
    elif own is not None and os.path.exists(own):  # and not Path.exists, which raises where a folder may not be entered
        yield own
        folders = []
    else:
        yield SYSTEM_FILE
    for folder in (*folders, *([home / _OF_USER / "registries.conf.d"] if home else [])):
        try:
            yield from sorted(path for path in folder.iterdir() if path.suffix == ".conf" and not path.is_dir())
        except OSError:
            continue


def _read(path: Path, *, is_needed: bool) -> list[_Entry]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
            text = raw.decode("utf-8-sig")
    except FileNotFoundError:
        if is_needed:
            raise ConfigError(f"{NAMED_BY}: {path}: no such file", hint=f"unset {NAMED_BY}") from None
        return []
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason})") from problem
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"{path}: has more than {_MOST_BYTES} bytes")  # what is cut off could be what is blocked
    if _HAS_ENTRIES.search(text) is None:
        return []
    import tomllib

    try:
        root = tomllib.loads(text)
    except (ValueError, RecursionError) as problem:  # of numbers with too many digits it says no more than ValueError
        reason = "nested too deeply" if isinstance(problem, RecursionError) else str(problem)
        raise ConfigError(f"{path}: is no TOML that can be read: {reason}") from problem
    try:
        return [*_of_version_1(root, path), *(_entry(one, path) for one in _tables(root, "registry"))]
    except ValueError as problem:
        raise ConfigError(f"{path}: {problem}", hint="see containers-registries.conf(5)") from problem


def _of_version_1(root: Mapping[str, object], path: Path) -> list[_Entry]:
    """Return what the format before says of registries: which are blocked, which need no TLS."""
    kinds = root.get("registries")
    found: dict[str, _Entry] = {}
    for kind in ("insecure", "block"):
        table = kinds.get(kind) if isinstance(kinds, dict) else None
        names = table.get("registries", []) if isinstance(table, dict) else []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"registries.{kind}.registries is no list of texts")
        for name in names:
            place = _location(name, "registries")
            is_insecure = kind == "insecure" or (place in found and found[place].is_insecure)
            found[place] = _Entry(
                place, place, is_insecure, kind == "block", by_digest_only=False, mirrors=(), file=path
            )
    return list(found.values())


def _entry(table: Mapping[str, object], path: Path) -> _Entry:
    location = _location(_word(table, "location"), "location")
    prefix = _location(_word(table, "prefix"), "prefix") or location
    if not prefix:
        raise ValueError("a [[registry]] has neither prefix nor location")
    if not location and not prefix.startswith("*."):
        raise ValueError(f"[[registry]] {prefix}: has no location")
    by_digest_only = _flag(table, "mirror-by-digest-only")
    mirrors = []
    for one in _tables(table, "mirror"):
        when, place = _word(one, "pull-from-mirror"), _location(_word(one, "location"), "location")
        if not place:
            raise ValueError(f"[[registry]] {prefix}: a mirror has no location")
        if when and when not in _WHEN:
            raise ValueError(f"[[registry]] {prefix}: pull-from-mirror = {when!r}: it is {', '.join(_WHEN)}")
        if when and by_digest_only:
            raise ValueError(f"[[registry]] {prefix}: pull-from-mirror has no place beside mirror-by-digest-only")
        mirrors.append(_Mirror(place, _flag(one, "insecure"), when))
    insecure, blocked = _flag(table, "insecure"), _flag(table, "blocked")
    return _Entry(prefix, location, insecure, blocked, by_digest_only, tuple(mirrors), path)


def _tables(table: Mapping[str, object], key: str) -> list[dict[str, object]]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"{key} is no list of tables: write [[{key}]]")
    return value


def _word(table: Mapping[str, object], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    return value


def _flag(table: Mapping[str, object], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} is neither true nor false")
    return value


def _location(text: str, key: str) -> str:
    if text.startswith(("http://", "https://")):
        raise ValueError(f"{key} = {text!r}: is written without a scheme")
    return text.rstrip("/")


def _text(reference: Reference) -> str:
    end = f"@{reference.digest}" if reference.digest is not None else f":{reference.target}"
    return f"{reference.repository}{end}"


def _match(text: str, prefix: str) -> int:
    """Return where in a reference the part that a prefix stands for ends, or -1.

    That is at a ``/``, ``:`` or ``@``; after ``*.`` anywhere inside the host.
    """
    start = 0
    if prefix.startswith("*."):
        start = text.find(prefix[1:])
        if start < 0 or "/" in text[:start]:
            return -1
        prefix = prefix[1:]
    elif not text.startswith(prefix):
        return -1
    end = start + len(prefix)
    return end if text[end : end + 1] in ("", ":", "/", "@") else -1


def _moved(reference: Reference, entry: _Entry, location: str) -> Reference:
    """Return a reference with the part that the prefix stands for replaced; without a location it stays."""
    if not location:
        return reference
    text = _text(reference)
    moved = location + text[_match(text, entry.prefix) :]
    try:
        if not is_host(moved.partition("/")[0]):
            raise ValueError("its host has neither a dot nor a port")
        return Reference.parse(moved)
    except ValueError as problem:
        raise ConfigError(f"{entry.file}: {text} would be read from {moved!r}: {problem}") from problem
