"""Files and folders as the layers of an artifact, named and typed as oras does it."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from msgspec import Struct, field
from msgspec.structs import replace

from oci_push.errors import ConfigError, SourceError
from oci_push.model import artifact, media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import load_json
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context
from oci_push.sources.base import BLOCK_BYTES
from oci_push.sources.files import FileBody, SpoolSpace, unreadable
from oci_push.sources.known_content import KNOWN, media_type_of
from oci_push.sources.made import Content
from oci_push.sources.settings import Limits

UNKNOWN_TYPE = media.OCTET_STREAM
_MOST_ANNOTATIONS_BYTES = 4 * 1024 * 1024
_FOR_MANIFEST, _FOR_CONFIG = "$manifest", "$config"


class FileSpec(Struct, frozen=True):
    """A file or folder as it was named, and the media type that was said of it, if any."""

    path: str
    media_type: str = ""

    @classmethod
    def parse(cls, text: str) -> FileSpec:
        """Read ``FILE[:TYPE]``; what is there under the whole text is that file. Raises `ConfigError`."""
        path, colon, said = text.rpartition(":")
        if not colon or os.path.lexists(text):
            return cls(text)
        if artifact.is_media_type(said):
            return cls(path, said)
        if os.path.lexists(path):
            raise ConfigError(
                f"{text!r}: {said!r} is no media type", hint="write FILE:TYPE/SUBTYPE, such as sbom.json:text/spdx"
            )
        return cls(text)


class Annotations(Struct, frozen=True):
    """Annotations of an artifact: of its manifest, of its config, and of files by the names they were given by."""

    manifest: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Annotations:
        """Read oras's file of annotations: a JSON object of objects, ``$manifest``, ``$config`` and file names."""
        try:
            with path.open("rb") as file:
                raw = file.read(_MOST_ANNOTATIONS_BYTES + 1)
        except OSError as problem:
            raise ConfigError(f"--annotation-file {path}: cannot be read ({problem.strerror})") from problem
        hint = 'write {"$manifest": {"KEY": "VALUE"}, "FILE": {"KEY": "VALUE"}}'
        try:
            if len(raw) > _MOST_ANNOTATIONS_BYTES:
                raise ValueError(f"is larger than {_MOST_ANNOTATIONS_BYTES} bytes")
            value = {key: _texts(key, one) for key, one in load_json(raw, "it").items()}
        except ValueError as problem:
            raise ConfigError(f"--annotation-file {path}: {problem}", hint=hint) from problem
        return cls(value.pop(_FOR_MANIFEST, {}), value.pop(_FOR_CONFIG, {}), value)

    def check(self, names: Iterable[str]) -> None:
        """Refuse annotations of a file that is not among those; raises `ConfigError`."""
        unused = sorted(set(self.files) - set(names))
        if unused:
            raise ConfigError(
                f"--annotation-file: {unused[0]!r} is none of the files that are given",
                hint="write it as on the command line, or $manifest for the artifact itself",
            )


def _texts(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError(f"{key!r} is no object of texts")
    return value


class Layer(Struct, frozen=True):
    """One file or folder, ready to be sent; `known_type` is what its content tells, or was said of it."""

    name: str
    descriptor: Descriptor
    body: Body
    known_type: str


def title_of(path: str) -> str:
    """Return the title that a file gets: its path as it was given, its last name where that leads elsewhere."""
    pure = PurePosixPath(os.path.normpath(path))
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        return PurePosixPath(os.path.abspath(path)).name
    return str(pure)


def read_layer(
    context: Context,
    spec: FileSpec,
    title: str,
    spool: SpoolSpace,
    limits: Limits,
    annotations: Mapping[str, str] | None = None,
) -> Layer:
    """Read a file or pack a folder; raises `SourceError` for what is neither, or cannot be read."""
    path = Path(spec.path)
    _check_title(spec.path, title)
    more = annotations or {}
    try:
        status = path.stat()
    except FileNotFoundError as problem:
        raise SourceError(f"{spec.path}: no such file or folder", hint="check the path") from problem
    except (OSError, ValueError) as problem:
        if isinstance(problem, ValueError):
            raise SourceError(f"{spec.path!r}: is no path ({problem})") from problem
        raise unreadable(spec.path, problem) from problem
    if stat.S_ISDIR(status.st_mode):
        from oci_push.sources.folders import pack

        packed = pack(context, path, title, spool, limits)
        said = {artifact.UNPACKED_DIGEST: str(packed.plain), artifact.UNPACK: "true", artifact.TITLE: title}
        kind = spec.media_type or media.OCI_LAYER_GZIP
        blob = Descriptor(kind, packed.digest, packed.size, {**more, **said})
        return Layer(spec.path, blob, packed.body, spec.media_type)
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{spec.path}: is neither a file nor a folder", hint="write it to a file first")
    try:
        digest, size = _hashed(context, path)
        known = spec.media_type or media_type_of(path)
    except OSError as problem:
        raise unreadable(spec.path, problem) from problem
    blob = Descriptor(known, digest, size, {**more, artifact.TITLE: title})
    body = FileBody(str(path), 0, size, spec.path)
    return Layer(spec.path, blob, body, "" if known == UNKNOWN_TYPE and not spec.media_type else known)


def content_of(
    layers: Sequence[Layer],
    artifact_type: str,
    annotations: Annotations,
    created: str = "",
    name: str = "",
    option: str = "",
) -> Content:
    """Return what an artifact of these layers holds; with `artifact_type` empty it is what all of them are.

    `created` is when it was made, by RFC 3339; `option` is the command's that says a type, if it has one. Raises
    `ConfigError` where its type cannot be told, or two titles are one.
    """
    kinds = {one.known_type for one in layers}
    kind = artifact_type or (kinds.pop() if len(kinds) == 1 else "")
    if not kind:
        unknown = next((one.name for one in layers if not one.known_type), "")
        others = f", or {option}" if option else ""
        raise ConfigError(
            f"{unknown}: its content does not tell what it is" if unknown else "the files are of several types",
            hint=(f"write {unknown}:TYPE/SUBTYPE{others}" if unknown else f"say what all of it is with {option}")
            + f"; known by content are {KNOWN}",
        )
    titles: dict[str, str] = {}
    for one in layers:
        title = one.descriptor.annotations[artifact.TITLE]
        if title in titles:
            raise ConfigError(
                f"{titles[title]} and {one.name} would both be called {title}", hint="rename one, or go to its folder"
            )
        titles[title] = one.name
    said = {artifact.CREATED: created, **annotations.manifest} if created else annotations.manifest
    return Content(
        name or (layers[0].name if layers else kind),
        kind,
        tuple(one.descriptor for one in layers),
        {one.descriptor.digest: one.body for one in layers},
        said,
        annotations.config,
    )


def with_annotations(base: Annotations, more: Mapping[str, str]) -> Annotations:
    """Return annotations with more of the manifest's, which win."""
    return replace(base, manifest={**base.manifest, **more})


def _check_title(path: str, title: str) -> None:
    try:
        title.encode()
    except UnicodeEncodeError as problem:
        raise SourceError(f"{path!r}: its name is no UTF-8", hint="rename it") from problem
    if not title or any(unicodedata.category(one) == "Cc" for one in title):
        raise SourceError(f"{path!r}: is no name that a file can be given elsewhere", hint="rename it")


def _hashed(context: Context, path: Path) -> tuple[Digest, int]:
    running, size = hashlib.sha256(), 0
    view = memoryview(bytearray(BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(view):
            context.check()
            running.update(view[:count])
            size += count
    return Digest("sha256", running.hexdigest()), size
