"""Clocks: the only way to the time, so that tests can bring their own."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The time, and waiting; seconds everywhere."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        ...

    def now(self) -> float:
        """Return seconds since 1970 in UTC."""
        ...

    def wait(self, flag: threading.Event, seconds: float | None) -> bool:
        """Wait until `flag` is set or `seconds` have passed; return whether it is set."""
        ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return the machine's monotonic time."""
        return time.monotonic()

    def now(self) -> float:
        """Return the machine's time of day."""
        return time.time()

    def wait(self, flag: threading.Event, seconds: float | None) -> bool:
        """Wait for real."""
        return flag.wait(seconds)


class FakeClock:
    """A clock for tests: waiting moves it and takes no time; `waits` lists what was waited for."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """Return the fake time."""
        return self.time

    def now(self) -> float:
        """Return the fake time."""
        return self.time

    def wait(self, flag: threading.Event, seconds: float | None) -> bool:
        """Move the time by `seconds` at once."""
        with self._lock:
            if not flag.is_set() and seconds is not None:
                self.waits.append(seconds)
                self.time += seconds
        return flag.is_set()
