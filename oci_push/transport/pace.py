"""Pace: how many requests a host gets at once and in a second, and when it wants to be left alone."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from oci_push.runtime.scope import Scope

_POLL_S = 0.25


class Gate:
    """Admit a number of requests at once that may change while they run; shared by all threads of a host.

    After a 429 or a Retry-After nobody is let in before the time the server named.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._not_before = 0.0
        self._changed = threading.Condition()
        self._mine = threading.local()

    @property
    def limit(self) -> int:
        """Give how many may be inside."""
        return self._limit

    def set_limit(self, limit: int) -> None:
        """Change how many may be inside; those who are stay."""
        with self._changed:
            self._limit = max(1, limit)
            self._changed.notify_all()

    def hold_until(self, moment: float) -> None:
        """Let nobody in before `moment` on the monotonic clock."""
        with self._changed:
            self._not_before = max(self._not_before, moment)

    @contextmanager
    def inside(self, scope: Scope) -> Iterator[None]:
        """Wait for a place, hold it for the block, and give it back.

        A thread inside already gets no second place: an upload that reads its body from the same registry
        would wait for itself otherwise.
        """
        if getattr(self._mine, "inside", False):
            yield
            return
        while True:
            wait = self._not_before - scope.clock.monotonic()
            if wait > 0:
                scope.sleep(wait)
                continue
            with self._changed:
                if self._inside < self._limit:
                    self._inside += 1
                    break
                self._changed.wait(_POLL_S)
            scope.check()
        self._mine.inside = True
        try:
            yield
        finally:
            self._mine.inside = False
            with self._changed:
                self._inside -= 1
                self._changed.notify()


class Rate:
    """Let at most `per_s` through in any second, in the order they came."""

    def __init__(self, per_s: float) -> None:
        self._lock = threading.Lock()
        self._count = max(1, int(per_s))
        self._window_s = self._count / per_s
        self._recent: deque[float] = deque(maxlen=self._count)

    def wait(self, scope: Scope) -> None:
        """Come back when it is our turn."""
        now = scope.clock.monotonic()
        with self._lock:
            is_free = len(self._recent) < self._count
            turn = now if is_free else max(now, self._recent[0] + self._window_s)
            self._recent.append(turn)
        if turn > now:
            scope.sleep(turn - now)
