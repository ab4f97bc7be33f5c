"""What tests of the library share: an upload that lasts until it is stopped, and whether it was closed."""

from __future__ import annotations

from collections.abc import Callable

from equipment.faults import Fault, Slow
from equipment.sandbox import Sandbox

from oci_push import Options, events
from oci_push.events import Event

MIB = 1024 * 1024
FORGETFUL = Options(remember=False)
"""A broken upload is closed where nothing is remembered; else it is kept, and gone on with later."""


def crawl(sandbox: Sandbox) -> None:
    """Let the large blob arrive slowly, so that its push is under way when it is stopped.

    And no slower: what a closed connection still holds is read at the same speed, before the upload can be closed.
    """
    sandbox.faults.add(Fault("PATCH", action=Slow(MIB, 0.05), times=0))


def when_under_way(act: Callable[[], None]) -> Callable[[Event], None]:
    """Give a listener that acts as soon as bytes of the large blob have gone out."""

    def on_event(event: Event) -> None:
        if isinstance(event, events.BlobProgress) and 0 < event.sent_bytes < event.size_bytes:
            act()

    return on_event


def is_closed(sandbox: Sandbox) -> bool:
    """Say whether the upload that was begun has been given up at the registry, and none is left open."""
    return sandbox.traffic.count(method="DELETE", path_pattern="/uploads/.") == 1 and sandbox.store.uploads() == ()
