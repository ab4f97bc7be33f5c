"""A user without root, who has further user numbers of its own as rootless buildah needs them.

Root makes one: its entries in ``passwd``, ``subuid`` and ``subgid`` are files of a namespace of its own, laid over this
machine's, so nothing is left behind. What lies below folders that only root may enter (a Python in /root, pytest's
folders) is mounted anew for it. Without root it is the user who runs the tests.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from bare import PROGRAM, PROJECT
from programs import Output, clean_environment, require, run

_NUMBER = 61_234
_FURTHER = 2_000_000
_KEPT = ("/mnt", "/media", "/srv")
_FILES = ("passwd", "subuid", "subgid")


class PlainUser:
    """Run programs as the user; `folder` is its home, and all that it keeps is below."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._etc = folder.with_name(f"{folder.name}-etc")
        folder.mkdir(parents=True)
        self._env = clean_environment(folder)
        if os.geteuid() == 0:
            # What coverage writes goes beside the project, where this user may not.
            self._env = {key: value for key, value in self._env.items() if not key.startswith("COVERAGE_")}
            self._write_etc()

    def run(self, *words: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Output:
        """Run a program to its end; raises `ProgramError` unless it ends with status 0."""
        variables = {**self._env, **(env or {})}
        place = str(cwd or self.folder)
        if os.geteuid() != 0:
            return run(words, env=variables, cwd=Path(place))
        set_own = ["--reuid", str(_NUMBER), "--regid", str(_NUMBER), "--clear-groups"]
        named = ["env", "-i", "-C", place, *(f"{key}={value}" for key, value in variables.items())]
        last = shlex.join([require("setpriv"), *set_own, *named, *map(str, words)])
        script = "\n".join([*self._mounts(), f"exec {last}"])
        return run(["unshare", "--mount", "--propagation", "private", "sh", "-euc", script], env=self._env)

    def push(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Output:
        """Push as the user."""
        return self.run(PROGRAM, "push", *words, env=env)

    def own(self) -> None:
        """Give all below the home to the user, as far as nobody else owns it."""
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                if path.lstat().st_uid == 0:
                    os.lchown(path, _NUMBER, _NUMBER)

    def remove(self) -> None:
        """Remove what it keeps, which belongs to numbers that only a namespace has."""
        if os.geteuid() != 0:
            self.run("buildah", "unshare", "rm", "-rf", self.folder / ".local")

    def set_further(self, count: int) -> None:
        """Give the user so many further numbers, or none; only for root."""
        for name in ("subuid", "subgid"):
            (self._etc / name).write_text(f"plain:{_FURTHER}:{count}\n" if count else "")

    def _write_etc(self) -> None:
        self._etc.mkdir()
        passwd = Path("/etc/passwd").read_text()
        (self._etc / "passwd").write_text(f"{passwd}plain:x:{_NUMBER}:{_NUMBER}::{self.folder}:/bin/sh\n")
        self.set_further(65536)

    def _mounts(self) -> list[str]:
        lines = [f"mount --bind {shlex.quote(str(self._etc / name))} /etc/{name}" for name in _FILES]
        needed = [self.folder, PROJECT, Path(sys.prefix), Path(sys.base_prefix)]
        closed: dict[Path, list[Path]] = {}
        for path in needed:
            above = next((one for one in reversed(path.parents) if not one.stat().st_mode & 0o001), None)
            if above is not None and path not in closed.get(above, ()):
                closed.setdefault(above, []).append(path)
        kept = next(place for place in _KEPT if not any(path.is_relative_to(place) for path in needed))
        lines += [f"mount -t tmpfs none {kept}"] * bool(closed)
        for above, paths in closed.items():
            there = [(f"{kept}/{number}", shlex.quote(str(path))) for number, path in enumerate(paths)]
            lines += [f"mkdir {one}; mount --rbind {path} {one}" for one, path in there]
            lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(above))}")
            lines += [f"mkdir -p {path}; mount --move {one} {path}; rmdir {one}" for one, path in there]
        return lines
