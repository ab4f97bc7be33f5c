"""Images of registries whose entry says ``require``: seen to be signed before anything of them goes anywhere.

The digest that is verified is the one that was read and goes out: a tag is asked for once.
"""

from __future__ import annotations

from collections.abc import Callable

from oci_push.engine.pusher import Pusher
from oci_push.events import LogMessage
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.reference import Reference
from oci_push.runtime.context import Context
from oci_push.sources.base import ImageReader
from oci_push.sources.table import GRAMMAR


def checking(
    context: Context, pusher: Pusher, text: str, given: RegistryEndpoint | None
) -> Callable[[ImageReader], None] | None:
    """Return what sees that a SOURCE is signed as its registry's entry requires; ``None`` where nothing is required.

    `given` is how its registry is reached, as for `Pusher.open`. What is returned raises `UntrustedError`.
    """
    spec = GRAMMAR.parse(text)
    if spec.kind != "registry":
        return None
    repository = Reference.parse(spec.path).repository
    described = pusher.described(repository, given)
    required = described.require if described is not None else None
    if required is None:
        return None

    def check(source: ImageReader) -> None:
        from oci_push.engine.signing.trust import verify  # cryptography takes its time to load

        digest = source.root(context).digest
        # Read from a mirror, it may have its signatures there, or where it was named.
        named = (pusher.endpoint(repository, given), repository)
        places = dict.fromkeys([source.origin or named, named])
        clients = [pusher.clients.repository(*place) for place in places]
        found = verify(context, clients, source.name, digest, required)
        keys = ", ".join(dict.fromkeys(one.key for one in found))
        pusher.tell_once(LogMessage(f"{source.name}: {digest} is signed as required, by {keys}"))

    return check
