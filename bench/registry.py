"""Debian's `docker-registry` (CNCF distribution 2.8) as a child process, with its data in memory where that is."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from certificates import Authority, Certificate

from bench.distance import Line
from bench.tunnel import FAR_ADDRESS

_PROGRAM = "docker-registry"
_START_LIMIT_S = 30.0
_STORED = re.compile(rb'"PUT (/v2/\S+/manifests/\S+) HTTP/1\.1" 201 ')


@dataclass(frozen=True)
class Trust:
    """A certificate for registries on both kinds of line, and the files that make clients trust it."""

    certificate: Certificate
    authority: Path
    bundle: Path
    """The authority beside those that the system trusts: as long as bundles are, for programs that take one only."""

    @classmethod
    def make(cls, folder: Path) -> Trust:
        """Issue one, for a day."""
        authority = Authority(folder)
        system = Path("/etc/ssl/certs/ca-certificates.crt")
        bundle = folder / "bundle.pem"
        bundle.write_bytes((system.read_bytes() if system.exists() else b"") + authority.path.read_bytes())
        return cls(authority.issue("registry", hosts=("localhost", "127.0.0.1", FAR_ADDRESS)), authority.path, bundle)


class Registry:
    """One registry, empty at its start; its content goes with it. `trust` makes it speak TLS."""

    def __init__(self, line: Line, trust: Trust | None = None) -> None:
        self._line = line
        self._trust = trust
        self._folder = Path()
        self._child: subprocess.Popen[bytes] | None = None
        self.host = ""
        """What stands before the first slash of a reference, for clients at the far end of the line."""

    def __enter__(self) -> Registry:
        self._folder = Path(tempfile.mkdtemp(prefix="oci-push-bench-registry-", dir=memory_folder()))
        # A port that was never used: some clients remember what a registry of this address had.
        port = _free_port()
        (self._folder / "config.yml").write_text(json.dumps(self._config(port)))
        with self._log.open("wb") as log, self._access_log.open("wb") as access_log:
            self._child = subprocess.Popen(
                [*self._line.registry_prefix, _PROGRAM, "serve", str(self._folder / "config.yml")],
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder), "OTEL_TRACES_EXPORTER": "none"},
                stdin=subprocess.DEVNULL,
                stdout=access_log,
                stderr=log,
            )
        end = time.monotonic() + _START_LIMIT_S
        while b"listening on" not in self._log.read_bytes():
            if self._child.poll() is not None or time.monotonic() > end:
                said = self._log.read_text(errors="replace")
                self.__exit__()
                raise OSError(f"{_PROGRAM} did not start: {said}")
            time.sleep(0.005)
        self.host = f"{self._line.host}:{self._line.reach(port)}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.kill()  # its content is not wanted any more
            self._child.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def requests(self) -> int:
        """Return how many requests it has answered."""
        return self._access_log.read_bytes().count(b"\n")

    def tagged(self) -> set[bytes]:
        """Return the manifests that were stored, each as the path of its request."""
        return set(_STORED.findall(self._access_log.read_bytes()))

    def uploads(self, digest: str) -> int:
        """Return how often a blob was sent to it, by the hexadecimal digits of its sha256."""
        found = re.findall(
            rb'"PUT /v2/\S+/blobs/uploads/\S*sha256(?::|%%3A)%s' % digest.encode(), self._access_log.read_bytes()
        )
        return len(found)

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    @property
    def _access_log(self) -> Path:
        return self._folder / "access.log"

    def _config(self, port: int) -> dict[str, object]:
        """Return the configuration; it is written as JSON, which readers of YAML take."""
        http: dict[str, object] = {"addr": f"{self._line.host}:{port}", "secret": "bench"}
        if self._trust is not None:
            certificate = self._trust.certificate
            http["tls"] = {"certificate": str(certificate.path), "key": str(certificate.key_path)}
        return {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self._folder / "content"), "maxthreads": 100},
                "cache": {"blobdescriptor": "inmemory"},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http,
        }


def memory_folder() -> str | None:
    """Return a folder on tmpfs: a disk would be what is measured. `None`, the system's choice, where there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _free_port() -> int:
    """Return a port nobody listens on, below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
