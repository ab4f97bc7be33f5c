"""Writing exports to a file: whole or not at all, or at the end of the file that GitHub reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from oci_push.errors import ConfigError
from oci_push.pipeline.exports import ExportForm, exported_values, format_exports


def write_exports(path: Path, form: ExportForm, steps: Mapping[str, Mapping[str, str]]) -> None:
    """Write the members of `steps`; raises `ConfigError`.

    GitHub's form is added to what the file holds already, as that file is shared. The others replace the file in one
    move, unless it is a device or a pipe. They hold no secrets, and others must be able to read them.
    """
    text = format_exports(exported_values(steps), form)
    try:
        if form is ExportForm.GITHUB or (path.exists() and not path.is_file()):
            with path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(text)
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as problem:
        raise ConfigError(f"{path}: the exports cannot be written ({problem.strerror})") from problem
