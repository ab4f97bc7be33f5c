"""DigitalOcean: ``registry.digitalocean.com/REGISTRY/…``, distribution with one registry for each account or plan.

An API token is both user name and password (DigitalOcean documentation, "Use Docker to manage images"), and so is
what ``doctl registry docker-config`` writes.
"""

from __future__ import annotations

from oci_push.providers.base import SELF, Family, Quirks

PROVIDER = Family(
    "digitalocean",
    Quirks(
        multi_tag=False,
        filler_user=SELF,
        hints={
            401: "the API token needs write access to registries; it is both the user name and the password",
            403: "the first part of the image's name is the registry's own name, and its plan may be full",
        },
    ),
    ("registry.digitalocean.com",),
)
