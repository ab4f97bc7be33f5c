"""Mirantis Secure Registry, once Docker Trusted Registry: hosts that carry ``dtr`` or ``msr`` in their name.

Distribution behind Mirantis' own login: a user name with a password or an access token (Mirantis documentation,
"Access tokens"). A repository must exist, unless the registry is set to create one on push.
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family(
    "dtr",
    Quirks(
        multi_tag=False,
        hints={
            401: "does the repository exist? it is not created by a push unless the registry is set so",
            403: "the user needs read-write access to the repository; a tag may also be immutable",
        },
    ),
    (),
    labels=("dtr", "msr"),
)
