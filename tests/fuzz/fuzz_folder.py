"""Tars of folders: whatever is in one, nothing is written outside of the folder, and no link leads out of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from fuzzing import run

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.sources.files import SpoolSpace
from oci_push.sources.folders import unpack
from oci_push.sources.settings import Limits


def target(data: bytes) -> None:
    """Unpack bytes as the tar of a folder called ``a``."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        top = Path(name).resolve()
        folder = top / "one" / "unpacked"
        folder.parent.mkdir()
        spool = SpoolSpace(None, 1 << 22)
        try:
            unpack(Context(FakeClock()), iter([data]), "x", "a", folder, spool, Limits())
        except (SourceError, ContentMismatchError):
            pass
        finally:
            spool.close()
        assert [one.name for one in top.iterdir()] == ["one"]
        assert {one.name for one in (top / "one").iterdir()} <= {"unpacked"}
        for here, folders, files in os.walk(folder):
            for entry in (Path(here) / one for one in (*folders, *files)):
                assert Path(os.path.realpath(entry)).is_relative_to(folder), entry


if __name__ == "__main__":
    run(target, "folder")
