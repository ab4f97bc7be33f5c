"""Pace: how many requests a host gets at once and in a second, when it wants to be left alone, how fast bytes leave."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from oci_push.protocol.call import Body
from oci_push.runtime.context import Context

_POLL_S = 0.25
_CUT_S = 1.0
"""Refusals that come within this time of one another are answers to one burst: it is cut once."""
_QUIET_S = 5.0
_SLICE_S = 0.25


class ConcurrencyLimiter:
    """Admit a number of requests at once that may change while they run; shared by all threads and logins of a host.

    After a 429 or a Retry-After nobody is let in before the time the server named. The number is halved then, and
    grows by one for each quiet while, up to what `set_limit` allows (additive increase, multiplicative decrease).

    `spare` are places beside the limit for small requests, which so need not wait until a large body is through; none
    once the host has asked for less.
    """

    def __init__(self, limit: int, spare: int = 0) -> None:
        self._spare = spare
        self._ceiling = limit
        self._limit = limit
        self._inside = 0
        self._not_before = 0.0
        self._changed_at = 0.0
        self._has_cut = False
        self._changed = threading.Condition()
        self._mine = threading.local()

    @property
    def limit(self) -> int:
        """Return how many may be inside."""
        return self._limit

    @property
    def ceiling(self) -> int:
        """Return how many may be inside when nothing was cut."""
        return self._ceiling

    @property
    def busy(self) -> int:
        """Return how many are inside."""
        return self._inside

    def set_limit(self, limit: int) -> None:
        """Change how many may be inside at most; those who are stay, and a cut that was made stands."""
        with self._changed:
            self._ceiling = max(1, limit)
            self._limit = min(self._limit, self._ceiling) if self._has_cut else self._ceiling
            self._changed.notify_all()

    def slow_down(self, now: float) -> None:
        """Halve how many may be inside, once for each burst of refusals; `now` is on the monotonic clock."""
        with self._changed:
            if self._has_cut and now - self._changed_at < _CUT_S:
                return
            self._limit = max(1, self._limit // 2)
            self._has_cut, self._changed_at = True, now

    def speed_up(self, now: float) -> None:
        """Allow one more after a quiet while; called for each answer that was good."""
        if not self._has_cut:
            return
        with self._changed:
            if self._limit < self._ceiling and now - max(self._changed_at, self._not_before) >= _QUIET_S:
                self._limit += 1
                self._changed_at = now
                self._changed.notify()

    def hold_until(self, moment: float) -> None:
        """Let nobody in before `moment` on the monotonic clock."""
        with self._changed:
            self._not_before = max(self._not_before, moment)

    @contextmanager
    def inside(self, context: Context, *, urgent: bool = False, small: bool = False) -> Iterator[None]:
        """Wait for a place, hold it for the block, and give it back; `urgent` ignores the time the server named.

        `small` says that the place will be held for a round trip and little more.

        A thread inside already gets no second place: an upload that reads its body from the same registry
        would wait for itself otherwise.
        """
        if getattr(self._mine, "inside", False):
            yield
            return
        while True:
            wait = self._not_before - context.clock.monotonic()
            if wait > 0 and not urgent:
                context.sleep(wait)
                continue
            with self._changed:
                if self._inside < self._limit + (self._spare if small and not self._has_cut else 0):
                    self._inside += 1
                    break
                self._changed.wait(_POLL_S)
            context.check()
        self._mine.inside = True
        try:
            yield
        finally:
            self._mine.inside = False
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()  # whoever is woken may be too large for the place


class Bandwidth:
    """Bound the bytes that leave in request bodies, over all connections of a run; 0 bounds nothing."""

    def __init__(self, bytes_per_s: float = 0.0) -> None:
        self._rate = bytes_per_s
        self._free_at = 0.0
        self._lock = threading.Lock()

    def paced(self, body: Body, context: Context) -> Iterator[bytes | memoryview]:
        """Return the body's blocks, each when its turn has come; large ones are cut, for a long pause is a stall."""
        if not self._rate:
            for block in body.blocks():
                context.check()
                yield block
            return
        most = max(1, int(self._rate * _SLICE_S))
        for block in body.blocks():
            view = memoryview(block)
            while view:
                self._wait(context, min(most, len(view)))
                yield view[:most]
                view = view[most:]

    def _wait(self, context: Context, count: int) -> None:
        with self._lock:
            now = context.clock.monotonic()
            due = max(now, self._free_at)
            self._free_at = due + count / self._rate
        context.sleep(due - now)


class Rate:
    """Let at most `per_s` through in any second, in the order they came."""

    def __init__(self, per_s: float) -> None:
        self._lock = threading.Lock()
        self._count = max(1, int(per_s))
        self._window_s = self._count / per_s
        self._recent: deque[float] = deque(maxlen=self._count)

    def wait(self, context: Context, *, urgent: bool = False) -> None:
        """Come back when it is our turn; who is `urgent` takes one and does not wait for it."""
        now = context.clock.monotonic()
        with self._lock:
            is_free = len(self._recent) < self._count
            turn = now if is_free else max(now, self._recent[0] + self._window_s)
            self._recent.append(turn)
        if turn > now and not urgent:
            context.sleep(turn - now)
