"""Debian's `buildah` as the builder of our image, with storage of its own, and a base that stands for `python:slim`.

No registry is asked for the base: it is this machine's Python with the libraries that it is linked to, at the places
where they are here, and pip. A distribution would add a shell and certificates, which the recipe can do without.
Containers are plain chroots, since the machine of a test may be a container itself.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pip
from programs import Output, clean_environment, require, run

_LEFT_OUT = (
    "*.opt-?.pyc",
    "_test*.so",
    "config-*",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "test",
    "tkinter",
)
_ASK = "import sys, sysconfig, site; print(sysconfig.get_path('stdlib'), site.getsitepackages()[0], sep='\\n')"


class Buildah:
    """Run buildah; all that it keeps is below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._env = clean_environment(folder / "home")
        # Without root, mounts need a namespace in which this user is root.
        self._before = [] if os.geteuid() == 0 else ["buildah", "unshare"]

    def __call__(self, *arguments: str | Path) -> str:
        """Run a command of buildah's; return what it prints."""
        places = ["--root", self._folder / "storage", "--runroot", self._folder / "run", "--storage-driver", "vfs"]
        return run([*self._before, "buildah", *places, *arguments], env=self._env).text

    def remove(self) -> None:
        """Remove all that it keeps, which is large."""
        run([*self._before, "rm", "-rf", self._folder], env=self._env)

    def base(self, name: str) -> None:
        """Make an image of this machine's Python."""
        root = self._folder / "base"
        path = _copy_python(root)
        container = self("from", "scratch")
        self("add", container, root, "/")
        self("config", "--env", f"PATH={path}", container)
        self("commit", "--rm", "--quiet", container, name)
        shutil.rmtree(root)

    def run_locked(
        self, container: str, *command: str, shared: Path, env: Mapping[str, str], has_network: bool = True
    ) -> Output:
        """Run a command as the user 65532, whom nobody knows, in a container whose root is read-only.

        `shared` is its /mnt. The environment is the image's with `env`. Unless `has_network` there is none, loopback
        neither.
        """
        root = self("mount", container)
        image = json.loads(self("inspect", container))["OCIv1"]["config"]["Env"]
        around = [*image, *(f"{name}={value}" for name, value in env.items())]
        steps = [
            ["mount", "--rbind", root, root],
            ["mount", "--rbind", str(shared), f"{root}/mnt"],
            ["mount", "-o", "remount,bind,ro", root],
            ["exec", "env", "-i", *around, require("chroot"), "--userspec=65532:65532", root, *command],
        ]
        script = "\n".join(map(shlex.join, steps))
        apart = ["unshare", "--mount", *([] if has_network else ["--net"])]
        return run([*self._before, *apart, "sh", "-ec", script], env=self._env)


def _copy_python(root: Path) -> str:
    """Copy this Python without its packages but pip; return what PATH has to be."""
    python = Path(sys.executable).resolve()
    lines = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, check=True).stdout
    stdlib, packages = map(Path, lines.split())
    shutil.copytree(stdlib, _inside(root, stdlib), ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    shutil.copytree(Path(pip.__file__).parent, _inside(root, packages) / "pip", dirs_exist_ok=True)
    programs = [python, *(Path(found) for found in [shutil.which("strip")] if found)]
    for program in programs:
        _copy(root, program)
    _inside(root, python.with_name("python3")).symlink_to(python.name)
    linked = {path for binary in (*programs, *stdlib.glob("lib-dynload/*.so")) for path in _libraries(binary)}
    (libc,) = (path for path in linked if path.name.startswith("libc.so."))
    # Wheels may ask for parts that the C library no longer has apart, and for those that look up names.
    parts = {
        path
        for name in ("dl", "gcc_s", "m", "nss_dns", "nss_files", "pthread", "rt", "util")
        for path in libc.parent.glob(f"lib{name}.so.*")
    }
    for path in linked | parts:
        _copy(root, path)
    for folder in ("mnt", "tmp", "root"):
        (root / folder).mkdir(exist_ok=True)
    return ":".join(
        sorted({str(program.parent) for program in programs}, key=lambda folder: folder != str(python.parent))
    )


def _libraries(binary: Path) -> set[Path]:
    said = subprocess.run([require("ldd"), binary], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", said)}


def _copy(root: Path, path: Path) -> None:
    target = _inside(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(path, target)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")
