"""Scopes: the deadline, the cancel flag and the blocked sockets of one piece of work.

A scope is a node of a tree: cancelling it cancels everything below. A thread that blocks on a socket does so
inside `blocked(close)`, so that a cancel, a deadline or a failed sibling can shut the socket down and wake it
at once. All waiting goes through `sleep`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from oci_push.errors import Cancelled, DeadlineError, OciPushError
from oci_push.runtime.clock import Clock
from oci_push.runtime.costs import Costs


class Context:
    """Bound a piece of work in time and let others stop it.

    `deadline` is on the clock's monotonic scale. Whoever waits for the work (see `runtime.tasks`) calls `expire`
    often, which enforces it for blocked sockets.
    """

    def __init__(
        self, clock: Clock, *, parent: Context | None = None, deadline: float | None = None, what: str = ""
    ) -> None:
        self.clock = clock
        self.parent = parent
        self.what: str = what or (parent.what if parent else "")
        limits = [d for d in (deadline, parent.deadline if parent else None) if d is not None]
        self.deadline: float | None = min(limits) if limits else None
        self.costs: Costs = parent.costs if parent else Costs()
        self.reason: OciPushError | None = None
        self._flag = threading.Event()
        self._lock = threading.Lock()
        self._wakers: dict[int, Callable[[], None]] = {}
        self._children: weakref.WeakSet[Context] = weakref.WeakSet()
        if parent is not None:
            with parent._lock:
                parent._children.add(self)
                reason = parent.reason
            if reason is not None:
                self.cancel(reason)

    def child(self, *, seconds: float | None = None, what: str = "") -> Context:
        """Make a scope that ends with this one, or earlier after `seconds`."""
        deadline = None if seconds is None else self.clock.monotonic() + seconds
        return Context(self.clock, parent=self, deadline=deadline, what=what)

    def spending(self, costs: Costs) -> Context:
        """Make a scope that ends with this one, and whose work adds to `costs`, and with them to this one's."""
        inner = self.child()
        costs.add_to(self.costs)
        inner.costs = costs
        return inner

    def lingering(self, seconds: float) -> Context:
        """Make a scope that a cancel of this one ends only `seconds` later, for an answer that must not be missed."""
        return _LingeringContext(self, seconds)

    def shielded(self, seconds: float) -> Context:
        """Make a scope for cleaning up, which outlives this one's cancel by at most `seconds`."""
        made = Context(self.clock, deadline=self.clock.monotonic() + seconds, what=self.what)
        made.costs = self.costs
        return made

    @property
    def is_cancelled(self) -> bool:
        """Return whether this scope was asked to stop."""
        return self._flag.is_set()

    def cancel(self, reason: OciPushError | None = None) -> None:
        """Ask the work to stop, wake it where it is blocked, and do so for all scopes below."""
        with self._lock:
            if self.reason is None:
                self.reason = reason or Cancelled()
            wakers = list(self._wakers.values())
            children = list(self._children)
            self._flag.set()
        for wake in wakers:
            wake()
        for child in children:
            child.cancel(self.reason)

    def expire(self) -> None:
        """Cancel this scope, or those below it, whose deadline has passed; nothing happens before it."""
        self._end_if_late()
        with self._lock:
            children = list(self._children)
        for child in children:
            child.expire()

    def check(self) -> None:
        """Raise what ended this scope, if anything has: `Cancelled`, `DeadlineError` or the sibling's failure."""
        self._end_if_late()
        if self.reason is not None:
            raise self.reason

    def remaining(self, at_most: float) -> float:
        """Return the seconds left, never over `at_most`; raises as `check` does when there are none."""
        self.check()
        if self.deadline is None:
            return at_most
        return max(0.001, min(at_most, self.deadline - self.clock.monotonic()))

    def sleep(self, seconds: float) -> None:
        """Wait, ending early (with the reason raised) on cancel or deadline."""
        end = self.clock.monotonic() + seconds
        while True:
            self.check()
            left = end - self.clock.monotonic()
            if left <= 0:
                return
            self.clock.wait(self._flag, self.remaining(left))

    @contextmanager
    def blocked(self, wake: Callable[[], None]) -> Iterator[None]:
        """Register `wake` (called from another thread) for as long as this thread may block."""
        key = threading.get_ident()
        with self._lock:
            previous = self._wakers.get(key)
            self._wakers[key] = wake
            stopped = self._flag.is_set()
        try:
            if stopped:
                self.check()
            yield
        finally:
            with self._lock:
                if previous is None:
                    self._wakers.pop(key, None)
                else:
                    self._wakers[key] = previous

    def _end_if_late(self) -> None:
        if self.deadline is not None and not self.is_cancelled and self.clock.monotonic() >= self.deadline:
            self.cancel(DeadlineError(f"{self.what or 'the work'}: time limit exceeded"))


class _LingeringContext(Context):
    """Turn the first cancel into a deadline; whoever waits for the work calls `expire` then, as always."""

    def __init__(self, parent: Context, seconds: float) -> None:
        self._seconds = seconds
        self._ends_for: OciPushError | None = None
        super().__init__(parent.clock, parent=parent)

    def cancel(self, reason: OciPushError | None = None) -> None:
        """End after the given time, for this reason, or at once when that time is over."""
        if self._ends_for is None:
            self._ends_for = reason or Cancelled()
            end = self.clock.monotonic() + self._seconds
            self.deadline = end if self.deadline is None else min(self.deadline, end)
        elif self.clock.monotonic() >= (self.deadline or 0.0):
            super().cancel(self._ends_for)
