"""One read-only view over a folder or a tar: names to bytes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

from oci_push.errors import SourceError
from oci_push.sources.files import FileBody, unreadable
from oci_push.sources.settings import Limits


class View(Protocol):
    """Files by their path in the image's folder or archive."""

    @property
    def name(self) -> str:
        """Return the folder or file as the user wrote it."""
        ...

    def find(self, path: str) -> FileBody | None:
        """Return a file's bytes, links followed inside the view, or ``None``."""
        ...


def read_small(view: View, path: str, limits: Limits) -> bytes | None:
    """Return a small file (JSON) whole; over the limit is an error."""
    body = view.find(path)
    if body is None:
        return None
    if body.size > limits.json_bytes:
        raise SourceError(f"{view.name}: {path} has {body.size} bytes, more than {limits.json_bytes}")
    return body.read()


class FolderView:
    """A folder on disk; links may not lead out of it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._root = os.path.realpath(folder)

    def find(self, path: str) -> FileBody | None:
        """Return a regular file below the folder."""
        try:
            full = os.path.realpath(os.path.join(self._root, normalise(path, self.name)))
        except UnicodeEncodeError:
            return None  # JSON can write names that no file can have
        if os.path.commonpath([full, self._root]) != self._root:
            raise SourceError(
                f"{self.name}: {path} is a link that leads out of the folder",
                hint="Bazel writes such layouts: copy it with cp -RL, which puts files in the place of links",
            )
        try:
            found = os.stat(full)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as problem:
            raise unreadable(f"{self.name}: {path}", problem) from problem
        if not stat.S_ISREG(found.st_mode):
            return None
        return FileBody(full, 0, found.st_size, f"{self.name}: {path}")


def normalise(path: str, name: str) -> str:
    """Return a member's path without ``./``; one that is absolute or climbs out is refused."""
    if "\0" in path:
        raise SourceError(f"{name}: member {path!r} has a zero byte in its name")
    if path.startswith("/"):
        raise SourceError(f"{name}: member {path!r} has an absolute path")
    return inside("", path, name, path)


def inside(base: str, path: str, name: str, shown: str) -> str:
    """Return `path` as seen from the folder `base`; raises `SourceError` where it leads out. `shown` is for people."""
    parts: list[str] = [part for part in base.split("/") if part not in ("", ".")]
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise SourceError(f"{name}: member {shown!r} leads out of the archive")
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
