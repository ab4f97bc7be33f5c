"""Retrying as data: how often, and how long to wait in between.

There are three owners, never nested blindly: a *call* (idempotent, replayable request), a *blob* (one upload)
and a *step* (the pipeline's `retry` block). Each uses `attempts` with its own policy; whether an error may
be retried is a property of the error (`transient`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from oci_push.errors import OciPushError, RegistryError
from oci_push.runtime.scope import Scope

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bound the attempts of one thing: `attempts` in all, waits of `base_s`·2ⁿ up to `cap_s`, half of it random.

    What a registry asks for in Retry-After is never cut short below `server_cap_s`; beyond that we give up
    rather than wait.
    """

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 30.0
    server_cap_s: float = 600.0

    def wait_s(self, failed_attempts: int, error: OciPushError, random: Callable[[], float]) -> float:
        """Give the wait after the n-th failure; `random` gives numbers from 0 up to 1."""
        asked = error.retry_after_s if isinstance(error, RegistryError) else None
        doubled = self.base_s * 2.0 ** min(failed_attempts - 1, 64)  # beyond 1023 a float overflows
        jittered = min(self.cap_s, doubled) * (0.5 + random() / 2)
        return max(asked, 0.0) + jittered * 0.1 if asked is not None else jittered

    def gives_up(self, failed_attempts: int, error: OciPushError) -> bool:
        """Say whether this failure is the last one."""
        asked = error.retry_after_s if isinstance(error, RegistryError) else None
        too_long = asked is not None and asked > self.server_cap_s
        return not error.transient or failed_attempts >= self.attempts or too_long


@dataclass(frozen=True, slots=True)
class Retried:
    """Tell that an attempt failed and another follows after `wait_s` seconds."""

    attempt: int
    wait_s: float
    error: OciPushError


def attempts(
    scope: Scope,
    policy: RetryPolicy,
    action: Callable[[int], T],
    *,
    random: Callable[[], float],
    on_retry: Callable[[Retried], None] = lambda _: None,
) -> T:
    """Call `action(attempt)`, counting from 1, until it succeeds or the policy gives up."""
    attempt = 1
    while True:
        scope.check()
        try:
            return action(attempt)
        except OciPushError as error:
            if policy.gives_up(attempt, error):
                raise
            wait = policy.wait_s(attempt, error, random)
            on_retry(Retried(attempt, wait, error))
        scope.sleep(wait)
        attempt += 1
