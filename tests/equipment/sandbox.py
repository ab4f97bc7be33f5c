"""The sandbox of tests: the rehearsal registry with a log of its traffic, a script of faults, and `options`."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from equipment.auth import Gate
from equipment.connection import FaultyListener, FaultyService
from equipment.endpoints import OptionalRouter
from equipment.faults import FaultScript
from equipment.options import SandboxOptions
from equipment.traffic import Traffic
from oci_push.runtime.clock import Clock, SystemClock
from oci_push.sandbox.server import RehearsalRegistry
from oci_push.sandbox.store import Store
from oci_push.sandbox.uploads import Uploads


class Sandbox(RehearsalRegistry):
    """Serve a registry that differs from the rehearsal's as `options` say and breaks as `faults` say.

    `clock` decides when tokens expire.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        port: int = 0,
        options: SandboxOptions | None = None,
        clock: Clock | None = None,
        faults: FaultScript | None = None,
    ) -> None:
        super().__init__(root, port=port)
        self.options = options or SandboxOptions()
        self.faults = faults or FaultScript()
        self.traffic = Traffic()
        self._clock = clock or SystemClock()

    @property
    def url(self) -> str:
        """Return the address with its scheme, without a slash at the end."""
        return f"{'https' if self.options.ssl_context else 'http'}://{self.address}"

    def listen(self, store: Store, uploads: Uploads, port: int, broken: Callable[[Exception], None]) -> FaultyListener:
        """Return what accepts connections that faults may meet."""
        gate = Gate(self.options, self._clock, secrets.token_bytes(32), self.traffic)
        router = OptionalRouter(store, uploads, self.options, gate)
        scheme = "https" if self.options.ssl_context else "http"
        service = FaultyService(
            router.answer, threading.Event(), broken, scheme, traffic=self.traffic, script=self.faults
        )
        return FaultyListener(port, service, self.options.ssl_context)
