"""Debian's `docker-registry` (CNCF distribution 2.8.2) as a child process on loopback, one temporary folder each.

It is the real thing: what it refuses is refused by a registry that people run. `requests()` says what reached it.
Behaviour it lacks (chunk limits, referrers, throttling) is the sandbox registry's to show, not this one's.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import select
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import pytest
from certificates import Authority, Certificate
from programs import clean_environment, require
from tokenserver import ISSUER, TokenServer

_LOGGED = re.compile(
    r'^\S+ \S+ \S+ \[[^]]*\] "(?P<method>[A-Z]+) (?P<target>\S+) [^"]*" (?P<status>\d{3}) (?P<size>\d+)'
)
_MARK = "harness="
_START_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """Record one request as the registry's access log has it; `size` counts the bytes of the answer's body."""

    method: str
    path: str
    query: str
    status: int
    size: int

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """Say how a registry is set up: open unless `users` (htpasswd) or `tokens` are given; http unless `tls`."""

    users: Mapping[str, str] = field(default_factory=dict)
    tokens: TokenServer | None = None
    token_trust: Path | None = None
    tls: Certificate | None = None
    relative_urls: bool = False
    can_delete: bool = True


class DebianRegistry:
    """Run one registry. `start` returns when it answers; `stop`, `kill` and `start` again keep port and content."""

    def __init__(self, folder: Path, mode: Mode | None = None, *, authority: Authority | None = None) -> None:
        self.mode = mode or Mode()
        self.authority = authority
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._access_log = folder / "access.log"
        self._own_log = folder / "registry.log"
        self._port = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._marks = 0
        self._seen = 0

    def __enter__(self) -> DebianRegistry:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """Give what stands before the first slash of a reference: address and port."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """Give the root as a client is told it."""
        return f"http{'s' if self.mode.tls else ''}://{self.host}"

    @property
    def port(self) -> int:
        """Give the port; it stays the same from the first start on."""
        return self._port

    @property
    def process(self) -> int:
        """Give the child's process number; only while it runs."""
        if self._child is None:
            raise RuntimeError("the registry does not run")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Tell whether the child process lives."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start and wait until it answers. Fails the test, with the registry's own log, if it does not."""
        if self.is_running:
            return
        is_first = self._port == 0
        for _ in range(5):
            if is_first:
                self._port = find_free_port()
            self._spawn()
            if self._wait_until_ready():
                return
            self.kill()
            # Another process may have taken the port between finding it and binding it.
            if not (is_first and "address already in use" in self._own_log.read_text(errors="replace")):
                break
        pytest.fail(f"docker-registry did not start:\n{self._own_log.read_text(errors='replace')}", pytrace=False)

    def stop(self) -> None:
        """End it as a service manager would; open requests may finish."""
        self._end("terminate")

    def kill(self) -> None:
        """End it at once; open connections are cut."""
        self._end("kill")

    def restart(self) -> None:
        """Stop, then start on the same port with the same content."""
        self.stop()
        self.start()

    def connection(self, *, timeout_s: float = 120) -> http.client.HTTPConnection:
        """Open a plain standard-library connection, for tests that speak HTTP themselves."""
        if self.mode.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout_s)
        return http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=timeout_s, context=_trusting(self.authority)
        )

    def requests(self) -> list[LoggedRequest]:
        """Give what reached it since the last `forget`, complete for every answer that a client has read."""
        return [_logged(line) for line in self._lines()[self._seen :]]

    def forget(self) -> None:
        """Begin to count anew."""
        self._seen = len(self._lines())

    def log(self) -> str:
        """Give the registry's own log, for the message of a failed test."""
        return self._own_log.read_text(errors="replace")

    def _lines(self) -> list[str]:
        # A line is written just after the answer was: a request of our own, seen in the log, says the others are there.
        # Twice, as the first may overtake a line that another thread is about to write.
        if self.is_running:
            for _ in range(2):
                self._marks += 1
                self._ping(f"{_MARK}{self._marks}-")
                _poll(self._has_mark, limit_s=60)
        lines = self._access_log.read_text().splitlines() if self._access_log.exists() else []
        return [line for line in lines if _MARK not in line and _LOGGED.match(line)]

    def _has_mark(self) -> bool:
        return f"{_MARK}{self._marks}-" in self._access_log.read_text()

    def _spawn(self) -> None:
        config = self._folder / "config.yml"
        config.write_text(json.dumps(self._config()))
        with self._access_log.open("ab") as endpoint, self._own_log.open("wb") as own:
            self._child = subprocess.Popen(
                [require("docker-registry"), "serve", str(config)],
                env=clean_environment(self._folder / "home", {"OTEL_TRACES_EXPORTER": "none"}),
                stdin=subprocess.DEVNULL,
                stdout=endpoint,
                stderr=own,
            )

    def _wait_until_ready(self) -> bool:
        def is_over() -> bool:
            return not self.is_running or self._ping(f"{_MARK}ready")

        _poll(is_over, limit_s=_START_LIMIT_S)
        # A foreign process on the port could have answered: ours must live to count.
        return self.is_running and self._ping(f"{_MARK}ready")

    def _ping(self, query: str) -> bool:
        connection = self.connection(timeout_s=30)
        try:
            connection.request("GET", f"/v2/?{query}")
            return connection.getresponse().status in (200, 401)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _end(self, how: str) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.poll() is None:
            getattr(child, how)()
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(60)

    def _config(self) -> dict[str, object]:
        """Give the configuration; it is written as JSON, which YAML 1.1 readers take."""
        http_part: dict[str, object] = {
            "addr": self.host,
            # Upload sessions are signed with it: without a fixed one they would end with a restart.
            "secret": "fixed so that upload sessions outlive a restart",
            "relativeurls": self.mode.relative_urls,
        }
        if self.mode.tls is not None:
            http_part["tls"] = {"certificate": str(self.mode.tls.path), "key": str(self.mode.tls.key_path)}
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self._folder / "content")},
                "delete": {"enabled": self.mode.can_delete},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http_part,
        }
        if self.mode.users:
            config["auth"] = {"htpasswd": {"realm": "oci-push test", "path": str(self._write_passwords())}}
        if self.mode.tokens is not None:
            config["auth"] = {
                "token": {
                    "realm": self.mode.tokens.url,
                    "service": self.mode.tokens.service,
                    "issuer": ISSUER,
                    "rootcertbundle": str(self.mode.token_trust),
                }
            }
        return config

    def _write_passwords(self) -> Path:
        path = self._folder / "htpasswd"
        # Four rounds are the least bcrypt takes; every request of a test pays for them.
        lines = (
            f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
            for user, password in self.mode.users.items()
        )
        path.write_text("".join(lines))
        return path


def find_free_port() -> int:
    """Find a port nobody listens on, below those the system gives to outgoing connections.

    One of the latter could be taken by a client while its server is stopped, and then not be had again.
    """
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("no free port between 20000 and 32000", pytrace=False)


def _trusting(authority: Authority | None) -> ssl.SSLContext:
    if authority is None:
        raise ValueError("a registry with TLS needs the authority that its clients trust")
    return authority.client_context()


def _logged(line: str) -> LoggedRequest:
    match = _LOGGED.match(line)
    assert match is not None, line
    path, _, query = match["target"].partition("?")
    return LoggedRequest(match["method"], path, query, int(match["status"]), int(match["size"]))


def _poll(is_done: Callable[[], bool], *, limit_s: float) -> None:
    """Ask every few milliseconds; the limit is for a broken registry only."""
    end = time.monotonic() + limit_s
    while not is_done() and time.monotonic() < end:
        select.select([], [], [], 0.01)
