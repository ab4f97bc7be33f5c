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


class _Relays:
    """The relay processes of a line, one for each registry."""

    def __init__(self, prefix: tuple[str, ...], host: str, rtt_ms: float, line_rtt_ms: float) -> None:
        self._prefix = prefix
        self._host = host
        self._times = (str(rtt_ms), str(line_rtt_ms))
        self._relays: dict[int, tuple[subprocess.Popen[str], int]] = {}

    def reach(self, port: int) -> int:
        if port not in self._relays:
            words = (*self._prefix, sys.executable, "-m", "bench.relay", self._host, str(port), *self._times)
            child = subprocess.Popen(words, cwd=_PROJECT, stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            self._relays[port] = (child, int(child.stdout.readline()))
        return self._relays[port][1]

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Hold nothing within; what passes is not counted."""
        self._tell(signal.SIGUSR2)
        yield
        self._tell(signal.SIGUSR1)

    def stop(self) -> list[dict[str, int]]:
        """End them and return what each saw."""
        said = []
        for child, _port in self._relays.values():
            child.terminate()
            said.append(child.communicate()[0])
        return [json.loads(text) for text in said if text]

    def _tell(self, word: signal.Signals) -> None:
        for child, _port in self._relays.values():
            child.send_signal(word)
        time.sleep(0.05)  # they answer nothing, and nothing is timed meanwhile


class RelayLine(Line):
    """A relay that holds bytes, for each registry; `summaries` are there once the line is down."""

    def __init__(self, rtt_ms: float) -> None:
        self._relays = _Relays((), self.host, rtt_ms, 0)
        self.summaries: list[dict[str, int]] = []

    def __exit__(self, *_: object) -> None:
        self.summaries = self._relays.stop()

    @contextmanager
    def beside(self) -> Iterator[tuple[str, ...]]:
        with self._relays.preparing():
            yield ()

    def reach(self, port: int) -> int:
        return self._relays.reach(port)


class CountedLine(NamespaceLine):
    """Two namespaces, and at the far end of the line a relay before each registry that only counts."""

    def __init__(self, rtt_ms: float, means: Means) -> None:
        super().__init__(rtt_ms, means)
        self._relays = _Relays(self.registry_prefix, self.host, 0, rtt_ms)
        self.summaries: list[dict[str, int]] = []

    def __exit__(self, *_: object) -> None:
        self.summaries = self._relays.stop()
        super().__exit__()

    @contextmanager
    def beside(self) -> Iterator[tuple[str, ...]]:
        with self._relays.preparing():
            yield self.registry_prefix

    def reach(self, port: int) -> int:
        return self._relays.reach(port)


def counted_line(rtt_ms: float, means: Means) -> RelayLine | CountedLine:
    """Return a line that counts what passes. Only behind a real one do programs see in connecting how far it is."""
    return RelayLine(rtt_ms) if means == "relay" else CountedLine(rtt_ms, means)


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
