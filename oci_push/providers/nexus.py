"""Sonatype Nexus: hosts that carry ``nexus`` in their name.

A repository has a port or sub-domain of its own, or since 3.83 stands first in the image's name. Bearer tokens are
offered only with the "Docker Bearer Token Realm" switched on, else Basic (Nexus documentation, "Docker Registry").
A repository that does not allow redeploying answers 400, one that is read-only ``UNSUPPORTED``.
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family(
    "nexus",
    Quirks(
        multi_tag=False,
        hints={
            400: "a repository whose deployment policy is read-only or without redeploy takes no tag twice",
            401: "is the Docker Bearer Token Realm active (Security, Realms), and is this a hosted repository's port?",
            403: "the user needs nx-repository-view-docker-NAME-edit; push to a hosted repository, not to a group",
        },
    ),
    (),
    labels=("nexus",),
)
