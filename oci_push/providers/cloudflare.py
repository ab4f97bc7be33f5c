"""Cloudflare's registry in a Worker (``serverless-registry``): pieces of 5 MiB at least and 100 MB a request at most.

Source: cloudflare/serverless-registry, ``src/registry/r2.ts`` and its README; it announces the largest piece in
``OCI-Chunk-Max-Length``, which is not in the specification. Hosts are people's own; those below ``workers.dev`` can be
told.
"""

from __future__ import annotations

from oci_push.providers.base import MIB, Family, Quirks

PROVIDER = Family(
    "cloudflare",
    Quirks(multi_tag=False, chunk_bytes=50 * MIB, chunk_min_bytes=5 * MIB, chunk_max_bytes=100_000_000),
    (".workers.dev",),
)
