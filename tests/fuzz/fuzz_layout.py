"""Layouts: an ``index.json`` of any content, asked for an image by any name."""

from __future__ import annotations

import tempfile

from fuzzing import run

from oci_push.errors import SourceError
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.sources.files import FileBody, SpoolSpace
from oci_push.sources.layout import LayoutSource
from oci_push.sources.settings import Limits

VERSION = b'{"imageLayoutVersion":"1.0.0"}'


class OneFile:
    """A view in which every blob has the bytes of the index."""

    name = "x"

    def __init__(self, file: int, size: int) -> None:
        self._file = file
        self._size = size

    def find(self, path: str) -> FileBody | None:
        """Give the version, or the index."""
        if path == "oci-layout":
            return FileBody(self._file, 0, len(VERSION), path)
        return FileBody(self._file, len(VERSION), self._size, path)


def target(data: bytes) -> None:
    """Take the first line as the name asked for, the rest as the index."""
    ref, _, index = data.partition(b"\n")
    context = Context(FakeClock())
    spool = SpoolSpace(None, 0)
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(VERSION + index)
        source = LayoutSource(OneFile(file.fileno(), len(index)), ref.decode("utf-8", "replace"), Limits(), spool)
        try:
            root = source.root(context)
            manifest = source.manifest(context, root)
            assert manifest.raw == index
        except SourceError as refused:
            assert len(f"{refused}{refused.hint}") < 10_000


if __name__ == "__main__":
    run(target, "layout")
