"""A registry source that ``registries.conf`` says to read from other places: the first that has the image serves it.

As with podman, the place is chosen once, with the root, and all else is read there; what comes is checked by digest
like anything that is read from a registry. A tag is what that place says it is, and that is told.
"""

from __future__ import annotations

from oci_push.errors import NetworkError, OciPushError
from oci_push.events import LogMessage
from oci_push.model.descriptor import Descriptor
from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.manifest import Manifest
from oci_push.model.platform import Platform
from oci_push.model.reference import Reference, Repository
from oci_push.protocol.call import Body
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.sources.base import ImageReader
from oci_push.sources.remote import RemoteSource
from oci_push.sources.settings import Opening


class MirroredSource(ImageReader):
    """One image, read from the first of several places that gives its root; `reference` is what was asked for."""

    def __init__(self, reference: Reference, opening: Opening) -> None:
        super().__init__(str(reference), opening.spool)
        self._reference = reference
        self._opening = opening
        self._chosen: SingleFlight[str, RemoteSource] = SingleFlight()

    @property
    def origin(self) -> tuple[RegistryEndpoint, Repository] | None:
        """Blobs can be mounted from the place that was chosen, on the same registry."""
        chosen = self._chosen.peek("")
        return chosen.origin if chosen is not None else None

    def root(self, context: Context, platform: Platform | None = None) -> Descriptor:
        """Fetch what the reference points at, from the first place that has it."""
        return self._at(context).root(context, platform)

    def manifest(self, context: Context, descriptor: Descriptor) -> Manifest:
        """Fetch a manifest by digest."""
        return self._at(context).manifest(context, descriptor)

    def blob(self, context: Context, descriptor: Descriptor) -> Body:
        """Return a body that is downloaded from the same place."""
        return self._at(context).blob(context, descriptor)

    def _at(self, context: Context) -> RemoteSource:
        return self._chosen.get("", lambda: self._choose(context))

    def _choose(self, context: Context) -> RemoteSource:
        opening, places = self._opening, self._opening.places
        for number, place in enumerate(places, 1):
            is_last = number == len(places)
            client = place.connect()
            if not is_last and client.session.endpoint in opening.settings.silent:
                continue
            try:
                # A mirror that is away is not waited for: there is another place.
                source = RemoteSource(
                    client,
                    place.reference,
                    opening.spool,
                    keep=opening.keeps,
                    known=opening.settings.known,
                    is_tried_once=not is_last,
                )
                root = source.root(context)
            except OciPushError as error:
                context.check()
                if is_last:
                    raise
                if isinstance(error, NetworkError):  # the next image of this run does not wait for it again
                    opening.settings.silent.add(client.session.endpoint)
                if places[number].reference != place.reference:  # else it is tried once more, without TLS
                    text = f"{self.name} is not read from {place.reference.repository.host}: {error}"
                    opening.emit(LogMessage(text, "warning"))
                continue
            if place.is_mirror or place.reference != self._reference:
                word = "the mirror " if place.is_mirror else ""
                said = "" if self._reference.digest else f"; there the tag is {root.digest}"
                opening.emit(LogMessage(f"{self.name} is read from {word}{place.reference}{said}"))
            return source
        raise ValueError("there is no place to read from")
