"""Logins that may run out: where an authenticator asks who we are, each time it needs to know.

A fixed login is one found in a file or given by the user. A leased one is made by a cloud for a while: it is asked
for when first needed, by one thread at a time, made anew shortly before it ends, and once more when a registry says
that it has ended early.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from oci_push.model.endpoint import Credential
from oci_push.runtime.clock import Clock
from oci_push.runtime.context import Context

_EARLY_SHARE = 0.1
_EARLY_MOST_S = 1800.0


class CredentialProvider(Protocol):
    """Return the login for one registry; used by many threads at once."""

    def credential(self, context: Context) -> Credential | None:
        """Return a login that will live a while; ``None`` means nobody. Raises `CredentialsError`."""
        ...

    def refused(self, credential: Credential) -> bool:
        """Take back a login that a registry no longer accepts; say whether `login()` may now give another."""
        ...


class FixedCredential:
    """Return always the same login, or none."""

    def __init__(self, credential: Credential | None) -> None:
        self._login = credential

    def credential(self, context: Context) -> Credential | None:
        """Return it."""
        return self._login

    def refused(self, credential: Credential) -> bool:
        """There is no other."""
        return False


class Lease(Struct, frozen=True):
    """A login and how many seconds it lives from now; ``None`` means until a registry refuses it."""

    credential: Credential
    life_s: float | None = None


class RefreshingCredential:
    """Keep the login that `make` gives until shortly before its end: a tenth of its life, at most half an hour."""

    def __init__(self, clock: Clock, make: Callable[[Context], Lease]) -> None:
        self._clock = clock
        self._make = make
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._login: Credential | None = None
        self._until: float | None = None

    def credential(self, context: Context) -> Credential:
        """Return the login in use, made anew if there is none or its end is near."""
        found = self._in_use()
        if found is not None:
            return found
        with self._making:
            found = self._in_use()
            if found is not None:
                return found
            asked_at = self._clock.monotonic()  # before asking: a slow answer must not lengthen its life
            lease = self._make(context)
            with self._lock:
                self._login = lease.credential
                self._until = None if lease.life_s is None else asked_at + lease.life_s - _early_s(lease.life_s)
            return lease.credential

    def refused(self, credential: Credential) -> bool:
        """Forget it, unless another thread has replaced it already."""
        with self._lock:
            if self._login is credential:
                self._login = None
        return True

    def _in_use(self) -> Credential | None:
        with self._lock:
            is_over = self._until is not None and self._clock.monotonic() >= self._until
            return None if is_over else self._login


def _early_s(life_s: float) -> float:
    return min(life_s * _EARLY_SHARE, _EARLY_MOST_S)
