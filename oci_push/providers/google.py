"""Google Artifact Registry and Container Registry.

Uploads are monolithic only: PATCH with Content-Range is refused (Artifact Registry documentation, "Docker").
"""

from __future__ import annotations

from oci_push.providers.base import PUT, Family, Quirks

PROVIDER = Family("google", Quirks(upload=PUT, multi_tag=False), (".pkg.dev", ".gcr.io", "gcr.io"))
