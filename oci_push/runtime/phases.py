"""The phases of a push, for telling where its time went."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from oci_push.runtime.context import Context
from oci_push.runtime.costs import Cost

P = ParamSpec("P")
R = TypeVar("R")
SOURCE, LOOK, BLOBS, MANIFESTS, TAGS, VERIFY, REPLICATION = (
    "source",
    "look",
    "blobs",
    "manifests",
    "tags",
    "verify",
    "replication",
)
PHASES = (SOURCE, LOOK, BLOBS, MANIFESTS, TAGS, VERIFY, REPLICATION)
"""In the order in which they come."""


def seconds_of(cost: Cost) -> dict[str, float]:
    """Return times by phase as reports have them, in the order of a push."""
    return {name: round(cost.phases[name], 3) for name in PHASES if name in cost.phases}


def timed(phase: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let the time of a function, one of whose first arguments is a `Context`, be counted as that of a phase."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            context = next(one for one in args if isinstance(one, Context))
            with context.costs.phase(phase, context.clock):
                return function(*args, **kwargs)

        return counted

    return decorate
