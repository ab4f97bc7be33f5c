"""GitLab's registries: gitlab.com's, and others that carry ``gitlab`` in their name. They behave as distribution does.

Tokens live 5 to 15 minutes. Logins: ``CI_REGISTRY_USER`` and ``CI_REGISTRY_PASSWORD``, ``gitlab-ci-token`` and a job's
token, or a deploy, project, group or personal token with ``read_registry`` and ``write_registry`` (GitLab
documentation, "Authenticate with the container registry"; beside a personal token the user name is not looked at).
"""

from __future__ import annotations

from oci_push.providers.base import Family, Quirks

PROVIDER = Family(
    "gitlab",
    Quirks(
        multi_tag=False,
        filler_user="gitlab-ci-token",
        hints={
            403: "the token needs read_registry and write_registry, its owner the Developer role, and the tag must not"
            " be protected; images lie below the path of an existing project",
        },
    ),
    ("registry.gitlab.com",),
    labels=("gitlab",),
)
