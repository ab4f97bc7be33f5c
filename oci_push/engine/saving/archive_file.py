"""An OCI archive, or the one of docker load and podman load, written as one tar: equal images, equal bytes.

The sizes of all members are known before the first is read, and so is where each lies in the tar. So blobs are
downloaded side by side into a file, and one after the other to stdout. A file has its name when it is whole.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct

from oci_push.engine.saving.layout_folder import unwritten
from oci_push.errors import ConfigError
from oci_push.model.descriptor import Descriptor
from oci_push.protocol.call import Body, BytesBody
from oci_push.runtime.context import Context
from oci_push.runtime.files import HeldFile, hold
from oci_push.runtime.tasks import do_all
from oci_push.sources.base import verified

_END = bytes(2 * tarfile.BLOCKSIZE)
_AT_ONCE = 16

Write = Callable[[memoryview], None]


class Member(Struct, frozen=True):
    """One file of the tar: a blob, or with `raw` bytes that are made here. `what` is how messages call it.

    `count` is told how many of its bytes there are by now, `done` is called when it is all there."""

    path: str
    size: int
    body: Callable[[Context], Body]
    blob: Descriptor | None = None
    what: str = ""
    count: Callable[[int], None] = lambda _: None
    done: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, path: str, raw: bytes) -> Member:
        """Return a file of these bytes."""
        return cls(path, len(raw), lambda _: BytesBody(raw))


def write_file(context: Context, path: str, members: Sequence[Member]) -> None:
    """Write a tar under a name, in the place of the file that has it; nothing is left of one that fails.

    Raises `ConfigError` where it cannot be written, and what its members raise.
    """
    real = _checked(path)
    try:
        held = hold(real.with_name(f".{real.name}.oci-push"))
        if held is None:
            raise ConfigError(f"{path}: another process writes it now", hint="wait for that, or name another file")
        try:
            try:
                _fill(context, path, held, members)
                os.fsync(held.descriptor)
                os.replace(held.path, real)
            except BaseException:
                held.path.unlink(missing_ok=True)
                raise
        finally:
            held.close()
    except OSError as problem:
        raise unwritten(path, problem) from problem


def write_stream(context: Context, write: Write, members: Sequence[Member]) -> None:
    """Write a tar to a stream, one member after the other; what fails ends it without the mark of a tar's end."""
    for name in _folders(members):
        write(memoryview(_head(name, 0, is_folder=True)))
    for one in members:
        write(memoryview(_head(one.path, one.size)))
        for block in _blocks(context, one):
            write(memoryview(block))
        write(memoryview(bytes(-one.size % tarfile.BLOCKSIZE)))
    write(memoryview(_END))


def check(path: str) -> None:
    """See that an archive could be written; raises `ConfigError`."""
    _checked(path)


def _checked(path: str) -> Path:
    real = Path(os.path.realpath(path))
    if real.is_dir():
        raise ConfigError(f"{path}: is a folder, and an archive is a file", hint=f"write oci:{path}, or name a file")
    if real.exists() and not real.is_file():
        raise ConfigError(f"{path}: is no file", hint="name a file, or - for stdout")
    if not real.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {real.parent}", hint="make it first, or name another file")
    if not os.access(real.parent, os.W_OK):
        raise ConfigError(f"{path}: {real.parent} cannot be written to", hint="name a file in another folder")
    return real


def _fill(context: Context, path: str, held: HeldFile, members: Sequence[Member]) -> None:
    file, at = held.descriptor, 0
    os.ftruncate(file, 0)
    _check_room(file, path, sum(one.size + 2 * tarfile.BLOCKSIZE for one in members))
    for name in _folders(members):
        at = _put(file, at, memoryview(_head(name, 0, is_folder=True)))
    places: list[tuple[Member, int]] = []
    for one in members:
        at = _put(file, at, memoryview(_head(one.path, one.size)))
        places.append((one, at))
        at += one.size + -one.size % tarfile.BLOCKSIZE
    _put(file, at, memoryview(_END))

    def bring(inner: Context, one: Member, start: int) -> None:
        place = start
        for block in _blocks(inner, one):
            place = _put(file, place, memoryview(block))

    largest_first = sorted(places, key=lambda pair: -pair[0].size)
    jobs = [partial(bring, one=one, start=start) for one, start in largest_first]
    do_all(context, jobs, limit=_AT_ONCE)


def _check_room(file: int, path: str, size: int) -> None:
    """Refuse what cannot fit: a manifest may say any size, and a file with holes takes no room until it is full."""
    found = os.fstatvfs(file)
    room = found.f_bavail * found.f_frsize
    if found.f_blocks and size > room:
        raise ConfigError(
            f"{path}: the archive takes {size} bytes, and the disk has room for {room}",
            hint="make room, or name a file on another disk",
        )


def _blocks(context: Context, one: Member) -> Iterator[bytes | memoryview]:
    """Return a member's bytes, never more than its size; another size or digest raises `ContentMismatchError`."""
    body, seen = one.body(context), 0
    for block in verified(body, one.blob, one.what) if one.blob is not None else body.blocks():
        context.check()
        yield block
        seen += len(block)
        one.count(seen)
    one.done()


def _put(file: int, at: int, view: memoryview) -> int:
    while view:
        done = os.pwrite(file, view, at)
        view, at = view[done:], at + done
    return at


def _folders(members: Sequence[Member]) -> list[str]:
    found: dict[str, None] = {}
    for one in members:
        parts = one.path.split("/")[:-1]
        found.update(("/".join(parts[: number + 1]), None) for number in range(len(parts)))
    return list(found)


def _head(path: str, size: int, *, is_folder: bool = False) -> bytes:
    """Return a member's header, that of a pax where the path or the size is too large for a plain one."""
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, 0o644
    if is_folder:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
