"""Files that the user names for results: what cannot be written is found out before the work."""

from __future__ import annotations

import os
from pathlib import Path

from oci_push.errors import ConfigError
from oci_push.runtime.files import write_whole


def check_writable(path: Path | None, option: str) -> None:
    """Refuse a file whose folder does not exist or may not be written to; raises `ConfigError`."""
    if path is None:
        return
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {folder}", hint="make it first, or name another file")
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a folder", hint="name a file")
    if not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        raise ConfigError(f"{option} {path}: {folder} cannot be written to", hint="name a file in another folder")


def write_result(path: Path, text: str, what: str) -> None:
    """Write `what` whole or not at all; raises `ConfigError`."""
    try:
        write_whole(path, text)
    except OSError as problem:
        raise ConfigError(f"{path}: {what} cannot be written ({problem.strerror})") from problem
