"""Artifacts fetched into a folder: every byte is checked before the first file is put in its place.

Titles, and names in the tars of folders, are written by whoever made the artifact: none leads out of the folder, none
is written through a link, and nothing that is there is replaced unless that is asked for.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec import Struct

from oci_push.errors import ConfigError, OciPushError, SourceError
from oci_push.forms import VERSION, Version
from oci_push.model import media
from oci_push.model.artifact import TITLE, UNPACK, UNPACKED_DIGEST
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader, verified
from oci_push.sources.files import SpoolSpace
from oci_push.sources.folders import MOST_DEPTH, unpack
from oci_push.sources.settings import Limits

_MOST_NAME_BYTES = 255
"""What the file systems of Linux and macOS take for one part of a path."""


class Fetched(Struct, frozen=True):
    """One file or folder of an artifact; `path` is where it was written."""

    path: str
    title: str
    media_type: str
    digest: Digest
    size: int
    unpacked: bool


class Fetching(Struct, frozen=True):
    """What ``artifact pull --json`` prints; `untitled` are layers that have no name, and so are not written."""

    version: Version
    name: str
    digest: Digest
    artifact_type: str
    files: tuple[Fetched, ...]
    untitled: tuple[Digest, ...]


class Wish(Struct, frozen=True):
    """What is fetched and how: globs of media types (none: all), whether folders are unpacked, files replaced."""

    types: Sequence[str] = ()
    unpacks: bool = True
    overwrites: bool = False


class _Item(Struct, frozen=True):
    layer: Descriptor
    title: str
    parts: tuple[str, ...]
    is_folder: bool


def fetch(
    context: Context, source: ImageReader, root: Descriptor, folder: Path, wish: Wish, spool: SpoolSpace, limits: Limits
) -> Fetching:
    """Write an artifact's files below `folder`, which is made if it is missing.

    Raises `SourceError` and `ConfigError` for what cannot or must not be written, `ContentMismatchError` for bytes that
    are not those of their digest; then nothing has been written.
    """
    manifest = source.manifest(context, root)
    if manifest.media_type in media.INDEXES:
        raise SourceError(
            f"{source.name}: is an index, and no artifact", hint="say which one: --platform, or its digest"
        )
    titled = [one for one in manifest.layers if one.annotations.get(TITLE)]
    untitled = tuple(one.digest for one in manifest.layers if not one.annotations.get(TITLE) and not _is_empty(one))
    chosen = [one for one in titled if not wish.types or any(fnmatchcase(one.media_type, g) for g in wish.types)]
    if not chosen:
        raise _nothing(source.name, titled, untitled, wish)
    items = [_item(source.name, one, unpacks=wish.unpacks) for one in chosen]
    _check_apart(source.name, items)
    for item in items:
        _check_place(folder, item.parts, is_folder=item.is_folder, overwrites=wish.overwrites)
    done = []
    try:
        with _staging(folder) as staging:
            for number, item in enumerate(items):
                _bring(context, source, item, staging / str(number), spool, limits)
            for number, item in enumerate(items):
                if item.is_folder:
                    _check_merge(staging / str(number), folder.joinpath(*item.parts), overwrites=wish.overwrites)
            for number, item in enumerate(items):
                context.check()
                path = _place(folder, item, staging / str(number), overwrites=wish.overwrites)
                one = item.layer
                done.append(Fetched(str(path), item.title, one.media_type, one.digest, one.size, item.is_folder))
    except OSError as problem:
        where = problem.filename2 or problem.filename or folder
        raise SourceError(f"{where}: cannot be written ({problem.strerror})", hint="name another --output") from problem
    kind = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
    return Fetching(VERSION, source.name, manifest.digest, kind, tuple(done), untitled)


def _is_empty(layer: Descriptor) -> bool:
    return layer.media_type == media.OCI_EMPTY


def _nothing(name: str, titled: Sequence[Descriptor], untitled: Sequence[Digest], wish: Wish) -> OciPushError:
    if titled:
        kinds = ", ".join(sorted({one.media_type for one in titled}))
        return ConfigError(f"{name}: no file is of type {' or '.join(wish.types)}", hint=f"there are: {kinds}")
    if untitled:
        return SourceError(
            f"{name}: none of its {len(untitled)} layers has a title, so it is not known how to call them",
            hint=f"it may be an image; an artifact's files have the annotation {TITLE}",
        )
    return SourceError(f"{name}: holds no files", hint="all there is to it are its annotations: oci-push inspect")


def _item(name: str, layer: Descriptor, *, unpacks: bool) -> _Item:
    title = layer.annotations[TITLE]
    is_folder = unpacks and layer.annotations.get(UNPACK) == "true"
    parts = tuple(part for part in title.split("/") if part not in ("", "."))
    what = f"{name}: title {title!r}"
    if title.startswith("/") or ".." in parts or "\\" in title or (not parts and not is_folder):
        raise SourceError(f"{what} leads out of the folder; nothing was written", hint="do not trust this artifact")
    if any(unicodedata.category(one) == "Cc" for one in title):
        raise SourceError(f"{what} has control characters; nothing was written", hint="do not trust this artifact")
    try:
        is_long = len(parts) > MOST_DEPTH or any(len(part.encode()) > _MOST_NAME_BYTES for part in parts)
    except UnicodeEncodeError as problem:
        raise SourceError(f"{what} is no text; nothing was written") from problem
    if is_long:
        raise SourceError(f"{what} is too long for a name; nothing was written")
    if layer.annotations.get(UNPACK) == "true" and not unpacks:
        parts = (*parts[:-1], f"{parts[-1] if parts else 'folder'}.tar.gz")
    return _Item(layer, title, parts, is_folder)


def _check_apart(name: str, items: Sequence[_Item]) -> None:
    """Refuse two files of one name, and a file where another has a folder.

    Names that differ in case, or in how an accent is written, are one on some file systems.
    """
    seen: dict[tuple[str, ...], _Item] = {}
    for item in items:
        key = tuple(unicodedata.normalize("NFC", part).casefold() for part in item.parts)
        if key in seen:
            raise SourceError(f"{name}: two files are called {item.title!r}; nothing was written")
        seen[key] = item
    for key, item in seen.items():
        above = next((seen[key[:length]] for length in range(len(key)) if key[:length] in seen), None)
        if above is not None:
            raise SourceError(f"{name}: {item.title!r} would lie in {above.title!r}; nothing was written")


def _check_place(folder: Path, parts: tuple[str, ...], *, is_folder: bool, overwrites: bool) -> None:
    """See that a file may be written to its place; raises `ConfigError` where something is in the way."""
    for length in range(1, len(parts)):
        above = folder.joinpath(*parts[:length])
        kind = _kind(above)
        if kind not in (None, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "no folder"
            raise ConfigError(f"{above}: is {what}, and nothing is written through it", hint="remove it")
    place = folder.joinpath(*parts)
    kind = _kind(place) if parts else None
    if kind is None:
        return
    if (kind == stat.S_IFDIR) != is_folder:
        raise ConfigError(f"{place}: is {'a' if kind == stat.S_IFDIR else 'no'} folder", hint="remove it")
    if not overwrites:
        raise ConfigError(f"{place}: is there already; nothing was written", hint="--overwrite replaces it")


def _kind(path: Path) -> int | None:
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Give a new folder beside the files to come, on their file system; it is gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=".oci-push-", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _bring(context: Context, source: ImageReader, item: _Item, path: Path, spool: SpoolSpace, limits: Limits) -> None:
    """Download one layer, checked, to `path`, unpacked where it is a folder."""
    layer = item.layer
    what = f"{source.name}: {item.title}"
    blocks = verified(source.blob(context, layer), layer, what)
    if not item.is_folder:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            for block in blocks:
                context.check()
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        return
    said = layer.annotations.get(UNPACKED_DIGEST, "")
    try:
        plain = Digest.parse(said) if said else None
    except ValueError as problem:
        raise SourceError(f"{what}: {UNPACKED_DIGEST} is no digest ({problem})") from problem
    archive = spool.writer(what)
    for block in blocks:
        context.check()
        archive.write(block)
    packed = (bytes(block) for block in archive.body().blocks())
    unpack(context, packed, what, item.title, path, spool, limits, plain)


def _place(folder: Path, item: _Item, staged: Path, *, overwrites: bool) -> Path:
    """Move what was brought to its place; a folder that is there keeps what the artifact does not have."""
    place = folder.joinpath(*item.parts)
    _check_place(folder, item.parts, is_folder=item.is_folder, overwrites=overwrites)
    place.parent.mkdir(parents=True, exist_ok=True)
    if item.is_folder and _kind(place) == stat.S_IFDIR:
        _merge(staged, place)
    elif overwrites or item.is_folder:
        os.rename(staged, place)
    else:
        try:
            os.link(staged, place)
        except FileExistsError as problem:  # somebody has made it meanwhile
            raise ConfigError(f"{place}: is there already", hint="--overwrite replaces it") from problem
        except OSError:  # a file system without hard links
            os.rename(staged, place)
    return place


def _check_merge(staged: Path, place: Path, *, overwrites: bool) -> None:
    """See that a folder can go into another that is there; raises `ConfigError` where something is in the way."""
    if _kind(place) is None:
        return
    for entry in sorted(staged.iterdir()):
        there = place / entry.name
        kind, is_folder = _kind(there), _kind(entry) == stat.S_IFDIR
        if kind is None:
            continue
        if (kind == stat.S_IFDIR) != is_folder:
            raise ConfigError(f"{there}: is {'a' if kind == stat.S_IFDIR else 'no'} folder", hint="remove it")
        if is_folder:
            _check_merge(entry, there, overwrites=overwrites)
        elif not overwrites:
            raise ConfigError(f"{there}: is there already; nothing was written", hint="--overwrite replaces it")


def _merge(staged: Path, place: Path) -> None:
    """Move what one folder holds into another that is there; nothing is written through a link."""
    for entry in sorted(staged.iterdir()):
        there = place / entry.name
        if _kind(entry) == stat.S_IFDIR and _kind(there) == stat.S_IFDIR:
            _merge(entry, there)
        else:
            os.rename(entry, there)
