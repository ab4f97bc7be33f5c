"""What a file is by its content: a media type for any bytes, and no error."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzzing import run

from oci_push.model.artifact import is_media_type
from oci_push.sources.known_content import media_type_of


def target(data: bytes) -> None:
    """Tell what a file of these bytes is."""
    with tempfile.NamedTemporaryFile(prefix="fuzz-") as file:
        file.write(data)
        file.flush()
        assert is_media_type(media_type_of(Path(file.name)))


if __name__ == "__main__":
    run(target, "content")
