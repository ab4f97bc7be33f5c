"""An OCI image layout in a folder that is written to, beside other processes (image-spec image-layout.md).

A blob is downloaded to a file of another name, which is locked by who writes it and becomes the blob when its digest is
right. Left behind by a process that was killed, it is gone on with. ``index.json`` is changed last and as a whole, by
one process at a time, and what it lists beside our images stays as it is.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from oci_push.errors import ConfigError, ContentMismatchError
from oci_push.model import media
from oci_push.model.descriptor import Descriptor
from oci_push.model.digest import Digest
from oci_push.model.manifest import json_bytes, load_json
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context
from oci_push.runtime.files import HeldFile, folder_locked, hold, write_whole
from oci_push.runtime.single_flight import SingleFlight
from oci_push.sources.base import BLOCK_BYTES, verified
from oci_push.sources.layout import blob_path

REF_NAME = "org.opencontainers.image.ref.name"
LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'
_OURS = ".oci-push-"
"""How the names of files begin that become blobs."""
_INDEX_BYTES = 32 * 1024 * 1024
_POLL_S = 0.05

Count = Callable[[int], None]
"""Told how many bytes of a blob there are by now."""


class LayoutFolder:
    """Write blobs and index.json; to be shared by threads. `is_verified`: blobs that are there are hashed, too.

    `lock_s` is how long another process may take to change index.json, which takes milliseconds.
    """

    def __init__(self, path: str, *, is_verified: bool = False, lock_s: float = 60.0) -> None:
        self.path = path
        self._folder = Path(path)
        self._is_verified = is_verified
        self._lock_s = lock_s
        self._known: Mapping[str, Descriptor] = {}
        self._settled: SingleFlight[Digest, Descriptor] = SingleFlight()
        self._begun: SingleFlight[str, Path] = SingleFlight()
        self._made: Sequence[Path] = ()

    def open(self, context: Context) -> None:
        """Make a folder for the layout, or see that there is one that can be added to; raises `ConfigError`."""
        try:
            self._made = [one for one in (self._folder, *self._folder.parents) if not one.exists()]
            self._folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as problem:
            raise ConfigError(
                f"{self.path}: is a file, and oci: wants a folder",
                hint=f"write oci-archive:{self.path} for an archive, or name a folder",
            ) from problem
        except OSError as problem:
            raise unwritten(self.path, problem) from problem
        with self._locked(context):
            found = os.listdir(self._folder)
            names = {name for name in found if not name.startswith((_OURS, ".oci-layout."))}
            if "oci-layout" in names:
                self._check_links()
                self._check_version()
                self._clear(name for name in found if name.startswith(_OURS))
            elif names:
                raise ConfigError(
                    f"{self.path}: holds other files and is no OCI image layout",
                    hint="name a layout, or a folder that is new or empty",
                )
            listed = self._index()["manifests"]
        assert isinstance(listed, list)  # noqa: S101  # `_index` has seen to it
        self._known = {name_of(one): Descriptor.from_json(one) for one in reversed(listed)}

    def close(self) -> None:
        """Remove the folders that were made and that nothing was written to."""
        with suppress(OSError):
            for one in self._made:
                one.rmdir()

    def find(self, name: str) -> Descriptor | None:
        """Return what index.json has called by this name when it was opened."""
        return self._known.get(name)

    def has(self, blob: Descriptor) -> bool:
        """Return whether a blob is there with its size."""
        return self._size(blob.digest) == blob.size

    def put(self, context: Context, blob: Descriptor, body: Callable[[], Body], what: str, count: Count) -> bool:
        """Write a blob unless it is there; return whether it was written. `what` is how messages call it.

        Raises `ContentMismatchError` where the bytes are others, `ConfigError` where they cannot be written.
        """
        written: list[bool] = []

        def bring() -> Descriptor:
            written.append(self._put(context, blob, body, what, count))
            return blob

        settled = self._settled.get(blob.digest, bring)
        if settled.size != blob.size:
            raise ContentMismatchError(f"{what}: has {settled.size} bytes, its manifest says {blob.size}")
        return any(written)

    def list(self, context: Context, entries: Sequence[Mapping[str, object]]) -> None:
        """Let index.json list these descriptors, in the place of what has had their names; all at once."""
        with self._locked(context):
            index = self._index()
            listed = index["manifests"]
            assert isinstance(listed, list)  # noqa: S101  # `_index` has seen to it
            merged = merge(listed, entries)
            if merged != listed or not (self._folder / "index.json").exists():
                write_whole(self._folder / "index.json", json_bytes({**index, "manifests": merged}).decode())

    def _put(self, context: Context, blob: Descriptor, body: Callable[[], Body], what: str, count: Count) -> bool:
        final = self._folder / blob_path(blob.digest)
        if self._is_whole(context, blob, final):
            return False
        part = self._folder / f"{_OURS}{blob.digest.algorithm}-{blob.digest.encoded}"
        self._begun.get("", lambda: self._begin(context))
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            held = _wait(context, part)
            try:
                if self._is_whole(context, blob, final):  # another process has brought it meanwhile
                    held.path.unlink(missing_ok=True)
                    return False
                try:
                    _fill(context, held.descriptor, blob, body, what, count)
                except ContentMismatchError:
                    held.path.unlink(missing_ok=True)
                    raise
                os.fsync(held.descriptor)
                os.replace(held.path, final)
            finally:
                held.close()
        except OSError as problem:
            raise unwritten(self.path, problem) from problem
        return True

    def _begin(self, context: Context) -> Path:
        """Make the folder a layout, before its first blob."""
        file = self._folder / "oci-layout"
        if not file.exists():
            self._folder.mkdir(parents=True, exist_ok=True)  # another process may have removed it while it was empty
            with self._locked(context):
                write_whole(file, LAYOUT_FILE.decode())
        return file

    def _clear(self, parts: Iterable[str]) -> None:
        """Remove parts of blobs that are there: of processes that were killed while they waited for another."""
        for name in parts:
            algorithm, _, encoded = name.removeprefix(_OURS).partition("-")
            if (self._folder / "blobs" / algorithm / encoded).exists() and (held := hold(self._folder / name)):
                held.path.unlink(missing_ok=True)
                held.close()

    def _is_whole(self, context: Context, blob: Descriptor, final: Path) -> bool:
        if not self.has(blob):
            return False
        if not self._is_verified:
            return True
        running = blob.digest.new_hash()
        try:
            with final.open("rb", buffering=0) as file:
                while block := file.read(BLOCK_BYTES):
                    context.check()
                    running.update(block)
        except OSError as problem:
            raise unwritten(self.path, problem, "read") from problem
        return blob.digest.matches(running)

    def _check_links(self) -> None:
        """Refuse a layout that somebody else has made to lead elsewhere: none of it is written through a link."""
        root = os.path.realpath(self._folder)
        for name in ("oci-layout", "index.json", "blobs", "blobs/sha256", "blobs/sha512"):
            if os.path.commonpath([os.path.realpath(os.path.join(root, name)), root]) != root:
                raise self._broken(f"{name} is a link that leads out of the folder")

    def _size(self, digest: Digest) -> int:
        try:
            return (self._folder / blob_path(digest)).stat().st_size
        except OSError:
            return -1

    def _check_version(self) -> None:
        try:
            version = load_json(self._read("oci-layout", 4096), "oci-layout").get("imageLayoutVersion")
        except ValueError as problem:
            raise self._broken(str(problem)) from problem
        if not isinstance(version, str) or not version.startswith("1."):
            raise self._broken(f"layout version {version!r} is not supported (1.x is)")

    def _index(self) -> dict[str, object]:
        """Return what index.json says, whose every entry is a descriptor; what it lacks is made."""
        try:
            raw = self._read("index.json", _INDEX_BYTES)
        except FileNotFoundError:
            return {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": []}
        try:
            index = load_json(raw, "index.json")
            listed = index.get("manifests")
            if not isinstance(listed, list):
                raise ValueError("index.json has no list of manifests")
            for number, entry in enumerate(listed):
                Descriptor.from_json(entry, f"index.json manifests[{number}]")
        except ValueError as problem:
            raise self._broken(str(problem)) from problem
        return index

    def _read(self, name: str, most: int) -> bytes:
        with (self._folder / name).open("rb") as file:
            raw = file.read(most + 1)
        if len(raw) > most:
            raise self._broken(f"{name} has more than {most} bytes")
        return raw

    def _broken(self, why: str) -> ConfigError:
        return ConfigError(
            f"{self.path}: is a broken layout, and was left as it is: {why}", hint="mend it, or name another folder"
        )

    @contextmanager
    def _locked(self, context: Context) -> Iterator[None]:
        try:
            with folder_locked(self._folder, context, wait_s=self._lock_s) as is_ours:
                if not is_ours:
                    raise ConfigError(
                        f"{self.path}: another process has held this layout for {self._lock_s:g} s",
                        hint="is one hanging?",
                    )
                yield
        except OSError as problem:
            raise unwritten(self.path, problem) from problem


def merge(
    listed: Sequence[Mapping[str, object]], entries: Sequence[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    """Return a list with these entries: each in the place of what has had its name, or was its digest without a name.

    An entry without a name is left out where its digest is listed already.
    """
    merged: list[Mapping[str, object] | None] = []
    named: dict[str, list[int]] = {}
    unnamed: dict[object, list[int]] = {}
    count: Counter[object] = Counter()

    def put(entry: Mapping[str, object], places: Sequence[int]) -> None:
        for place in places:
            old = merged[place]
            count[old.get("digest") if old else None] -= 1
            merged[place] = None
        if places:
            merged[places[0]] = entry
        else:
            merged.append(entry)
        place = places[0] if places else len(merged) - 1
        name, digest = name_of(entry), entry.get("digest")
        (named.setdefault(name, []) if name else unnamed.setdefault(digest, [])).append(place)
        count[digest] += 1

    for one in listed:
        put(one, ())
    for one in entries:
        name, digest = name_of(one), one.get("digest")
        if name:
            put(one, sorted({*named.pop(name, ()), *unnamed.pop(digest, ())}))
        elif not count[digest]:
            put(one, ())
    return [one for one in merged if one is not None]


def name_of(entry: Mapping[str, object]) -> str:
    """Return what an entry of index.json is called; empty where it has no name."""
    annotations = entry.get("annotations")
    name = annotations.get(REF_NAME) if isinstance(annotations, Mapping) else None
    return name if isinstance(name, str) else ""


def unwritten(path: str, problem: OSError, act: str = "written") -> ConfigError:
    """Return the error of a place that the system does not let us write to."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return ConfigError(
            f"{path}: the disk is full", hint="make room; the same command goes on where this one stopped"
        )
    hints = {
        errno.EACCES: "name a place that this user may write to",
        errno.EROFS: "name a place on a file system that can be written to",
        errno.ENOTDIR: "a part of the path is a file",
    }
    return ConfigError(f"{path}: cannot be {act} ({problem.strerror})", hint=hints.get(problem.errno or 0))


def _wait(context: Context, part: Path) -> HeldFile:
    """Take the file that becomes a blob, after another process that writes it, if there is one."""
    while (held := hold(part)) is None:
        context.sleep(_POLL_S)
    return held


def _fill(context: Context, file: int, blob: Descriptor, body: Callable[[], Body], what: str, count: Count) -> None:
    """Write a blob's bytes to a file, after those that are there already; what they were is found out at the end."""
    start = os.fstat(file).st_size
    while True:
        if start > blob.size:
            start = 0
        os.ftruncate(file, start)
        try:
            _download(context, file, blob, body(), start, what, count)
            return
        except ContentMismatchError:
            if not start:
                raise
            start = 0  # what a killed process has left may be what the disk made of it


def _download(context: Context, file: int, blob: Descriptor, body: Body, start: int, what: str, count: Count) -> None:
    at = start
    for block in verified(body, blob, what, _kept(context, file, start)):
        context.check()
        view = memoryview(block)
        while view:
            done = os.pwrite(file, view, at)
            view, at = view[done:], at + done
        count(at)


def _kept(context: Context, file: int, size: int) -> Iterator[bytes]:
    """Return the first bytes of a file."""
    at = 0
    while at < size:
        context.check()
        block = os.pread(file, min(BLOCK_BYTES, size - at), at)
        if not block:
            return
        at += len(block)
        yield block
