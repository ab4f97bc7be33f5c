"""Do the same with oci-push and skopeo, and print what each did as a table: `python -m bench.beside`.

These are rows about what a push does, not how fast: bytes are counted by a relay before Debian's `docker-registry`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from images import config_of, docker_archive, make_layout, noise, tar_of

from bench.distance import Line
from bench.registry import Registry

MIB = 1024 * 1024
LAYER = 256 * MIB
TAGS = ("1", "2", "3")
REPOSITORIES = ("one/app", "two/app")
_OURS = str(Path(sys.executable).with_name("oci-push"))
_OPEN_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


class Counter:
    """A relay on loopback that counts the bytes which clients send through it to a registry."""

    def __init__(self, host: str) -> None:
        name, _, port = host.partition(":")
        self._to = (name, int(port))
        self.sent = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._socket.accept()
            server = socket.create_connection(self._to)
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, is_counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 18):
                self.sent += len(data) if is_counted else 0
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)


class Program:
    """One program: how it pushes a layout or a docker-archive to a place, with a home of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        (self.folder / "policy.json").write_text(_OPEN_POLICY)

    @property
    def env(self) -> dict[str, str]:
        """Return the environment that it runs in."""
        return {"PATH": f"{Path(_OURS).parent}:{os.environ['PATH']}", "HOME": str(self.folder)}

    def pushes(self, source: str, *places: str) -> list[list[str]]:
        """Return the commands that bring a source to all places."""
        if self.name == "oci-push":
            return [["oci-push", "push", "-q", source, *_grouped(places)]]
        copy = ["skopeo", "--policy", str(self.folder / "policy.json"), "copy", "-q", "--dest-tls-verify=false"]
        return [[*copy, source, f"docker://{place}"] for place in places]

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(command, env=self.env, cwd=self.folder, capture_output=True, text=True)


def _grouped(places: tuple[str, ...]) -> list[str]:
    repositories: dict[str, list[str]] = {}
    for place in places:
        repository, _, tag = place.rpartition(":")
        repositories.setdefault(repository, []).append(tag)
    return [f"{repository}:{','.join(tags)}" for repository, tags in repositories.items()]


def killed(program: Program, counter: Counter, sources: Path) -> str:
    """Kill a push at half of its layer and run it again: what goes out the second time."""
    (command,) = program.pushes(f"oci:{sources / 'large'}", f"{counter.host}/{program.name}/killed:1")
    start = counter.sent
    with subprocess.Popen(
        command, env=program.env, cwd=program.folder, stdout=subprocess.DEVNULL, start_new_session=True
    ) as child:
        while counter.sent - start < LAYER // 2 and child.poll() is None:
            time.sleep(0.002)
        os.killpg(child.pid, signal.SIGKILL)
    time.sleep(1)
    before = counter.sent
    return _result(program.run(command), f"{(counter.sent - before) / MIB:.0f} MiB")


def again(program: Program, counter: Counter, sources: Path) -> str:
    """Push a docker-archive twice: what goes out the second time."""
    (command,) = program.pushes(f"docker-archive:{sources / 'saved.tar'}", f"{counter.host}/{program.name}/saved:1")
    program.run(command)
    before = counter.sent
    return _result(program.run(command), f"{(counter.sent - before) / MIB:.1f} MiB")


def many(program: Program, counter: Counter, sources: Path) -> str:
    """Bring an image to three tags in each of two repositories."""
    places = [f"{counter.host}/{program.name}/{name}:{tag}" for name in REPOSITORIES for tag in TAGS]
    before = counter.sent
    commands = program.pushes(f"docker-archive:{sources / 'other.tar'}", *places)
    done = [program.run(command) for command in commands]
    failed = next((one for one in done if one.returncode), done[-1])
    count = f"{len(commands)} command{'s' if len(commands) > 1 else ''}"
    return _result(failed, f"{count}, {(counter.sent - before) / MIB:.0f} MiB")


def codes(program: Program, counter: Counter, sources: Path) -> str:
    """Ask for a source that is not there, a place that refuses, and one where nobody listens."""
    small = f"oci:{sources / 'small'}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    (missing,) = program.pushes(f"oci:{sources / 'none'}", f"{counter.host}/a/b:1")
    (refused,) = program.pushes(small, f"{counter.host}/UPPER/b:1")
    (silent,) = program.pushes(small, f"{nobody}/a/b:1")
    return ", ".join(str(program.run(command).returncode) for command in (missing, refused, silent))


def _result(done: subprocess.CompletedProcess[str], text: str) -> str:
    return text if done.returncode == 0 else f"failed ({done.returncode}): {done.stderr.strip()[-120:]}"


Row = Callable[[Program, Counter, Path], str]
BROKEN: dict[str, Row] = {
    "`kill -9` at half of a layer of 256 MiB, then the same command again: it sends": killed,
}
"""Rows whose registry is `oci-push sandbox`: Debian's keeps nothing of a request that broke."""
ROWS: dict[str, Row] = {
    "`docker save` tar of 64 MiB, pushed a second time: it sends": again,
    "another one to 3 tags in each of 2 repositories": many,
    "exit codes: no such source, a bad name, nobody listens": codes,
}


@contextlib.contextmanager
def _sources() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="oci-push-beside-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        make_layout(folder / "large", tar_of(("file", noise(LAYER))))
        make_layout(folder / "small", tar_of(("file", noise(1000))))
        for name, seed in (("saved", 1), ("other", 5)):
            layers = [tar_of((f"file{at}", noise(16 * MIB, seed=seed + at))) for at in range(4)]
            files = [(f"{at}.tar", layer) for at, layer in enumerate(layers)]
            archive = docker_archive(*files, config=config_of(*layers), paths=[path for path, _ in files])
            (folder / f"{name}.tar").write_bytes(archive)
        yield folder


@contextlib.contextmanager
def _sandbox(folder: Path) -> Iterator[str]:
    command = [_OURS, "sandbox", "--root", str(folder / "registry")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
        child.terminate()


def main() -> None:
    """Run all rows with all programs and print the table."""
    names = ["oci-push", *(["skopeo"] if shutil.which("skopeo") else [])]
    with _sources() as sources, _sandbox(sources) as sandbox, Registry(Line()) as registry:
        programs = [Program(name, sources) for name in names]
        print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
        for host, rows in ((sandbox, BROKEN), (registry.host, ROWS)):
            counter = Counter(host)
            for title, row in rows.items():
                cells = [row(one, counter, sources) for one in programs]
                print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
