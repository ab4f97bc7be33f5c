"""A Dask cluster of child processes on loopback: one scheduler, and workers with a home and logins of their own."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from program import until
from programs import clean_environment

ROOT = Path(__file__).parents[2]


class DaskCluster:
    """Run a scheduler and workers; all of their logs are in `folder`."""

    def __init__(
        self, folder: Path, tls: Mapping[str, Path] | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "scheduler.json"
        self._tls = [word for name, path in (tls or {}).items() for word in (f"--tls-{name}", str(path))]
        self._env = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **(env or {})}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> DaskCluster:
        self.schedule()
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed([*self._children]):
            self.kill(name)

    @property
    def address(self) -> str:
        """Return HOST:PORT of the scheduler."""
        return json.loads(self._file.read_text())["address"].rpartition("/")[2]

    def schedule(self) -> None:
        """Start the scheduler, or another at the address of the last."""
        port = self.address.rpartition(":")[2] if self._file.exists() else "0"
        self._file.unlink(missing_ok=True)
        words = ("--host", "127.0.0.1", "--port", port, "--scheduler-file", str(self._file))
        self._start("scheduler", "distributed.cli.dask_scheduler", *words, *self._tls)
        until(lambda: self._file.exists() and self._file.read_text().rstrip().endswith("}"))  # it is written in parts

    def worker(self, name: str, logins: Mapping[str, str], threads: int = 2) -> None:
        """Start a worker with logins by host, ``USER:PASSWORD``, and wait until the scheduler has it."""
        auths = {host: {"auth": base64.b64encode(login.encode()).decode()} for host, login in logins.items()}
        config = self._folder / name / ".docker" / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"auths": auths}))
        words = ("--no-nanny", "--nthreads", str(threads), "--name", name, "--scheduler-file", str(self._file))
        self._start(name, "distributed.cli.dask_worker", *words, *self._tls)

    @contextmanager
    def crowd(self) -> Iterator[Callable[[str], int]]:
        """Give what starts a worker of one thread in a moment, and returns the number of its process."""
        (self._folder / "crowd").mkdir()
        env = clean_environment(self._folder / "crowd", self._env)
        pids: list[int] = []
        command = [sys.executable, str(Path(__file__).with_name("daskworkers.py")), f"tcp://{self.address}"]
        with (
            (self._folder / "crowd.log").open("wb") as log,
            subprocess.Popen(
                command, cwd=self._folder / "crowd", env=env, stdin=-1, stdout=-1, stderr=log, text=True
            ) as parent,
        ):

            def begin(name: str) -> int:
                assert parent.stdin is not None
                assert parent.stdout is not None
                parent.stdin.write(f"{name}\n")
                parent.stdin.flush()
                pids.append(int(parent.stdout.readline()))
                return pids[-1]

            try:
                yield begin
            finally:
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def log_in(self, name: str, logins: Mapping[str, str]) -> None:
        """Give a worker other logins, as a new secret of a cluster would."""
        auths = {host: {"auth": base64.b64encode(login.encode()).decode()} for host, login in logins.items()}
        (self._folder / name / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))

    def pid(self, name: str) -> int:
        """Return the number of a process."""
        return self._children[name].pid

    def wait_for(self, *names: str) -> None:
        """Wait until workers are known to the scheduler."""
        log = self._folder / "scheduler.log"
        until(lambda: all(f"name: {name}\n" in log.read_text() for name in names))

    def kill(self, name: str) -> None:
        """End a process as the kernel does."""
        child = self._children.pop(name)
        child.send_signal(signal.SIGKILL)
        child.wait()

    def texts(self) -> dict[str, str]:
        """Return all logs by name."""
        return {path.stem: path.read_text(errors="replace") for path in self._folder.glob("*.log")}

    def _start(self, name: str, module: str, *words: str) -> None:
        env = clean_environment(self._folder / name, self._env)
        log = os.open(self._folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            command = [sys.executable, "-m", module, "--no-dashboard", *words]
            self._children[name] = subprocess.Popen(
                command, cwd=self._folder / name, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        finally:
            os.close(log)
