"""Stores: an ``images.json`` and a ``layers.json`` of any content, asked for an image by any name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzzing import run

from oci_push.errors import ConfigError, ContentMismatchError, SourceError
from oci_push.events import ignore
from oci_push.model.source import SourceSpec
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.sources.settings import SourceSettings
from oci_push.sources.table import open_source


def target(data: bytes) -> None:
    """Take the first line as the name asked for, the second as the images, the rest as the layers."""
    name, _, rest = data.partition(b"\n")
    images, _, layers = rest.partition(b"\n")
    with tempfile.TemporaryDirectory() as made:
        for kind, content in (("images", images), ("layers", layers)):
            folder = Path(made) / f"vfs-{kind}"
            folder.mkdir()
            (folder / f"{kind}.json").write_bytes(content)
        image = Path(made) / "vfs-images" / "a1"
        image.mkdir()
        (image / "manifest").write_bytes(layers)
        spec = SourceSpec("storage", f"[vfs@{made}]{name.decode('utf-8', 'replace')}", "", "it")
        context = Context(FakeClock())
        try:
            source = open_source(spec, SourceSettings(), context=context, emit=ignore)
            source.close()
        except (ConfigError, SourceError, ContentMismatchError) as refused:
            assert len(f"{refused}{refused.hint}") < 20_000


if __name__ == "__main__":
    run(target, "store")
