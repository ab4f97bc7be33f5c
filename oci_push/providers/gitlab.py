"""gitlab.com's registry; self-hosted ones have names of their own and behave as distribution does."""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family("gitlab", Quirks(multi_tag=False), ("registry.gitlab.com",))
