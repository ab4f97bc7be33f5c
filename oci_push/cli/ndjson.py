"""Events for programs: a JSON object on each line of stderr, in the form that ``oci-push schema events`` describes."""

from __future__ import annotations

import threading

from oci_push import events
from oci_push.cli.output import tell_event
from oci_push.cli.tally import Tally, unwrapped
from oci_push.events import Event
from oci_push.runtime.clock import Clock

_OFTEN_S = 1.0
"""How often one blob or layer tells how far it is."""


class JsonLines:
    """Write each event, of those that come often one a second for each thing; they are counted in `tally` too."""

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally = tally
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[object, float] = {}

    def __call__(self, event: Event) -> None:
        """Write an event, or nothing."""
        steps, inner = unwrapped(event)
        now = self._clock.monotonic()
        self._tally.add(inner, steps[-1] if steps else "", now)
        if isinstance(inner, events.BlobProgress | events.LayerReading | events.SaveProgress):
            thing: object = inner.diff_id if isinstance(inner, events.LayerReading) else inner.digest
            if isinstance(inner, events.BlobProgress):
                thing = (inner.repository, inner.digest)
            with self._lock:
                if now - self._told.get(thing, now - _OFTEN_S) < _OFTEN_S:
                    return
                self._told[thing] = now
        tell_event(event)
