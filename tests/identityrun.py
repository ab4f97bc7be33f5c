"""A job's identity by itself, with a clock of its own, and what it says."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from sigstoreservers import SigstoreServers

from oci_push.engine.signing.job_identity import JobIdentity
from oci_push.events import Event, LogMessage
from oci_push.model.digest import Digest
from oci_push.model.identity import JobToken
from oci_push.model.trust import Keyless
from oci_push.registry.clients import RegistryClients
from oci_push.runtime.clock import FakeClock
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.signing.statement import SIGNATURE, statement
from oci_push.transport.settings import TransportSettings


class Run:
    """Sign by servers and their configuration, or another one; `events` is what was told."""

    def __init__(
        self, servers: SigstoreServers, folder: Path, config: object = None, clock: FakeClock | None = None
    ) -> None:
        (folder / "trust.json").write_text(json.dumps(config or servers.config()))
        self.clock = clock or FakeClock()
        servers.issuer.now = self.clock.now
        self.context = Context(self.clock)
        (folder / "token").write_text(servers.token(life_s=1e6))
        self.events: list[Event] = []
        retry = RetryPolicy(attempts=1)
        settings = TransportSettings(env={}, call_retry=retry)
        self.clients = RegistryClients(
            self.context, settings, blob_retry=retry, random=lambda: 0.5, emit=self.events.append
        )
        wanted = Keyless(str(folder / "trust.json"), JobToken(file=str(folder / "token")))
        self.job = JobIdentity(wanted, self.clients.cloud())

    def sign(self, text: str) -> bytes:
        """Give the bundle with a signature of something."""
        return self.job.sign(self.context, statement(Digest.of(text.encode()), SIGNATURE, {})).bundle

    def layer(self, payload: bytes) -> Mapping[str, str]:
        """Give the annotations of a layer of cosign's tag with a payload."""
        return self.job.sign(self.context, payload, is_enveloped=False).annotations

    def said(self) -> str:
        """Give what was told for people."""
        return "\n".join(one.text for one in self.events if isinstance(one, LogMessage))


@contextlib.contextmanager
def running(
    servers: SigstoreServers, folder: Path, config: object = None, clock: FakeClock | None = None
) -> Iterator[Run]:
    """Give a run, and close what it has open."""
    found = Run(servers, folder, config, clock)
    try:
        yield found
    finally:
        found.clients.close()
        gc.collect()
