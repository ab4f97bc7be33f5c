"""Write the one file: an archive that Python runs, with all that oci-push needs except Python.

`python3 release/onefile.py TREE FOLDER` takes what `tree` made, and writes it into FOLDER under a name that says for
which Python and platform it is: ``oci-push-0.2.0-cp313-x86_64-linux-gnu.pyz``. The same tree gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: the first one that a zip can tell."""


def make(tree: Path, folder: Path) -> Path:
    """Write the file, for the Python that this is run with; return its path."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    platform = getattr(sys.implementation, "_multiarch", sys.platform)
    (version,) = (found.version for found in distributions(name="oci-push", path=[str(tree / "lib")]))
    packed = _pack_lib(tree)
    name = f"{version}-cp{python.replace('.', '')}-{platform}"
    constants = {
        "@build@": f"{name}-{hashlib.sha256(packed).hexdigest()[:16]}",
        "@python@": python,
        "@platform@": platform,
    }
    main = (HERE / "bootstrap.py").read_text(encoding="utf-8")
    for mark, value in constants.items():
        main = main.replace(mark, value)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"oci-push-{name}.pyz"
    with path.open("wb") as file:
        file.write(f"#!/usr/bin/env python{python}\n".encode())
        # An archive in an archive: Python reads the outer one's table of contents at each start; it has two entries.
        with zipfile.ZipFile(file, "w") as archive:
            _add(archive, "__main__.py", main.encode())
            _add(archive, "lib.zip", packed)
    path.chmod(0o755)
    return path


def _pack_lib(tree: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted((tree / "lib").rglob("*")):
            if path.is_file():
                _add(archive, path.relative_to(tree).as_posix(), path.read_bytes())
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, OLDEST)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3  # Unix, on which platform ever it is made
    archive.writestr(entry, content, compress_type=archive.compression, compresslevel=archive.compresslevel)


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), Path(sys.argv[2])))
