"""Images that a program of this machine builds into containers-storage: both drivers, as root and as a user without it.

Each store is new and lies below a folder of its own.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bare import PROGRAM
from plainuser import PlainUser
from programs import Output, clean_environment, run

CONTAINERFILE = """
FROM scratch
COPY --chown=1000:1000 --chmod=0600 files /files
COPY --chown=33:33 --chmod=0700 more /more
CMD ["/files/program"]
"""
STORES = ["overlay-root", "overlay-user", "vfs-root", "vfs-user"]


@dataclass(frozen=True, slots=True)
class Built:
    """Hold an image in a store: who runs programs that use it, and with which program."""

    run: Callable[..., Output]
    program: str
    driver: str
    context: Path

    def tool(self, *words: str | Path) -> str:
        """Run what has built it."""
        return self.run(self.program, "--storage-driver", self.driver, *words).text

    def push(self, *words: str) -> Output:
        """Push from the store, remembering nothing."""
        return self.run(PROGRAM, "push", *words, "--no-memory")


def write_context(folder: Path) -> None:
    """Write what is built: many small files, links, odd names, a hole, and files that only their owner may read."""
    files, more = folder / "files", folder / "more" / "deep"
    files.mkdir(parents=True)
    more.mkdir(parents=True)
    for number in range(150):
        (files / f"small-{number}").write_bytes(hashlib.sha256(str(number).encode()).digest() * number)
    (files / "program").write_bytes(b"#!/bin/sh\n" * 3)
    (files / "hard").hardlink_to(files / "program")
    (files / "soft").symlink_to("program")
    (files / "ünï ©ode").write_text("x")
    (more / ("long" * 40)).write_text("y" * 1000)
    with (more / "hole").open("wb") as file:
        file.truncate(3_000_000)
        file.seek(2_000_000)
        file.write(b"not a hole")
    (folder / "Containerfile").write_text(CONTAINERFILE)


@contextmanager
def build(program: str, store: str, folder: Path) -> Iterator[Built]:
    """Build an image into a store of its own, one of `STORES`."""
    driver, _, who = store.partition("-")
    user = PlainUser(folder / "home")
    write_context(user.folder / "context")
    user.own()
    if who == "user":
        made = Built(user.run, program, driver, user.folder / "context")
    else:
        conf = folder / "storage.conf"
        conf.write_text(f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n')
        env = clean_environment(folder / "root-home", {"CONTAINERS_STORAGE_CONF": str(conf)})
        # Without root, root of a namespace stands for it.
        before = [] if os.geteuid() == 0 else ["buildah", "unshare"]
        made = Built(lambda *words: run([*before, *words], env=env), program, driver, user.folder / "context")
    try:
        made.tool("build", "--quiet", "--tag", "app:1", made.context)
        yield made
    finally:
        _end_pause(user.folder)
        user.remove()


def _end_pause(home: Path) -> None:
    """End the process by which podman without root keeps its namespaces between two commands."""
    for file in home.glob("**/pause.pid"):
        os.kill(int(file.read_text()), signal.SIGKILL)
