"""Open files below a folder and never outside of it; also as a program that does so inside a user namespace.

The files of a rootless store belong to users that only exist in a namespace. Who may not read one asks a child that is
root in such a namespace (`namespace`), which opens it and passes the descriptor. The child is this file, run by itself:
it imports nothing but the standard library.

A question is ``base NUL name NUL name …``, an answer one number for each name: 0 with a descriptor, else the error's.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Sequence

CLONE_NEWUSER = 0x10000000
CHANNEL = 1
MOST_AT_ONCE = 64
"""How many files are asked for in one question: a message carries at most 253 descriptors (Linux, SCM_MAX_FD)."""
MOST_BYTES = 64 * 1024
"""How long a question may be; far below what a socket takes at once."""
_MOST_KEPT = 32
_MOST_LINKS = 40
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Beneath:
    """Open regular files below the folder `base`, by one thread; folders on the way stay open for the next.

    Links on the way are followed as if `base` were the root, as who unpacked the files saw it.
    """

    def __init__(self, base: bytes) -> None:
        self._root = os.open(base, _FOLDER)
        self._kept: list[tuple[bytes, int]] = []

    def open(self, name: bytes) -> int:
        """Return a descriptor of the file `name`; raises ``OSError``, for what is no regular file with `EINVAL`."""
        *folders, last = self._parts(name)
        if last in (b"", b".", b".."):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        folder = self._enter(folders)
        # Opening a device may do something, and the image says what is a device.
        if not stat.S_ISREG(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return os.open(last, _FILE, dir_fd=folder)

    def close(self) -> None:
        """Close all folders; idempotent."""
        self._leave(0)
        root, self._root = self._root, -1
        if root >= 0:
            os.close(root)

    def _parts(self, name: bytes) -> list[bytes]:
        return [part for part in name.split(b"/") if part not in (b"", b".")] or [b""]

    def _enter(self, folders: list[bytes]) -> int:
        """Return a descriptor of a folder; it belongs to this object."""
        same = 0
        for (name, _), wanted in zip(self._kept, folders, strict=False):
            if name != wanted:
                break
            same += 1
        self._leave(same)
        for place, name in enumerate(folders[same:], same):
            if place >= _MOST_KEPT or name == b"..":
                return self._resolve(folders)
            above = self._kept[-1][1] if self._kept else self._root
            try:
                self._kept.append((name, os.open(name, _FOLDER, dir_fd=above)))
            except OSError as problem:
                if problem.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                return self._resolve(folders)
        return self._kept[-1][1] if self._kept else self._root

    def _resolve(self, folders: list[bytes]) -> int:
        """Walk to a folder with links and deep paths; what is on the way is not kept, but the folder itself."""
        self._leave(0)
        left = folders[::-1]
        way = [os.dup(self._root)]
        links = 0
        try:
            while left:
                name = left.pop()
                if name == b"..":
                    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
                if name == b"\0up":  # of a link
                    if len(way) > 1:
                        os.close(way.pop())
                    continue
                try:
                    way.append(os.open(name, _FOLDER, dir_fd=way[-1]))
                except OSError as problem:
                    links += 1
                    if problem.errno not in (errno.ELOOP, errno.ENOTDIR) or links > _MOST_LINKS:
                        raise
                    target = os.readlink(name, dir_fd=way[-1])
                    if target.startswith(b"/"):
                        while len(way) > 1:
                            os.close(way.pop())
                    parts = [part for part in target.split(b"/") if part not in (b"", b".")]
                    left += [b"\0up" if part == b".." else part for part in reversed(parts)]
                if len(way) > 512:
                    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            found = way.pop()
        finally:
            for descriptor in way:
                os.close(descriptor)
        # Under a name that no folder has: it is closed when the next one is entered.
        self._kept = [(b"/", found)]
        return found

    def _leave(self, depth: int) -> None:
        for _, descriptor in self._kept[depth:]:
            os.close(descriptor)
        del self._kept[depth:]


def open_each(beneath: Beneath, names: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Return for each name 0 or the number of its error, and the descriptors of those that are open."""
    said: list[int] = []
    opened: list[int] = []
    for name in names:
        try:
            opened.append(beneath.open(name))
            said.append(0)
        except OSError as problem:
            said.append(problem.errno or errno.EIO)
    return said, opened


def answer(channel: socket.socket) -> None:
    """Answer questions until the other side is gone."""
    base, beneath = b"", None
    while question := channel.recv(MOST_BYTES):
        asked, *names = question.split(b"\0")
        opened: list[int] = []
        try:
            if asked != base or beneath is None:
                if beneath is not None:
                    beneath.close()
                base, beneath = asked, None
                beneath = Beneath(asked)
            said, opened = open_each(beneath, names)
        except OSError as problem:
            said = [problem.errno or errno.EIO] * len(names)
        socket.send_fds(channel, [struct.pack(f"={len(said)}i", *said)], opened)
        for descriptor in opened:
            os.close(descriptor)


def enter_namespace() -> None:
    """Make a user namespace for this process; raises ``OSError``."""
    if sys.version_info >= (3, 12):
        os.unshare(CLONE_NEWUSER)
        return
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(CLONE_NEWUSER):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    """Serve whoever started this, who has the other end of what is stdout here."""
    channel = socket.socket(fileno=CHANNEL)
    try:
        enter_namespace()
    except OSError as problem:
        channel.send(struct.pack("=i", problem.errno or errno.EIO))
        return
    channel.send(struct.pack("=i", 0))
    if channel.recv(1):  # sent when this process's users are mapped
        answer(channel)


if __name__ == "__main__":
    main()
