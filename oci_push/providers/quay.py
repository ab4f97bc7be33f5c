"""quay.io: a mount without ``from`` gains nothing there, and a scope with ``delete`` fails the whole request."""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family("quay", Quirks(multi_tag=False), ("quay.io",))
