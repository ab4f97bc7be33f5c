"""zot: hosts that carry ``zot`` in their name. It follows the newest specification.

Since 2.1.16 it takes many tags in one PUT, and it finds a blob in any repository that the user may read, ``from`` or
not (project-zot/zot ``pkg/api/routes.go``).
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family("zot", Quirks(anonymous_mount=True), (), labels=("zot",))
