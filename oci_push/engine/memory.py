"""Where facts are kept between runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MEMORY_FILE = "memory.sqlite3"
"""What is remembered between runs, in `memory_folder`."""


def memory_folder(env: Mapping[str, str], home: Path | None) -> Path | None:
    """Return where facts are kept between runs; nowhere without a home."""
    cache = env.get("XDG_CACHE_HOME") or (str(home / ".cache") if home else "")
    return Path(cache) / "oci-push" if cache else None
