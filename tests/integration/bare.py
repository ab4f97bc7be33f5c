"""A place as a container gives it to a program: a root that cannot be written to, and a user whom nobody knows.

The root holds this machine's `/usr` and `/etc`, the Python that runs the tests, and the project; nothing else is there
unless it is mounted: no home, no `/tmp`, no `/run`, no `/var`. It is made with mounts in a namespace of its own, by
root or, where the kernel allows it, by any user. Capabilities are dropped. Without root, the user whom nobody knows is
another name for the one who runs the tests.
"""

from __future__ import annotations

import functools
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
_USER_NAMESPACE = () if os.geteuid() == 0 else ("--user", "--map-root-user")
_APART = ("unshare", "--mount", "--propagation", "private", *_USER_NAMESPACE)
_PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_SHARED = (PROJECT, Path(sys.prefix), Path(sys.base_prefix))
_ROOT = next(
    place for place in ("/mnt", "/media", "/srv") if not any(path.is_relative_to(place) for path in _SHARED)
)  # folders that every Linux has; what is mounted there, nobody else sees


def _apart(command: Sequence[str], given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command that may mount, unseen by others."""
    return subprocess.run(
        [*_APART, *command], input=given, capture_output=True, text=True, timeout=120, check=False, env=_PLAIN
    )


@functools.cache
def _refusal() -> str:
    """Return what the kernel, or what guards it, says against mounting; nothing where it may be done."""
    tried = _apart(["mount", "-t", "tmpfs", "none", _ROOT])
    return tried.stderr.strip() if tried.returncode else ""


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
        self, words: Sequence[str | Path], *, env: Mapping[str, str], cwd: str = "/", stdin: str | None = None
    ) -> Done:
        """Run a program there with no variable but `env`; `stdin` is closed when ``None``."""
        done = _apart(self._command(words, env, cwd, closed="<&-" if stdin is None else ""), stdin or "")
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, words: Sequence[str | Path], *, env: Mapping[str, str], cwd: str = "/") -> subprocess.Popen[str]:
        """Start a program there; it has the process's own number."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*_APART, *self._command(words, env, cwd, closed="<&-")], stdout=pipe, stderr=pipe, text=True, env=_PLAIN
        )

    def _command(self, words: Sequence[str | Path], env: Mapping[str, str], cwd: str, *, closed: str) -> list[str]:
        if refusal := _refusal():
            pytest.fail(f"this kernel lets no test make a root of its own: {refusal}")
        return ["/bin/sh", "-eu", "-c", self._script([str(word) for word in words], env, cwd, closed=closed)]

    def _script(self, words: list[str], env: Mapping[str, str], cwd: str, *, closed: str) -> str:
        binds = {str(path): Mount(path, is_read_only=True) for path in _SHARED} | dict(self.mounts)
        lines = ["umask 022", f"mount -t tmpfs -o mode=755 none {_ROOT}"]
        for place in _SYSTEM:
            path = Path(place)
            if path.is_symlink():
                lines.append(f"ln -s {os.readlink(path)} {_ROOT}{place}")
            elif path.is_dir():
                lines += self._bind(path, f"{_ROOT}{place}", is_read_only=True)
        lines += [f"mkdir {_ROOT}/dev {_ROOT}/proc", f"mount --rbind /proc {_ROOT}/proc"]
        lines += [f"touch {_ROOT}/dev/{name}; mount --bind /dev/{name} {_ROOT}/dev/{name}" for name in _DEVICES]
        lines.append(f"ln -s /proc/self/fd {_ROOT}/dev/fd")
        for place, mount in sorted(binds.items()):
            lines += self._bind(mount.source, f"{_ROOT}{place}", is_read_only=mount.is_read_only)
        lines.append(f"mount -o remount,bind,ro {_ROOT}")
        enter = [shutil.which("chroot", path="/usr/sbin:/usr/bin") or "chroot", _ROOT]
        drop = ["/usr/bin/setpriv", "--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]
        if os.geteuid() == 0:
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
