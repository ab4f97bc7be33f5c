"""Azure Container Registry. Its front end takes pieces of 4 MiB at least (the Azure SDK's size); larger is fine."""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family(
    "azure", Quirks(multi_tag=False, chunk_bytes=16 * 1024 * 1024), (".azurecr.io", ".azurecr.cn", ".azurecr.us")
)
