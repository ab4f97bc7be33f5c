"""What one registry has shown to be able to do, shared by all of a run's repositories on it.

Starts from the provider's facts and learns from answers: an upload form that is refused is not tried again.
"""

from __future__ import annotations

from oci_push.errors import RegistryError
from oci_push.model.reference import Repository
from oci_push.protocol.blobs import Form

_FIRST_CHUNK = 64 * 1024 * 1024
_LEAST_CHUNK = 256 * 1024


class Abilities:
    """Hold the current knowledge; plain attributes, since a race only costs one request."""

    def __init__(
        self,
        *,
        form: Form = Form.PUT,
        multi_tag: bool = True,
        anonymous_mount: bool = False,
        chunk_bytes: int = 0,
        chunk_min_bytes: int = 0,
    ) -> None:
        self.form = form
        self.multi_tag = multi_tag
        self.anonymous_mount = anonymous_mount
        self.chunk_bytes = chunk_bytes or _FIRST_CHUNK
        self._least = max(_LEAST_CHUNK, chunk_min_bytes)
        self.denied_sources: set[Repository] = set()
        self._refused: set[Form] = set()

    def adapt(self, tried: Form, error: RegistryError, size: int) -> bool:
        """Choose another way after a refusal; say whether sending the blob again makes sense.

        413 means smaller pieces; 404, 405 and 415 on a form mean another form (GAR knows no PATCH, old
        Artifactory no PUT). A wrong digest or a denied login is no matter of form.
        """
        if error.status == 413:
            if tried is not Form.CHUNKS:
                self.form = Form.CHUNKS
                self.chunk_bytes = min(self.chunk_bytes, max(self._least, size // 2))
                return Form.CHUNKS not in self._refused
            if self.chunk_bytes <= self._least:
                return False
            self.chunk_bytes = max(self._least, self.chunk_bytes // 2)
            return True
        if error.status in (405, 415, 416, 501) or "UNSUPPORTED" in error.codes:
            self._refused.add(tried)
            left = [form for form in (Form.PUT, Form.STREAM, Form.CHUNKS) if form not in self._refused]
            if left:
                self.form = left[0]
                return True
        return False
