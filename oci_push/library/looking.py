"""What commands and programs share that look at registries: a run's connections, and how to get at images by them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from oci_push.engine.pusher import Options, Pusher
from oci_push.engine.signing.required import checking
from oci_push.events import Emit, ignore
from oci_push.library.calls import OnEvent, S, call, discreet_form, pusher_for
from oci_push.library.naming import repository_of
from oci_push.model.reference import Repository
from oci_push.registry.repository import RepositoryClient
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader
from oci_push.sources.files import SpoolSpace

if TYPE_CHECKING:
    from oci_push.engine.editing.change import Sign


class Looker(Struct, frozen=True):
    """A run's connections, how to get at images and repositories by them, and who is told what happens."""

    pusher: Pusher
    context: Context
    emit: Emit = ignore

    @contextmanager
    def image(
        self, text: str, *, mirrors: bool = False, is_taken: bool = False
    ) -> Iterator[tuple[ImageReader, RepositoryClient | None]]:
        """Open a SOURCE; with the client of its repository where that is in a registry.

        With `mirrors` it may come from where ``registries.conf`` says; who looks at a registry wants that one. What
        `is_taken` from there must be signed as its entry in oci-push.yaml requires, or raises `UntrustedError`.
        """
        check = checking(self.context, self.pusher, text, None) if is_taken else None
        with self.pusher.open(text, self.context, mirrors=mirrors, check=check) as source:
            repository = repository_of(text)
            yield source, self.client(repository) if repository is not None else None

    def client(self, repository: Repository, *, push: bool = False) -> RepositoryClient:
        """Return the client of a repository; with `push` its first token lets us write as well."""
        target = self.pusher.target(repository, ())
        if push:
            self.pusher.clients.want(target.endpoint, push=(target.repository,))
        return self.pusher.clients.repository(target.endpoint, target.repository)

    def signing(self, repository: Repository) -> Sign | None:
        """Return what signs what is stored in a repository, as its entry says; raises `ConfigError` without a key."""
        from oci_push.engine.signing.stored import signing_in  # who only looks signs nothing

        return signing_in(self.pusher, repository)

    @contextmanager
    def spool(self) -> Iterator[SpoolSpace]:
        """Give room for files that cannot be read twice where they are."""
        reading = self.pusher.reading
        with contextlib.closing(SpoolSpace(reading.temp_folder, reading.spool_bytes)) as spool:
            yield spool


def look(
    work: Callable[[Looker], S],
    *,
    what: str,
    options: Options | None,
    on_event: OnEvent | None,
    cancel: threading.Event | None,
    timeout_s: float | None,
) -> S:
    """Do `work` with connections of its own, as `call` does, and return its form without secrets."""

    def looked(context: Context, emit: Emit) -> S:
        with pusher_for(context, options, emit) as pusher:
            return discreet_form(work(Looker(pusher, context, emit)))

    return call(looked, what=what, on_event=on_event, cancel=cancel, timeout_s=timeout_s)
