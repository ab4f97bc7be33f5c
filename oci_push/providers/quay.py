"""Quay: quay.io, and others that carry ``quay`` in their name.

A mount without ``from`` gains nothing there (it answers 202 like a plain POST), and a token request whose scope has
``delete`` fails as a whole (quay ``endpoints/v2/v2auth.py``). Ranges begin with ``bytes=0--1``. A robot's name is
``organisation+name``; an OAuth token goes with user ``$oauthtoken`` (Quay documentation, "Robot accounts", "OAuth").
An organisation over its quota is 403, a registry in read-only mode 405.
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family(
    "quay",
    Quirks(
        multi_tag=False,
        delete_scope=False,
        filler_user="$oauthtoken",
        hints={
            401: "does the repository exist, or may this robot create it? its name is organisation+robot",
            403: "the organisation's quota may be used up, or the robot needs Write on the repository",
            405: "this Quay is in read-only mode",
        },
    ),
    ("quay.io",),
    labels=("quay",),
)
