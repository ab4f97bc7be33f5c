"""Writing exports to a file: whole or not at all, or at the end of the file that GitHub reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oci_push.errors import ConfigError
from oci_push.runtime.files import write_result
from oci_push.secret import masked
from oci_push.variables.exports import ExportForm, exported_values, format_exports


def write_exports(path: Path, form: ExportForm, steps: Mapping[str, Mapping[str, str]]) -> None:
    """Write the members of `steps`; raises `ConfigError`.

    GitHub's form is added to what the file holds already, as that file is shared. The others replace the file in one
    move, unless it is a device or a pipe. Others must be able to read them, so known secrets are taken out.
    """
    values = {name: masked(value) for name, value in exported_values(steps).items()}
    text = format_exports(values, form)
    if form is not ExportForm.GITHUB:
        write_result(path, text, "the exports")
        return
    try:
        with path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
    except OSError as problem:
        raise ConfigError(f"{path}: the exports cannot be written ({problem.strerror})") from problem
