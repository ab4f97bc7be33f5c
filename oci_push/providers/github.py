"""GitHub's ghcr.io: a ranged PATCH over 4 MiB is answered 416, so pieces, where needed, stay below.

Several ranged pieces are reported to lose data there, so they are the last way, after one PUT and one stream
(notes of bazel-contrib/rules_img). A layer may have 10 GB and take 10 minutes (GitHub documentation, "Working with the
Container registry"); the user name beside a token is not looked at.
"""

from __future__ import annotations

from oci_push.providers.base import MIB, Family, Quirks

_PIECE_BYTES = 4 * MIB - 4096

PROVIDER = Family(
    "github",
    Quirks(
        multi_tag=False,
        pieces=False,
        chunk_bytes=_PIECE_BYTES,
        chunk_max_bytes=_PIECE_BYTES,
        filler_user="token",
        hints={
            403: "the token needs write:packages, as a classic token or a workflow's GITHUB_TOKEN, and the package must"
            " allow the repository it comes from",
            413: "ghcr.io takes layers of 10 GB at most, each within 10 minutes",
        },
    ),
    ("ghcr.io",),
)
