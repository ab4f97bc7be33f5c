"""Harbor: hosts that carry ``harbor`` in their name, and its demonstration site.

It is distribution behind a proxy of its own: a mount without ``from`` is an ordinary upload, ``from`` without ``mount``
400 (goharbor/harbor issue 22078). A tag that may not move is 412 ``PRECONDITION``, a project's policy 412
``PROJECTPOLICYVIOLATION``, a full quota 403 (Harbor ``src/server/middleware``). A robot is ``robot$project+name``;
where people log in by OIDC, the password is their CLI secret (Harbor documentation, "Robot accounts", "OIDC").
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family(
    "harbor",
    Quirks(
        multi_tag=False,
        hints={
            401: "is the project there, and a member's or robot's role Developer at least? a robot's name is"
            " robot$project+name, with a dollar sign that a shell takes for a variable",
            403: "the project's storage quota may be used up, or the robot has no push permission",
            404: "the project, the first part of the image's name, must exist before the push",
            412: "an immutability rule or a policy of the project refuses this",
        },
    ),
    (".goharbor.io",),
    labels=("harbor",),
)
