"""JFrog Artifactory (``jfrog.io``, or ``artifactory`` in the name), and Bintray, whose hosts it followed.

A repository is a sub-domain, a port, or the first part of the image's name. Mounts answer 202: blobs are shared by
checksum once a manifest refers to them, so a mount only costs a question. Old versions want a body by PATCH (issue
RTFACT-19344), which the fall-back from PUT finds out. Logins: a user with an access or identity token (JFrog
documentation, "Docker Registry"). Writing over a tag needs the permission to delete.
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family(
    "artifactory",
    Quirks(
        multi_tag=False,
        mounts=False,
        hints={
            403: "the user needs Deploy on the repository, and Delete to write over a tag",
            404: "the repository's key is a sub-domain, a port or the first part of the image's name, by its settings",
        },
    ),
    (".jfrog.io", ".bintray.io"),
    labels=("artifactory",),
)
