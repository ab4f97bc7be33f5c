"""What one registry has shown to be able to do, shared by all of a run's repositories on it.

Starts from its family's capabilities, then from what earlier runs and the doctor have learnt, and learns from answers:
what is refused is not tried again. Each may be outdated, so using one that is wrong costs a request and never the push.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from oci_push.errors import RegistryError
from oci_push.model.reference import Repository
from oci_push.protocol.uploads import UploadMethod, UploadSession
from oci_push.providers.base import MIB, Capabilities
from oci_push.transport.limits import Rate

WHOLE_BYTES = 16 * MIB
"""Up to this size a blob goes in one request: sending it again costs less than asking how far it got. So does a last
chunk, in the request that closes the upload, and saves a round trip."""
PROBE_BYTES = 16 * 1024
"""A blob of at most this size is worth losing to learn whether the registry takes blobs in one request."""
SINGLE_BYTES = MIB
CHUNK_S = 7.5
"""How long a chunk should take: what a break costs at most, and what a round trip between two is spread over. A blob
that takes no longer needs none: its upload is closed with it."""

_LEAST_CHUNK = 8 * MIB
_MOST_CHUNK = 512 * MIB
_GROWTH = 8
_LEAST_AFTER_413 = 256 * 1024
_METHOD_REFUSED = frozenset({400, 404, 405, 415, 416, 422, 501})
_REMEMBERED_AS = {
    "upload": "form",
    "chunks": "pieces",
    "chunk_min_bytes": "chunk_min_bytes",
    "chunk_max_bytes": "piece_limit",
    "resumes": "resuming",
    "single_post": "single_post",
    "mounts": "mount",
    "anonymous_mount": "anonymous_mount",
    "multi_tag": "multi_tag",
}
"""The name under which each capability is kept between runs; the doctor uses the same names."""
_METHODS = {method.value: method for method in UploadMethod}
_ANSWERS = {"yes": True, "no": False}


def recall(family: Capabilities, find: Callable[[str], str | None]) -> Capabilities:
    """Return a family's capabilities with what `find` remembers put in; what makes no sense is passed over."""
    learnt: dict[str, object] = {}
    for field, name in _REMEMBERED_AS.items():
        text = find(name) or ""
        if isinstance(getattr(family, field), bool):
            value: object = _ANSWERS.get(text)
        elif field == "upload":
            value = _METHODS.get(text)
        else:
            value = int(text) if text.isascii() and text.isdigit() else None
        if value is not None:
            learnt[field] = value
    # Chunks that are taken one after the other, which is what the doctor tries, say nothing of going on after a break.
    learnt["chunks"] = family.chunks and learnt.get("chunks", True)
    return replace(family, **learnt)


class LearntCapabilities:
    """What is known of a registry now; plain attributes, since a race only costs one request.

    `find` and `note` reach what is kept between runs, by name; `lasts` says that what is noted will be found again.
    Without `mount` the user wants no mounts; `chunk_bytes` is the most that the user wants in one request, if not 0.
    """

    def __init__(
        self,
        family: Capabilities,
        *,
        find: Callable[[str], str | None],
        note: Callable[[str, str], None],
        lasts: bool,
        mount: bool = True,
        chunk_bytes: int = 0,
    ) -> None:
        self._own_chunk_bytes = chunk_bytes
        self.known = recall(family, find)
        if not mount:
            self.known = replace(self.known, mounts=False, anonymous_mount=False)
        self._single_bytes = -1
        if self.known.single_post and find(_REMEMBERED_AS["single_post"]):
            self._single_bytes = SINGLE_BYTES
        elif self.known.single_post and lasts:
            self._single_bytes = PROBE_BYTES
        self._note = note
        self.manifest_rate = Rate(family.manifests_per_s) if family.manifests_per_s else None
        self.denied_sources: set[Repository] = set()
        self._bytes_per_s = 0.0
        self._refused: set[UploadMethod] = set()

    def learn(self, field: str, value: bool | int) -> None:
        """Note what an answer has shown of one capability, for this run and for later ones; once is enough."""
        if getattr(self.known, field) != value:
            self.known = replace(self.known, **{field: value})
            self._note(_REMEMBERED_AS[field], _text(value))

    def learn_single_post(self, *, works: bool) -> None:
        """Note whether a blob was taken in the request that opens its upload, which was only worth a try before."""
        self._single_bytes = SINGLE_BYTES if works else -1
        self._note(_REMEMBERED_AS["single_post"], _text(works))

    def takes_in_one_request(self, size: int) -> bool:
        """Return whether a blob should be sent in the request that opens its upload."""
        return size <= min(self._single_bytes, self._own_chunk_bytes or self._single_bytes)

    def method_for(self, size: int, upload: UploadSession) -> UploadMethod:
        """Choose how a blob of this size travels."""
        most = self._most(upload)
        must_split = (most and size > most) or (self.known.chunks and size > WHOLE_BYTES)
        return UploadMethod.CHUNKED if must_split and UploadMethod.CHUNKED not in self._refused else self.known.upload

    def chunk_bytes(self, upload: UploadSession) -> int:
        """Choose the size of the next chunk: as much as leaves in `CHUNK_S`, within what the registry takes."""
        wanted = int(min(max(self._bytes_per_s * CHUNK_S, _LEAST_CHUNK), _MOST_CHUNK)) if self._bytes_per_s else 0
        size = max(wanted or self.known.chunk_bytes, self._own(upload), upload.chunk_min, self.known.chunk_min_bytes)
        return min(size, self._most(upload) or size)

    def closing_bytes(self, size: int, upload: UploadSession) -> int:
        """Return how many of a blob's last bytes may travel in the request that closes its upload.

        Where that breaks, the session may be gone with all that it held: so only a few, unless the blob of `size` bytes
        can be sent again in `CHUNK_S`. Each chunk before them costs a round trip in which nothing is sent.
        """
        chunk = self.chunk_bytes(upload)
        return chunk if self._bytes_per_s and size <= chunk else min(chunk, WHOLE_BYTES)

    def measure(self, size: int, seconds: float) -> float:
        """Note how long a chunk took; return the speed in bytes a second. Growth is bounded: one chunk may be luck."""
        speed = size / max(seconds, 0.001)
        self._bytes_per_s = min(speed, _GROWTH * max(size, _LEAST_CHUNK) / CHUNK_S)
        return speed

    def refuses_size(self, tried: UploadMethod, size: int, upload: UploadSession) -> bool:
        """Learn from a 413 for a body of this size; return whether smaller ones are left to try."""
        least = max(_LEAST_AFTER_413, self.known.chunk_min_bytes, upload.chunk_min)
        if UploadMethod.CHUNKED in self._refused or (size <= least and tried is UploadMethod.CHUNKED):
            return False
        if size <= least:
            # Too small to be too large: worth one more try, and not worth remembering.
            self.known = replace(self.known, upload=UploadMethod.CHUNKED)
            return True
        # From a whole blob the first step leads to our own first chunk at most: halving gigabytes takes long.
        half = max(least, size // 2)
        self.learn("chunk_max_bytes", half if tried is UploadMethod.CHUNKED else min(half, self.known.chunk_bytes))
        return True

    def refuses_method(self, tried: UploadMethod, error: RegistryError) -> bool:
        """Learn from the refusal of an upload's first bytes; return whether another method is left to try."""
        if error.status not in _METHOD_REFUSED and "UNSUPPORTED" not in error.codes:
            return False
        self._refused.add(tried)
        if tried is UploadMethod.CHUNKED:
            self.learn("chunks", False)
        left = [method for method in (self.known.upload, *UploadMethod) if method not in self._refused]
        if left:
            self.known = replace(self.known, upload=left[0])
        return bool(left)

    def _most(self, upload: UploadSession) -> int:
        limits = (upload.chunk_max, self.known.chunk_max_bytes, self._own(upload))
        return min((limit for limit in limits if limit), default=0)

    def _own(self, upload: UploadSession) -> int:
        """Return the user's size of a chunk, or the least that the registry takes (`OCI-Chunk-Min-Length`); 0: none."""
        own = self._own_chunk_bytes
        return max(own, upload.chunk_min, self.known.chunk_min_bytes) if own else 0


def _text(value: bool | int) -> str:
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"
