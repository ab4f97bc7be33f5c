"""Tar-splits: lines of any content, put together with the files of a layer that has little."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzzing import run

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.commands import command_runner
from oci_push.runtime.context import Context
from oci_push.sources.settings import Limits
from oci_push.sources.storage.namespace import NamespaceOpener
from oci_push.sources.storage.tarsplit import StorageLayer

OUTSIDE = b"outside of the layer"


def target(data: bytes) -> None:
    """Take the bytes as the tar-split, not compressed or compressed."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        folder = place / "diff"
        (folder / "d").mkdir(parents=True)
        (place / "outside").write_bytes(OUTSIDE)
        (folder / "a").write_bytes(b"inside")
        (folder / "up").symlink_to("..")
        (folder / "out").symlink_to("../outside")
        split = place / "split"
        split.write_bytes(data)
        opener = NamespaceOpener("it", {}, command_runner({}, FakeClock()), Context(FakeClock()))
        layer = StorageLayer("it", str(folder), str(split), 0, Limits(), opener)
        try:
            for block in layer.blocks():
                assert OUTSIDE not in bytes(block) or OUTSIDE in data
        except (SourceError, ContentMismatchError) as refused:
            assert len(f"{refused}{refused.hint}") < 10_000


if __name__ == "__main__":
    run(target, "split")
