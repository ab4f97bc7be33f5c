"""Decisions: whether a step runs, and why not."""

from __future__ import annotations

from msgspec import Struct


class Decision(Struct, frozen=True):
    """Say whether a step runs; `reason` says why not.

    `steps` are those without a result that keep it from running; `is_unknown` says that a value does that nobody knows.
    Where there is neither, the step's own conditions say no.
    """

    runs: bool
    reason: str = ""
    steps: tuple[str, ...] = ()
    is_unknown: bool = False
