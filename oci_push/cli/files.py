"""What the commands of artifacts share: files and their types, annotations, and when an artifact was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from oci_push.cli.words import TARGET, Option
from oci_push.errors import ConfigError
from oci_push.model.artifact import is_media_type
from oci_push.sources.artifact_files import Annotations, with_annotations

Annotation = Annotated[
    list[str] | None, Option("Annotate the artifact.", short="-a", metavar="KEY=VALUE", under=TARGET)
]
AnnotationFile = Annotated[
    Path | None, Option("Annotations of artifact and files, as oras reads them.", metavar="JSON", under=TARGET)
]
ArtifactType = Annotated[
    str, Option("What the artifact is; told by content if not given.", name="--type", metavar="TYPE", under=TARGET)
]
EPOCH = "SOURCE_DATE_EPOCH"
_LATEST = 253402300799
"""The last second of the year 9999, beyond which RFC 3339 has no times."""


def check_utf8(text: str, option: str) -> None:
    """Refuse what was typed in another encoding, which no JSON can hold; raises `ConfigError`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{option} {text!r}: is no text in UTF-8", hint="is the terminal's encoding another?"
        ) from None


def read_annotations(given: Sequence[str] | None, file: Path | None) -> Annotations:
    """Read ``--annotation`` and ``--annotation-file``; the former win. Raises `ConfigError`."""
    found = Annotations.read(file) if file else Annotations()
    more: dict[str, str] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ConfigError(f"--annotation {text!r} is no annotation", hint="write KEY=VALUE")
        check_utf8(text, "--annotation")
        if key in more:
            raise ConfigError(f"--annotation {key} is given twice", hint="leave out one of them")
        more[key] = value
    return with_annotations(found, more)


def check_type(text: str, option: str = "--type") -> str:
    """Return what an option says of an artifact; raises `ConfigError` for what is no media type."""
    if text and not is_media_type(text):
        raise ConfigError(
            f"{option} {text!r} is no media type", hint="write TYPE/SUBTYPE, such as application/spdx+json"
        )
    return text


def created(env: Mapping[str, str]) -> str:
    """Return the time of ``SOURCE_DATE_EPOCH`` by RFC 3339, empty without one: the same files make the same bytes."""
    text = env.get(EPOCH, "")
    if not text:
        return ""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_LATEST)) or int(text) > _LATEST:
        raise ConfigError(f"{EPOCH} is {text!r}, and no number of seconds since 1970", hint="unset it, or correct it")
    return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
