"""Claims: one of several processes may do a thing, and the claim of one that was killed is free at once.

A claim is a lock on an empty file that the kernel gives up with the process, so nothing ever expires and nobody waits.
It holds between threads, too, since each claim opens the file for itself.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Claim:
    """Hold one claim until `release`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the claim up and remove its file; idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        # Removed while it is still held: who opened it before finds that it is no longer the file of this name.
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(descriptor)


def claim(path: Path) -> Claim | None:
    """Claim `path` if nobody has; ``None`` when somebody has, or where the file system knows no locks."""
    try:
        import fcntl

        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                    return Claim(path, descriptor)
            except FileNotFoundError:
                pass  # its last owner has just removed it
            except OSError:
                os.close(descriptor)
                return None
            os.close(descriptor)
    except (ImportError, OSError):
        return None
