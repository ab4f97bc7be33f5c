"""Amazon ECR Public, ``public.ecr.aws``: pieces as in private ECR; mounts are reported to fail.

Source of the latter: aws/containers-roadmap issue 1459.
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family(
    "ecr-public",
    Quirks(multi_tag=False, mounts=False, chunk_bytes=10 * 1024 * 1024, chunk_min_bytes=5 * 1024 * 1024),
    ("public.ecr.aws",),
)
