"""Write ``SHA256SUMS`` of a folder's files, as `sha256sum --check` reads it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

NAME = "SHA256SUMS"


def make(folder: Path) -> Path:
    """Write the file; return its path."""
    files = sorted(path for path in folder.iterdir() if path.name != NAME)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    path = folder / NAME
    path.write_text("".join(lines), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
