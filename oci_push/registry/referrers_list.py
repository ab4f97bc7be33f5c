"""The list of referrers under a subject's tag, kept by us where the registry keeps none, and by others at once.

Reading, changing and writing it is no transaction: who read before we wrote, and writes after us, overwrites us. So
what was written is read back, later and once more later, and merged and written again, with waits of random length, for
as long as it is found missing. Registries do not honour If-Match on a tag, so it is not sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from oci_push.errors import ProtocolViolationError
from oci_push.events import Emit
from oci_push.model.manifest import Manifest
from oci_push.model.reference import Repository
from oci_push.protocol import referrers
from oci_push.registry.manifest_push import ManifestPush
from oci_push.runtime.context import Context
from oci_push.runtime.retry import RetryPolicy
from oci_push.transport.session import Session

_TRIES = 12
_LOOKS = 2
_LEAST_WAIT_S, _MOST_WAIT_S = 0.2, 2.0
_SLOWER = 3.0
"""Another writer may need this many times as long as we did from its reading to its writing."""


class ReferrersList:
    """Keep lists on one registry; shared by all threads of a run, which take turns."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def add(
        self,
        context: Context,
        session: Session,
        repository: Repository,
        manifest: Manifest,
        *,
        policy: RetryPolicy,
        random: Callable[[], float],
        emit: Emit,
    ) -> None:
        """See that `manifest` is found from its subject, where the answer to its PUT had no ``OCI-Subject``."""
        subject = manifest.subject
        if subject is None or session.run(context, referrers.has_api(repository, subject.digest)):
            return
        tag = referrers.fallback_tag(subject.digest)
        seen = 0
        wait_s = _LEAST_WAIT_S
        for number in range(_TRIES):
            with self._mine(context):
                began = context.clock.monotonic()
                found = session.run(context, referrers.listed(repository, subject.digest))
                children = found.children if found else ()
                if any(one.digest == manifest.digest for one in children):
                    seen += 1
                    if seen >= _LOOKS or not number:  # it was there before we came, and is nobody's business now
                        return
                else:
                    seen = 0
                    wanted = referrers.with_entry(found, manifest)
                    before = found.digest if found else None
                    pushing = ManifestPush(session, repository, wanted, tag, before=before, emit=emit)
                    try:
                        pushing.run(context, policy, random)
                    except ProtocolViolationError as error:
                        if not error.in_doubt:
                            raise
                took = context.clock.monotonic() - began
            wait_s = min(max(wait_s, took * _SLOWER), _MOST_WAIT_S)
            context.sleep(wait_s * (0.5 + random()))
        raise ProtocolViolationError(
            f"{repository}:{tag}: the list of referrers loses {manifest.digest} each time it is written",
            hint="somebody else writes the same list all the time; push again",
        )

    @contextmanager
    def _mine(self, context: Context) -> Iterator[None]:
        while not self._turn.acquire(timeout=0.25):
            context.check()
        try:
            yield
        finally:
            self._turn.release()
