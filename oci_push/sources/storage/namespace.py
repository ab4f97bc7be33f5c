"""A child in a user namespace, which opens files that this user may not and passes descriptors.

It is mapped as podman and buildah map theirs: this user is root there, and further users come from ``/etc/subuid`` and
``/etc/subgid`` (man 5 subuid). The programs `newuidmap` and `newgidmap` do that (man 1 newuidmap), nothing of podman is
needed. The child is a new Python, never a fork of this process, which has threads.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from oci_push.errors import SourceError
from oci_push.runtime.commands import RunCommand
from oci_push.sources.storage import beneath

_START_S = 20.0
_NUMBER = struct.Struct("=i")
INSTEAD = "run it where these files may be read: buildah unshare oci-push …, or podman unshare oci-push …"


class NamespaceOpener:
    """Open files as root of a user namespace; the child is started by the first question. Thread-safe.

    `numbers` is the folder of ``subuid`` and ``subgid``.
    """

    def __init__(
        self, name: str, env: Mapping[str, str], run_command: RunCommand, *, numbers: Path = Path("/etc")
    ) -> None:
        self._name = name
        self._numbers = numbers
        self._env = {key: value for key, value in env.items() if key == "LD_LIBRARY_PATH"}  # a Python may need it
        self._run_command = run_command
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def open_each(self, base: bytes, names: Sequence[bytes]) -> tuple[list[int], list[int]]:
        """Open at most `beneath.MOST_AT_ONCE` files as `beneath.open_each` does; raises `SourceError` without a child.

        Who asks closes the descriptors.
        """
        with self._lock:
            channel = self._channel = self._channel or self._start()
            try:
                channel.send(b"\0".join([base, *names]))
                message, opened, _, _ = socket.recv_fds(channel, _NUMBER.size * len(names), len(names))
            except OSError as problem:
                raise self._lost(f"does not answer ({problem.strerror})") from problem
        said = [number for (number,) in _NUMBER.iter_unpack(message[: len(message) // 4 * 4])]
        if len(said) != len(names) or said.count(0) != len(opened):
            for descriptor in opened:
                os.close(descriptor)
            raise self._lost("has ended" if not message else "answers incompletely (is ulimit -n too low?)")
        return said, opened

    def close(self) -> None:
        """End the child; idempotent."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        self._end_child()

    def _end_child(self) -> None:
        """End the child, whatever it waits for: it keeps nothing."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.settimeout(_START_S)
            with theirs:
                self._child = _run_ourselves(theirs, self._env)
            said = ours.recv(_NUMBER.size)
            if len(said) != _NUMBER.size:
                raise self._refused("the process that was to make one has failed")
            if number := _NUMBER.unpack(said)[0]:
                raise self._refused(os.strerror(number))
            self._map(self._child.pid)
            ours.send(b"!")
            ours.settimeout(None)
        except BaseException as problem:
            ours.close()
            self._end_child()
            if isinstance(problem, OSError):
                raise self._refused(problem.strerror or str(problem)) from problem
            raise
        return ours

    def _map(self, process: int) -> None:
        uid, gid, name = os.getuid(), os.getgid(), _name_of(os.getuid())
        for program, own, path in (
            ("newuidmap", uid, self._numbers / "subuid"),
            ("newgidmap", gid, self._numbers / "subgid"),
        ):
            ranges = read_ranges(path, name, uid)
            if not ranges:
                raise self._refused(f"{path} gives {name or uid} no further numbers")
            words = ["0", str(own), "1"]
            inside = 1
            for first, count in ranges:
                words += [str(inside), str(first), str(count)]
                inside += count
            try:
                done = self._run_command([program, str(process), *words], b"", _START_S)
            except FileNotFoundError as problem:
                raise self._refused(f"{program} is not installed") from problem
            if done.code:
                said = done.stderr.decode(errors="replace").strip().splitlines()
                raise self._refused(said[-1] if said else f"{program} failed with {done.code}")

    def _lost(self, what: str) -> SourceError:
        return SourceError(
            f"{self._name}: the process that opens files of other users in a user namespace {what}",
            hint=f"push again; where it is ended each time, {INSTEAD}",
        )

    def _refused(self, why: str) -> SourceError:
        return SourceError(
            f"{self._name}: holds files of other users, and no user namespace can be had to read them: {why}",
            hint=INSTEAD,
        )


def _run_ourselves(channel: socket.socket, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `beneath` as a program, given its text on stdin: so it need not lie in a file of its own."""
    spec = importlib.util.find_spec(beneath.__name__)
    text = getattr(spec.loader, "get_source", lambda _: None)(beneath.__name__) if spec else None
    if not sys.executable or not text:
        raise OSError(errno.ENOENT, "Python or this program's own text is not to be found")
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-"],
        stdin=subprocess.PIPE,
        stdout=channel.fileno(),  # beneath.CHANNEL
        stderr=subprocess.DEVNULL,
        env=env,
        start_new_session=True,  # Ctrl-C is ours: the child ends with its socket
    )
    assert child.stdin is not None  # noqa: S101  # as asked above
    with child.stdin:
        child.stdin.write(text.encode())  # less than a pipe holds
    return child


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def read_ranges(path: Path, name: str, uid: int) -> list[tuple[int, int]]:
    """Return from ``/etc/subuid`` or ``/etc/subgid`` which numbers a user may use: the first of each, and how many."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        owner, _, numbers = line.strip().partition(":")
        first, _, count = numbers.partition(":")
        if owner and owner in (name, str(uid)) and first.isdecimal() and count.isdecimal() and int(count):
            found.append((int(first), int(count)))
    return found
