"""How far away the registry is: not at all, or a round trip, made by the best means that this machine has.

1. netem: two network namespaces, a pair of devices, and the kernel's own delay; root, and a kernel that has it.
2. tunnel: two network namespaces and `bench.tunnel` between them; root and /dev/net/tun.
3. relay: `bench.relay`; anywhere. Bytes are late, but TCP itself believes that it is on loopback.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal

from bench.tunnel import FAR_ADDRESS, NEAR_ADDRESS

Means = Literal["netem", "tunnel", "relay"]
_PROJECT = Path(__file__).parents[1]
_numbers = itertools.count()


class Line:
    """The way to a registry: where the registry listens, and what programs on both ends are started with."""

    host = "127.0.0.1"
    registry_prefix: tuple[str, ...] = ()
    client_prefix: tuple[str, ...] = ()
    """What a program at the far end is started with, so that the line lies between it and the registry."""

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line down."""

    @contextmanager
    def beside(self) -> Iterator[tuple[str, ...]]:
        """Yield what a program is started with to find the registry near by: what is not timed need not wait."""
        yield self.registry_prefix

    def reach(self, port: int) -> int:
        """Return the port at which clients find the registry that listens on `port`."""
        return port


class NamespaceLine(Line):
    """Two network namespaces; packets between them are delayed by the kernel or by `bench.tunnel`."""

    host = FAR_ADDRESS

    def __init__(self, rtt_ms: float, means: Means) -> None:
        self._rtt_ms = rtt_ms
        self._means = means
        name = f"oci-push-bench-{os.getpid()}-{next(_numbers)}"
        self._near, self._far = f"{name}-near", f"{name}-far"
        self.client_prefix = ("nsenter", f"--net=/run/netns/{self._near}")
        self.registry_prefix = ("nsenter", f"--net=/run/netns/{self._far}")
        self._closing = ExitStack()

    def __enter__(self) -> NamespaceLine:
        with ExitStack() as opened:
            for namespace in (self._near, self._far):
                _run("ip", "netns", "add", namespace)
                opened.callback(_run, "ip", "netns", "del", namespace)
                _run("ip", "-n", namespace, "link", "set", "lo", "up")
                # Else each connection would profit from what the one before it had learnt of the line.
                _run(*("nsenter", f"--net=/run/netns/{namespace}", "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1"))
            if self._means == "netem":
                self._delay_by_kernel()
            else:
                opened.enter_context(self._tunnel())
            self._closing = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _delay_by_kernel(self) -> None:
        _run(
            *(
                "ip",
                "-n",
                self._near,
                "link",
                "add",
                "bench0",
                "type",
                "veth",
                "peer",
                "name",
                "bench1",
                "netns",
                self._far,
            )
        )
        for namespace, device, address in ((self._near, "bench0", NEAR_ADDRESS), (self._far, "bench1", FAR_ADDRESS)):
            _run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", device)
            _run("ip", "-n", namespace, "link", "set", device, "up")
            delay = ("netem", "delay", f"{self._rtt_ms / 2}ms", "limit", "100000")
            _run("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", *delay)

    @contextmanager
    def _tunnel(self) -> Iterator[None]:
        words = (sys.executable, "-m", "bench.tunnel", self._near, self._far, str(self._rtt_ms))
        with subprocess.Popen(words, cwd=_PROJECT, stdout=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout is not None
                if child.stdout.readline() != "ready\n":
                    raise OSError("bench.tunnel did not start")
                yield
            finally:
                child.terminate()


class RelayLine(Line):
    """A relay process for each registry; `summaries` are there once the line is down."""

    def __init__(self, rtt_ms: float) -> None:
        self._rtt_ms = rtt_ms
        self._relays: dict[int, tuple[subprocess.Popen[str], int]] = {}
        self.summaries: list[dict[str, int]] = []

    def __exit__(self, *_: object) -> None:
        for child, _port in self._relays.values():
            child.terminate()
            out, _ = child.communicate()
            if out:
                self.summaries.append(json.loads(out))

    @contextmanager
    def beside(self) -> Iterator[tuple[str, ...]]:
        self._tell(signal.SIGUSR2)
        yield ()
        self._tell(signal.SIGUSR1)

    def _tell(self, word: signal.Signals) -> None:
        for child, _port in self._relays.values():
            child.send_signal(word)
        time.sleep(0.05)  # they answer nothing, and nothing is timed meanwhile

    def reach(self, port: int) -> int:
        if port not in self._relays:
            words = (sys.executable, "-m", "bench.relay", str(port), str(self._rtt_ms))
            child = subprocess.Popen(words, cwd=_PROJECT, stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            self._relays[port] = (child, int(child.stdout.readline()))
        return self._relays[port][1]


def line(rtt_ms: float, means: Means) -> Line:
    """Return a line of that round trip; none at all for 0."""
    if not rtt_ms:
        return Line()
    return RelayLine(rtt_ms) if means == "relay" else NamespaceLine(rtt_ms, means)


@functools.cache
def best_means() -> tuple[Means, str]:
    """Return the best means of this machine, and why it is not a better one."""
    if os.geteuid() != 0:
        return "relay", "not root: no network namespaces"
    if missing := [name for name in ("ip", "nsenter", "sysctl") if shutil.which(name) is None]:
        return "relay", f"not on PATH: {', '.join(missing)}"
    reasons = []
    for means in ("netem", "tunnel"):
        try:
            with NamespaceLine(2, means):
                return means, "; ".join(reasons)
        except (OSError, subprocess.CalledProcessError) as error:
            reasons.append(f"no {means}: {_reason(error)}")
    return "relay", "; ".join(reasons)


def _reason(error: Exception) -> str:
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return " ".join(str(said).split()) or type(error).__name__


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
