"""What one registry has shown to be able to do, shared by all of a run's repositories on it.

Starts from the provider's facts, then from what earlier runs learnt, and learns from answers: what is refused is not
tried again. Every fact may be outdated, so using one that is wrong costs a request and never the push.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from oci_push.errors import RegistryError
from oci_push.model.reference import Repository
from oci_push.protocol.uploads import Upload, UploadMethod
from oci_push.transport.limits import Rate

MIB = 1024 * 1024
WHOLE_BYTES = 16 * MIB
"""Up to this size a blob goes in one request: sending it again costs less than asking how far it got."""
LAST_BYTES = 4 * MIB
"""A last piece of at most this size travels in the request that closes the upload, and saves a round trip."""
PROBE_BYTES = 16 * 1024
"""A blob of at most this size is worth losing to learn whether the registry takes blobs in one request."""
SINGLE_BYTES = MIB
PIECE_S = 7.5
"""How long a piece should take: what a break costs at most, and what a round trip between two is spread over."""

_FIRST_PIECE = 16 * MIB
_LEAST_PIECE = 8 * MIB
_MOST_PIECE = 512 * MIB
_GROWTH = 8
_LEAST_AFTER_413 = 256 * 1024
_LEARNT = ("pieces", "piece_limit", "multi_tag", "anonymous_mount", "single_post", "resuming")
_FORM_REFUSED = frozenset({400, 404, 405, 415, 416, 422, 501})


class Facts(Struct, frozen=True):
    """State what is known of a registry before it is asked anything; sizes in bytes, 0: none.

    `pieces` says that a blob may be sent in pieces and an upload gone on with; `single_post` that a blob in the request
    which opens its upload is worth a try. `manifests_per_s` bounds how many manifests are put, 0: not.
    """

    method: UploadMethod = UploadMethod.PUT
    multi_tag: bool = True
    anonymous_mount: bool = False
    pieces: bool = True
    first_piece: int = 0
    least_piece: int = 0
    most_piece: int = 0
    single_post: bool = False
    manifests_per_s: float = 0.0


class Abilities:
    """The current knowledge; plain attributes, since a race only costs one request.

    `find` and `note` reach what earlier runs learnt, by name; `lasts` says that what is noted will be found again.
    """

    def __init__(
        self, facts: Facts, *, find: Callable[[str], str | None], note: Callable[[str, str], None], lasts: bool
    ) -> None:
        self._note = note
        known = {name: find(name) for name in _LEARNT}
        self.method = facts.method
        self.multi_tag = known["multi_tag"] == "yes" or (facts.multi_tag and known["multi_tag"] != "no")
        self.pieces = facts.pieces and known["pieces"] != "no"
        anywhere = known["anonymous_mount"]
        self.anonymous_mount = anywhere == "yes" or (facts.anonymous_mount and anywhere != "no")
        self._single_post = known["single_post"] or ("ask" if facts.single_post and lasts else "no")
        self.resumes = known["resuming"] == "yes"
        """Whether it is known to keep what came of a body that broke."""
        self._first = facts.first_piece or _FIRST_PIECE
        self._least = facts.least_piece
        limit = known["piece_limit"] or ""
        self._limit = int(limit) if limit.isdigit() else facts.most_piece
        self.manifest_rate = Rate(facts.manifests_per_s) if facts.manifests_per_s else None
        self.denied_sources: set[Repository] = set()
        self._bytes_per_s = 0.0
        self._refused: set[UploadMethod] = set()

    def form_for(self, size: int, upload: Upload) -> UploadMethod:
        """Choose how a blob of this size travels."""
        most = self._most(upload)
        if (most and size > most) or (self.pieces and size > WHOLE_BYTES):
            return UploadMethod.CHUNKS if UploadMethod.CHUNKS not in self._refused else self.method
        return self.method

    def takes_in_one_request(self, size: int) -> bool:
        """Say whether a blob should be sent in the request that opens its upload."""
        return size <= {"yes": SINGLE_BYTES, "ask": PROBE_BYTES}.get(self._single_post, -1)

    def learn_one_request(self, *, works: bool) -> None:
        """Note whether that worked."""
        self._single_post = "yes" if works else "no"
        self._note("single_post", self._single_post)

    def learn_no_multi_tag(self) -> None:
        """Note that several tags in one request are not understood."""
        self.multi_tag = False
        self._note("multi_tag", "no")

    def learn_no_anonymous_mount(self) -> None:
        """Note that a mount without a source is refused."""
        self.anonymous_mount = False
        self._note("anonymous_mount", "no")

    def learn_resuming(self, *, works: bool) -> None:
        """Note whether what came of a body that broke was kept."""
        if self.resumes is not works:
            self.resumes = works
            self._note("resuming", "yes" if works else "no")

    def chunk_bytes(self, upload: Upload) -> int:
        """Choose the size of the next piece: as much as leaves in `PIECE_S`, within what the registry takes."""
        wanted = int(min(max(self._bytes_per_s * PIECE_S, _LEAST_PIECE), _MOST_PIECE)) if self._bytes_per_s else 0
        size = max(wanted or self._first, upload.chunk_min, self._least)
        most = self._most(upload)
        return min(size, most) if most else size

    def measure(self, size: int, seconds: float) -> float:
        """Note how long a piece took; give the speed in bytes a second. Growth is bounded: one piece may be luck."""
        speed = size / max(seconds, 0.001)
        self._bytes_per_s = min(speed, _GROWTH * max(size, _LEAST_PIECE) / PIECE_S)
        return speed

    def refuses_size(self, tried: UploadMethod, size: int, upload: Upload) -> bool:
        """Learn from a 413 for a body of this size; say whether smaller ones are left to try."""
        least = max(_LEAST_AFTER_413, self._least, upload.chunk_min)
        if UploadMethod.CHUNKS in self._refused or (size <= least and tried is UploadMethod.CHUNKS):
            return False
        if size <= least:
            self.method = (
                UploadMethod.CHUNKS
            )  # too small to be too large: worth one more try, and not worth remembering
            return True
        # From a whole blob the first step leads to our own first piece at most: halving gigabytes takes long.
        half = max(least, size // 2)
        self._limit = min(half, self._first) if tried is not UploadMethod.CHUNKS else half
        self._note("piece_limit", str(self._limit))
        return True

    def refuses_form(self, tried: UploadMethod, error: RegistryError) -> bool:
        """Learn from the refusal of an upload's first bytes; say whether another form is left to try."""
        if error.status not in _FORM_REFUSED and "UNSUPPORTED" not in error.codes:
            return False
        self._refused.add(tried)
        if tried is UploadMethod.CHUNKS:
            self.pieces = False
            self._note("pieces", "no")
        left = [
            method
            for method in (self.method, UploadMethod.PUT, UploadMethod.STREAM, UploadMethod.CHUNKS)
            if method not in self._refused
        ]
        if left:
            self.method = left[0]
        return bool(left)

    def _most(self, upload: Upload) -> int:
        return min((limit for limit in (upload.chunk_max, self._limit) if limit), default=0)
