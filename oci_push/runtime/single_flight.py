"""Single flight: many ask for the same thing, one makes it, all get it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Make each key's value once; a value is never ``None``.

    A failure is its caller's own and is forgotten: it may be no more than the end of that caller's scope, so the
    next one who waits tries again in its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[K, V] = {}
        self._locks: dict[K, threading.Lock] = {}

    def get(self, key: K, make: Callable[[], V], is_good: Callable[[V], bool] | None = None) -> V:
        """Return the value of `key`, making it if there is none or if `is_good` says it has gone bad."""
        with self._lock:
            found = self._values.get(key)
            if found is not None and (is_good is None or is_good(found)):
                return found
            key_lock = self._locks.setdefault(key, threading.Lock())
        with key_lock:
            with self._lock:
                found = self._values.get(key)
                if found is not None and (is_good is None or is_good(found)):
                    return found
            value = make()
            with self._lock:
                self._values[key] = value
            return value

    def peek(self, key: K) -> V | None:
        """Return the value if it is there."""
        with self._lock:
            return self._values.get(key)

    def drop(self, key: K, value: V | None = None) -> None:
        """Forget a value; with `value` only if it is still that one."""
        with self._lock:
            if value is None or self._values.get(key) is value:
                self._values.pop(key, None)

    def items(self) -> list[tuple[K, V]]:
        """List what has been made so far."""
        with self._lock:
            return list(self._values.items())
