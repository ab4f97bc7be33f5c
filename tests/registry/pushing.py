"""Push a small layout to a sandbox registry through the library, with nothing from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from images import Layout

from oci_push.engine.push import PushResult
from oci_push.events import Event
from oci_push.model.access import Login
from oci_push.model.reference import Destination
from oci_push.model.secret import Secret
from oci_push.runner.pusher import Options, Pusher, Surroundings
from oci_push.runtime.clock import Clock, SystemClock
from oci_push.runtime.retry import RetryPolicy
from oci_push.runtime.scope import Scope
from oci_push.sandbox.server import Sandbox
from oci_push.transport.session import TransportSettings

LOGIN = Login("sandbox", Secret("sandbox"), source="test")
QUICK = RetryPolicy(attempts=3, base_s=0.001, cap_s=0.002)


@dataclass
class Pushing:
    """Hold what a push needs, and the events it gave; with a `home` it remembers."""

    clock: Clock = field(default_factory=SystemClock)
    login: Login | None = None
    events: list[Event] = field(default_factory=list)
    stall_s: float = 5.0
    at_once: int = 4
    home: Path | None = None
    retry: RetryPolicy = QUICK
    limit_bytes_per_s: float = 0.0

    def push(self, source: Layout | str, *destinations: str) -> tuple[PushResult, ...]:
        """Push a layout, or what a reference names, to ``address/repository:tags``."""
        text = source if isinstance(source, str) else f"oci:{source.path}"
        return self.push_to(text, [Destination.parse(one) for one in destinations])

    def push_to(
        self, text: str, destinations: Sequence[Destination], scope: Scope | None = None
    ) -> tuple[PushResult, ...]:
        """Push with destinations taken apart already, and in a scope that may be cancelled."""
        scope = scope or Scope(self.clock, what="test")
        options = Options(
            login=self.login,
            remember=self.home is not None,
            blob_retry=self.retry,
            transport=TransportSettings(
                call_retry=self.retry,
                stall_s=self.stall_s,
                near_requests=self.at_once,
                far_requests=self.at_once,
                limit_bytes_per_s=self.limit_bytes_per_s,
            ),
        )
        around = Surroundings({}, self.home or Path("/nonexistent"), 0, lambda: 0.5)
        with contextlib.closing(Pusher(scope, options, around, self.events.append)) as pusher:
            targets = pusher.targets(destinations)
            with pusher.open(text, scope, targets=len(targets)) as source:
                return pusher.execute(pusher.plan(source, targets, scope), source, scope)


def is_whole(sandbox: Sandbox, repository: str, tag: str, layout: Layout) -> bool:
    """Say whether a tag points at the layout's image and every blob of it is there."""
    from oci_push.model.digest import Digest

    raw = sandbox.store.manifest(repository, tag)
    if raw is None or str(Digest.of(raw)) != layout.digest:
        return False
    return all(sandbox.store.blob_exists(repository, Digest.parse(blob)) for blob in layout.blobs)
