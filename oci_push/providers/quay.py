"""quay.io: a mount without ``from`` gains nothing there (it answers 202 like a plain POST), and a token request
whose scope has ``delete`` fails as a whole (quay ``endpoints/v2/v2auth.py``).
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family("quay", Quirks(multi_tag=False, delete_scope=False), ("quay.io",))
