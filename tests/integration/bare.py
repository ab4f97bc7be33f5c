"""A place as a container gives it to a program: a root that cannot be written to, and a user whom nobody knows.

The root holds this machine's `/usr` and `/etc`, the Python that runs the tests, and the project; nothing else is there
unless it is mounted: no home, no `/tmp`, no `/run`, no `/var`. It is made with mounts in a namespace of its own, by
root or, where the kernel allows it, by any user. Capabilities are dropped. Without root, the user whom nobody knows is
another name for the one who runs the tests.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("oci-push")
_SYSTEM = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_DEVICES = ("null", "zero", "random", "urandom")


@dataclass(frozen=True, slots=True)
class Mount:
    """Name a folder or file of this machine, and whether it may be written to."""

    source: Path
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """Hold what a program came to."""

    code: int
    out: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BarePlace:
    """Say what there is beside the root: `mounts` by their place, and who runs."""

    mounts: Mapping[str, Mount] = field(default_factory=dict)
    user: int = 1_000_650_000
    group: int = 0

    def run(
        self,
        words: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: str = "/",
        stdin: str | None = None,
        before: str = "",
    ) -> Done:
        """Run a program there with no variable but `env`; `stdin` is closed when ``None``.

        `before` is shell that runs where the mounts can be seen and the program has not begun.
        """
        command = [str(word) for word in words]
        is_root = os.geteuid() == 0
        apart = ["unshare", "--mount", "--propagation", "private", *([] if is_root else ["--user", "--map-root-user"])]
        script = self._script(command, env, cwd, is_root=is_root, before=before, closed="<&-" if stdin is None else "")
        done = subprocess.run(
            [*apart, "/bin/sh", "-eu", "-c", script],
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        if done.stderr.startswith("unshare: unshare failed"):
            pytest.skip(f"this kernel lets no test make a root of its own ({done.stderr.strip()})")
        return Done(done.returncode, done.stdout, done.stderr)

    def _script(
        self, words: list[str], env: Mapping[str, str], cwd: str, *, is_root: bool, before: str, closed: str
    ) -> str:
        # The mount point needs to be a folder that is there and that this shows nobody else.
        root = "/mnt"
        shared = {Path(sys.base_prefix), Path(sys.prefix), PROJECT}
        binds = {str(path): Mount(path, is_read_only=True) for path in sorted(shared)} | dict(self.mounts)
        lines = ["umask 022", f"mount -t tmpfs -o mode=755 none {root}"]
        for place in _SYSTEM:
            path = Path(place)
            if path.is_symlink():
                lines.append(f"ln -s {os.readlink(path)} {root}{place}")
            elif path.is_dir():
                lines += self._bind(path, f"{root}{place}", is_read_only=True)
        lines += [f"mkdir {root}/dev {root}/proc", f"mount --rbind /proc {root}/proc"]
        lines += [f"touch {root}/dev/{name}; mount --bind /dev/{name} {root}/dev/{name}" for name in _DEVICES]
        lines.append(f"ln -s /proc/self/fd {root}/dev/fd")
        for place, mount in sorted(binds.items()):
            lines += self._bind(mount.source, f"{root}{place}", is_read_only=mount.is_read_only)
        lines += [before, f"mount -o remount,bind,ro {root}"]
        enter = [shutil.which("chroot", path="/usr/sbin:/usr/bin") or "chroot", root]
        drop = ["/usr/bin/setpriv", "--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]
        if is_root:
            drop += ["--reuid", str(self.user), "--regid", str(self.group), "--clear-groups"]
        else:
            # The kernel makes no such namespace for whoever is in a chroot already.
            ids = [f"--map-user={self.user}", f"--map-group={self.group}"]
            enter = ["unshare", "--user", *ids, "--keep-caps", *enter]
        plain = ["/usr/bin/env", "-i", "-C", cwd, *(f"{name}={value}" for name, value in env.items()), *words]
        lines.append(f"exec {shlex.join([*enter, *drop, *plain])} {closed}")
        return "\n".join(lines)

    @staticmethod
    def _bind(source: Path, target: str, *, is_read_only: bool) -> list[str]:
        there = shlex.quote(target)
        made = f"mkdir -p {there}" if source.is_dir() else f"mkdir -p $(dirname {there}); touch {there}"
        lines = [made, f"mount --rbind {shlex.quote(str(source))} {there}"]
        return [*lines, f"mount -o remount,bind,ro {there}"] if is_read_only else lines
