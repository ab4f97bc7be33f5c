"""A layer as the tar it came in, bit for bit: put together from its ``tar-split`` and the files of its folder.

``ID.tar-split.gz`` is gzip round one JSON object a line (github.com/vbatts/tar-split, tar/storage/entry.go): type 2 is
bytes of the tar that are no file's content (headers, padding, the end), type 1 a file that follows with all its bytes.
Hard links and whiteouts have a header alone. The checksums in it (CRC-64) are passed over: who reads compares the whole
with the config's diff_id.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from oci_push.errors import ContentMismatchError, SourceError
from oci_push.sources.base import BLOCK_BYTES
from oci_push.sources.codecs import expanded
from oci_push.sources.compress import Reader
from oci_push.sources.files import FileBody, unreadable
from oci_push.sources.settings import Limits
from oci_push.sources.storage.beneath import MOST_AT_ONCE, MOST_BYTES, Beneath
from oci_push.sources.storage.namespace import INSTEAD, NamespaceOpener

_MOST_LINE_BYTES = 16 * 1024 * 1024
"""tar-split cuts padding into pieces of 1 MiB; a header is as long as its names and attributes."""
_LOOK_BYTES = 256 * 1024
_FILE, _BYTES = 1, 2
_DAMAGED = "remove the image and build or pull it again"


class _Entry(Struct, frozen=True):
    """One line of a tar-split; `payload` of a file is its CRC-64, `name_raw` a name that is not UTF-8."""

    type: int
    name: str = ""
    name_raw: bytes = b""
    size: int = 0
    payload: bytes | None = None


class StorageLayer(Struct, frozen=True):
    """A layer in a store: `folder` has its files, `split` is its tar-split; as `sources.layers.StoredLayer`.

    `size` is what the store says, and so not to be relied on before the layer has been read.
    """

    what: str
    folder: str
    split: str
    size: int
    limits: Limits
    opener: NamespaceOpener

    def head(self, size: int) -> bytes:
        """Return nothing: it is no file, and never compressed."""
        return b""

    def reader(self) -> Reader:
        """Open the layer."""
        return TarReader(self)

    def blocks(self, start: int = 0) -> Iterator[bytes | memoryview]:
        """Read with one buffer that each step overwrites; what is before `start` is read as well."""
        reader = TarReader(self)
        try:
            view = memoryview(bytearray(BLOCK_BYTES))
            while count := reader.fill(view):
                if start < count:
                    yield view[start:count]
                start = max(0, start - count)
        finally:
            reader.close()


def size_of(layer: StorageLayer) -> int:
    """Return how many bytes the tar has, by its tar-split; raises `SourceError`."""
    return sum(len(one.payload or b"") if one.type == _BYTES else one.size for one in TarReader(layer).entries())


class TarReader:
    """Read the tar of a layer into buffers; for one thread at a time.

    Files are opened by this process, and from the first that may not be read on by the child in a namespace, many with
    one question.
    """

    def __init__(self, layer: StorageLayer) -> None:
        self._layer = layer
        self._entries = self.entries()
        self._waiting: deque[_Entry] = deque()
        self._bytes = memoryview(b"")
        self._file = -1
        self._left = 0
        self._name = b""
        self._beneath: Beneath | None = None
        self._is_refused = False
        self._ahead: deque[tuple[int, int]] = deque()
        """Of the next files, the number of the error and the descriptor."""

    def fill(self, view: memoryview) -> int:
        """Write the next bytes into `view` and return how many: fewer than it holds only at the end."""
        filled = 0
        try:
            while filled < len(view):
                if self._left:
                    filled += self._read_file(view[filled:])
                elif self._bytes:
                    taken = min(len(self._bytes), len(view) - filled)
                    view[filled : filled + taken] = self._bytes[:taken]
                    self._bytes, filled = self._bytes[taken:], filled + taken
                elif not self._next():
                    break
        except OSError as problem:
            raise self._problem(problem) from problem
        return filled

    def close(self) -> None:
        """Close what is open; idempotent."""
        self._end_file()
        while self._ahead:
            _, descriptor = self._ahead.popleft()
            if descriptor >= 0:
                os.close(descriptor)
        beneath, self._beneath = self._beneath, None
        if beneath is not None:
            beneath.close()

    def _read_file(self, view: memoryview) -> int:
        count = os.readv(self._file, [view[: self._left]])
        if not count:
            raise self._mismatch(f"ends {self._left} bytes before the end that the image says")
        self._left -= count
        if not self._left:
            self._end_file()
        return count

    def _end_file(self) -> None:
        descriptor, self._file, self._left = self._file, -1, 0
        if descriptor >= 0:
            os.close(descriptor)

    def _next(self) -> bool:
        """Take the next line; ``False`` where there is none."""
        entry = self._waiting.popleft() if self._waiting else next(self._entries, None)
        if entry is None:
            return False
        if entry.type == _BYTES:
            self._bytes = memoryview(entry.payload or b"")
        elif entry.type != _FILE:
            raise SourceError(f"{self._layer.what}: its tar-split has a line of an unknown type {entry.type}")
        elif entry.size:
            self._begin_file(entry)
        return True

    def _begin_file(self, entry: _Entry) -> None:
        self._name = self._name_of(entry)
        self._file = self._ask(entry) if self._is_refused else self._open()
        if self._file < 0:
            self._file = self._ask(entry)
        self._left = entry.size
        if (there := os.fstat(self._file).st_size) != entry.size:
            raise self._mismatch(f"has {there} bytes, the image says {entry.size}")

    def _open(self) -> int:
        """Open a file as this user; -1 where that is refused and a namespace may help."""
        try:
            if self._beneath is None:
                self._beneath = Beneath(os.fsencode(self._layer.folder))
            return self._beneath.open(self._name)
        except PermissionError:
            if os.geteuid() == 0:
                raise
        self._is_refused = True
        return -1

    def _ask(self, entry: _Entry) -> int:
        """Open a file by the child in a namespace, and those that follow with the same question."""
        if not self._ahead:
            names, length = [self._name], len(self._layer.folder) + len(self._name)
            for later in self._look_ahead():
                name = self._name_of(later)
                length += len(name) + 1
                if len(names) == MOST_AT_ONCE or length > MOST_BYTES - 1024:
                    break
                names.append(name)
            said, opened = self._layer.opener.open_each(os.fsencode(self._layer.folder), names)
            ready = iter(opened)
            self._ahead.extend((number, -1 if number else next(ready)) for number in said)
        number, descriptor = self._ahead.popleft()
        if number:
            raise OSError(number, os.strerror(number))
        return descriptor

    def _look_ahead(self) -> Iterator[_Entry]:
        """Return the files that follow; bounded in what is kept meanwhile."""
        kept = 0
        for entry in self._waiting:
            kept += len(entry.payload or b"")
            if entry.type == _FILE and entry.size:
                yield entry
        while kept < _LOOK_BYTES and (later := next(self._entries, None)) is not None:
            self._waiting.append(later)
            kept += len(later.payload or b"") + 64
            if later.type == _FILE and later.size:
                yield later

    def _name_of(self, entry: _Entry) -> bytes:
        name = entry.name_raw or os.fsencode(entry.name.encode("utf-8", "surrogatepass"))
        if entry.size < 0 or b"\0" in name or b".." in name.split(b"/"):
            shown = name.decode(errors="replace")[:200]
            raise SourceError(f"{self._layer.what}: its tar-split names {shown!r}, which leads out of the layer")
        return name

    def entries(self) -> Iterator[_Entry]:
        """Read the lines of the tar-split."""
        layer = self._layer
        try:
            found = os.stat(layer.split)
        except OSError as problem:
            raise self._problem(problem) from problem
        body = FileBody(layer.split, 0, found.st_size, f"{layer.what}: {layer.split}")
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"{body.what}: is no regular file", hint=_DAMAGED)
        limits = layer.limits
        packed = (bytes(block) for block in body.blocks())
        decoder = msgspec.json.Decoder(_Entry)
        rest = b""
        for block in expanded(packed, body.what, limits, ratio=limits.layer_ratio, free_bytes=limits.free_bytes):
            lines, newline, after = block.rpartition(b"\n")
            if not newline:
                rest += block
            else:
                try:
                    yield from decoder.decode_lines(rest + lines)
                except (msgspec.DecodeError, ValueError, RecursionError) as problem:
                    raise SourceError(f"{body.what}: is damaged ({problem})", hint=_DAMAGED) from problem
                rest = after
            if len(rest) > _MOST_LINE_BYTES:
                raise SourceError(f"{body.what}: has a line of more than {_MOST_LINE_BYTES} bytes")
        if rest.strip():
            raise SourceError(f"{body.what}: is cut short", hint=_DAMAGED)

    def _mismatch(self, what: str) -> ContentMismatchError:
        shown = self._name.decode(errors="replace")[:200]
        return ContentMismatchError(
            f"{self._layer.what}: {shown}: {what}",
            hint="the file was changed below the store, or the image was removed while it was read",
        )

    def _problem(self, problem: OSError) -> SourceError:
        layer, shown = self._layer, self._name.decode(errors="replace")[:200]
        if problem.errno in (errno.ENOENT, errno.ESTALE):
            return SourceError(
                f"{layer.what}: {shown or layer.folder} is not there any more",
                hint="the image was removed while it was read: build or pull it again",
            )
        if problem.errno in (errno.EINVAL, errno.ELOOP, errno.ENOTDIR):
            return SourceError(f"{layer.what}: {shown} is no regular file, and the image says it is", hint=_DAMAGED)
        if self._is_refused:
            return SourceError(f"{layer.what}: {shown}: cannot be read ({problem.strerror})", hint=INSTEAD)
        return unreadable(f"{layer.what}: {shown or layer.split}", problem)
