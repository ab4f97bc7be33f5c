"""Archives: every member that is found lies inside the file, and nothing but a source's error comes out."""

from __future__ import annotations

import tempfile

from fuzzing import run

from oci_push.errors import SourceError
from oci_push.events import ignore
from oci_push.model.source import SourceSpec
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.sources.files import SpoolSpace
from oci_push.sources.settings import Limits, Opening, SourceSettings
from oci_push.sources.table import by_content
from oci_push.sources.tars import open_tar

SETTINGS = SourceSettings(spool_bytes=1 << 22, threads=1)
SPEC = SourceSpec("docker-archive", "x", "", "docker-archive:x")


def target(data: bytes) -> None:
    """Open bytes as an archive and read the image it may hold."""
    context = Context(FakeClock())
    spool = SpoolSpace(None, SETTINGS.spool_bytes)
    try:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            view = open_tar("x", file, spool, context, Limits())
            for path in ("index.json", "manifest.json", "a", "./a/b"):
                found = view.find(path)
                assert found is None or len(found.read()) == found.size
            source = by_content(Opening(SPEC, SETTINGS, spool, context, ignore), view)
            manifest = source.manifest(context, source.root(context))
            for blob in manifest.blobs:
                assert sum(len(block) for block in source.blob(context, blob).blocks()) == blob.size
    except SourceError:
        return
    finally:
        spool.close()


if __name__ == "__main__":
    run(target, "tar")
