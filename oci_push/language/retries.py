"""The `retry` block: how long is waited between a step's attempts."""

from __future__ import annotations

from oci_push.language.steps import Retry

MAX_WAIT_S = 900.0
"""The longest single wait where nothing else is said: ``delay: 60, exponentialFactor: 5`` asks for centuries."""


def wait_s(retry: Retry, failed_attempts: int, most_s: float = MAX_WAIT_S) -> float:
    """Return the wait after the n-th failed attempt: with a factor each is the one before to the power of it."""
    wait = retry.delay_s
    if retry.factor != 1:
        for _ in range(failed_attempts):
            wait = min(wait**retry.factor, most_s)
    return min(wait, most_s)
