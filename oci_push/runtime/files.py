"""Files that a run leaves behind: whole or not at all, for whom they are meant, changed by one process at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from oci_push.errors import ConfigError
from oci_push.runtime.context import Context

PRIVATE = 0o600
SHARED = 0o666
"""What the process's umask leaves of it."""
_POLL_S = 0.05


def write_whole(path: Path, text: str, *, mode: int = SHARED, is_new: bool = False) -> None:
    """Write a file so that a reader sees the old one or the whole new one, also after a power cut.

    A symbolic link stays one; a device or a pipe is written to. `is_new` raises ``FileExistsError`` where the file is
    there, whoever made it meanwhile. Raises ``OSError``.
    """
    data = text.encode("utf-8", "surrogateescape")
    if not is_new and ((path.exists() and not path.is_file()) or path.parts[:2] in (("/", "dev"), ("/", "proc"))):
        with path.open("ab") as device:
            device.write(data)
        return
    real = path if is_new else path.resolve()
    beside = real.with_name(f".{real.name}.{os.getpid()}-{threading.get_ident()}")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()  # a process of this number was killed
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            os.link(beside, real)
        else:
            os.replace(beside, real)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write bytes to, which has its name only when all of them are in it; else there is none of it.

    A symbolic link stays one; a device or a pipe is written to. Raises ``OSError``.
    """
    if (path.exists() and not path.is_file()) or path.parts[:2] in (("/", "dev"), ("/", "proc")):
        with path.open("wb", buffering=0) as device:
            yield device
        return
    real = path.resolve()
    beside = real.with_name(f".{real.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with beside.open("wb") as file:
            yield file
        os.replace(beside, real)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


@contextlib.contextmanager
def result_file(path: Path, named: str) -> Iterator[IO[bytes]]:
    """Give a file that the user `named` to write to, as `written_whole` does; raises `ConfigError`."""
    try:
        with written_whole(path) as file:
            yield file
    except OSError as problem:
        raise ConfigError(f"{named}: cannot be written ({problem.strerror})") from problem


def check_writable(path: Path | None, option: str) -> None:
    """Refuse a file for results that could not be written after the work; raises `ConfigError`."""
    if path is None:
        return
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {folder}", hint="make it first, or name another file")
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a folder", hint="name a file")
    if not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        raise ConfigError(f"{option} {path}: {folder} cannot be written to", hint="name a file in another folder")


def write_result(path: Path, text: str, what: str) -> None:
    """Write `what` to a file that the user named; raises `ConfigError`."""
    try:
        write_whole(path, text)
    except OSError as problem:
        raise ConfigError(f"{path}: {what} cannot be written ({problem.strerror})") from problem


class Lock:
    """A lock on an empty file of its own, held until `release` or until the process ends, however it ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock and remove its file; idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        # Removed while it is still held: who opened it before finds that it is no longer the file of this name.
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(descriptor)


def try_lock(path: Path) -> Lock | None:
    """Lock `path` if nobody has, between processes and threads; ``None`` when somebody has, or without locks here."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, PRIVATE)
            try:
                is_ours = _flock(descriptor)
                if is_ours and os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                    return Lock(path, descriptor)
            except FileNotFoundError:
                is_ours = True  # its last owner has just removed it
            except OSError:
                is_ours = False
            os.close(descriptor)
            if not is_ours:
                return None
    except (ImportError, OSError):
        return None


class HeldFile:
    """A file that is open to be read and written, and that no other process writes while it is."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def close(self) -> None:
        """Close it; idempotent. It stays where it is, under whatever name it has by now."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def hold(path: Path) -> HeldFile | None:
    """Open a file that is made here to be renamed, with what is in it; ``None`` while another process or thread has it.

    Where the file system knows no locks, a file of another name is opened, which nobody else uses. Raises ``OSError``.
    """
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, SHARED)
        try:
            if not _flock(descriptor):
                os.close(descriptor)
                return None
        except (ImportError, OSError):
            os.close(descriptor)
            alone = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
            flags = os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
            return HeldFile(alone, os.open(alone, flags, SHARED))
        try:
            if os.fstat(descriptor).st_ino == os.stat(path, follow_symlinks=False).st_ino:
                return HeldFile(path, descriptor)
        except FileNotFoundError:
            pass  # who had it has renamed or removed it
        os.close(descriptor)


@contextmanager
def folder_locked(folder: Path, context: Context, *, wait_s: float) -> Iterator[bool]:
    """Change a folder's files alone among processes that ask for the same; yields False when `wait_s` was not enough.

    The folder is locked, not a file in it: files are replaced, and a lock would stay with the old one. Where the file
    system knows no locks, work goes on without. Raises ``OSError`` where the folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _wait_for(descriptor, context, wait_s)
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, context: Context, wait_s: float) -> bool:
    end = context.clock.monotonic() + wait_s
    try:
        while not _flock(descriptor):
            if context.clock.monotonic() >= end:
                return False
            context.sleep(_POLL_S)
    except (ImportError, OSError):
        return True
    return True


def _flock(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
