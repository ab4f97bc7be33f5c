"""What work costs: requests, bytes, tries that failed, and time by phase, counted by whoever spends it.

A `Context` carries the `Costs` that its work adds to (`Context.spending`), so nobody has to be told whose work it does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct, field

from oci_push.runtime.clock import Clock


class Cost(Struct, frozen=True):
    """What some work has cost.

    `requests` are all that went out over HTTP, those for tokens and redirects too. `retries` are tries after a failure,
    `waited_s` the waits before them, of all threads. `bytes_sent` are bytes of blobs, those of failed uploads too.
    `phases` are seconds by the name of a phase.
    """

    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    bytes_sent: int = 0
    phases: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of both."""
        phases = dict(self.phases)
        for name, seconds in other.phases.items():
            phases[name] = phases.get(name, 0.0) + seconds
        return Cost(
            self.requests + other.requests,
            self.retries + other.retries,
            self.waited_s + other.waited_s,
            self.bytes_sent + other.bytes_sent,
            phases,
        )


class Costs:
    """Count; safe to use from several threads. What is counted here counts in those `above`, too."""

    __slots__ = ("_above", "_bytes", "_inner", "_lock", "_phases", "_requests", "_retries", "_waited_s")

    def __init__(self) -> None:
        self._above: Costs | None = None
        self._lock = threading.Lock()
        self._inner = threading.local()
        self._requests = self._retries = self._bytes = 0
        self._waited_s = 0.0
        self._phases: dict[str, float] = {}

    def add_to(self, above: Costs) -> None:
        """Let everything from now on count there as well."""
        self._above = above

    def request(self) -> None:
        """Count a request."""
        with self._lock:
            self._requests += 1
        if self._above is not None:
            self._above.request()

    def retry(self, wait_s: float) -> None:
        """Count a try after a failure, and the wait before it."""
        with self._lock:
            self._retries += 1
            self._waited_s += wait_s
        if self._above is not None:
            self._above.retry(wait_s)

    def sent(self, size: int) -> None:
        """Count bytes of a blob."""
        with self._lock:
            self._bytes += size
        if self._above is not None:
            self._above.sent(size)

    def spent(self, phase: str, seconds: float) -> None:
        """Count time of a phase."""
        with self._lock:
            self._phases[phase] = self._phases.get(phase, 0.0) + seconds
        if self._above is not None:
            self._above.spent(phase, seconds)

    def add(self, cost: Cost) -> None:
        """Count what was counted elsewhere."""
        with self._lock:
            self._requests += cost.requests
            self._retries += cost.retries
            self._waited_s += cost.waited_s
            self._bytes += cost.bytes_sent
            for phase, seconds in cost.phases.items():
                self._phases[phase] = self._phases.get(phase, 0.0) + seconds
        if self._above is not None:
            self._above.add(cost)

    @contextmanager
    def phase(self, name: str, clock: Clock) -> Iterator[None]:
        """Count the block's time as that of a phase, but for phases inside it, on the same thread."""
        outer = getattr(self._inner, "seconds", 0.0)
        self._inner.seconds = 0.0
        began = clock.monotonic()
        try:
            yield
        finally:
            took = clock.monotonic() - began
            self.spent(name, max(0.0, took - self._inner.seconds))
            self._inner.seconds = outer + took

    def total(self) -> Cost:
        """Return what has been counted so far."""
        with self._lock:
            return Cost(self._requests, self._retries, self._waited_s, self._bytes, dict(self._phases))
