"""What an engine is: whoever has units done somewhere, on threads, in processes, or on other machines.

The dispatcher (`dispatch`) decides what is done when, and an engine only does it. All of a unit's way is plain data:
`WorkUnit` in, `Told` and `WorkResult` out. An engine never sees a login.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from oci_push.events import Event
from oci_push.work.results import WorkResult
from oci_push.work.units import WorkUnit


class Told(Struct, frozen=True):
    """What happens while a unit is done."""

    key: str
    events: tuple[Event, ...]


class Lost(Struct, frozen=True):
    """Whoever did a unit is gone, and nobody knows how far it came; `why` is for people. Doing it again is harmless.

    `is_final`: there is nobody left who could. `has_begun`: the unit itself may have been the reason. `hint` is what to
    do where it is not done again, and `is_away` says that the network is the reason.
    """

    key: str
    why: str
    is_final: bool = False
    has_begun: bool = True
    hint: str = "see docs/scale.md, Workers that go: memory is often the reason"
    is_away: bool = False


Report: TypeAlias = Told | WorkResult | Lost


class Engine(Protocol):
    """Have units done. `submit` and `cancel` may be called from any thread, `wait` from one."""

    @property
    def slots(self) -> int:
        """Return how many units may be under way at once."""
        ...

    def submit(self, unit: WorkUnit) -> None:
        """Begin a unit. Each ends with one `WorkResult` or `Lost`, whatever happens."""
        ...

    def wait(self, timeout_s: float) -> Sequence[Report]:
        """Return what was reported, in order; nothing after `timeout_s` without a report."""
        ...

    def cancel(self, key: str = "") -> None:
        """Ask a unit, or all, to stop: sessions are closed and tags put back first, and then it is reported."""
        ...

    def close(self) -> None:
        """End whatever was started for this."""
        ...
