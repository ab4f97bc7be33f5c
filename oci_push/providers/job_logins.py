"""Logins that a CI gives each job for its own registry, used where nobody gave another.

* GitHub documentation, "Working with the Container registry": a workflow's ``GITHUB_TOKEN`` as password for ghcr.io. It
  has to be put into the environment (``env: GITHUB_TOKEN: ${{ github.token }}``). Only github.com's: Forgejo, Gitea and
  GitHub Enterprise Server set the same variables, with a token that is theirs.
* GitLab documentation, "Authenticate with the container registry": ``CI_REGISTRY`` and the job's user and password;
  "Predefined CI/CD variables": ``CI_REGISTRY_PASSWORD`` is the job's token, ``CI_REGISTRY_IMAGE`` the project's images.
"""

from __future__ import annotations

from collections.abc import Mapping

from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.protocol.credentials import basic_password, basic_user

_GITHUB, _GHCR = "https://github.com", "ghcr.io"


def find_job_login(endpoint: RegistryEndpoint, env: Mapping[str, str]) -> Credential | None:
    """Return the job's login for a registry, if this is its own; nobody chose it, so it goes by checked TLS only."""
    if endpoint.scheme != "https" or endpoint.tls.skip_verify or endpoint.address:
        return None
    host = endpoint.host.lower().removesuffix(":443")
    return next((login for at, login in job_logins(env) if at == host), None)


def job_logins(env: Mapping[str, str]) -> tuple[tuple[str, Credential], ...]:
    """Return the registries that this job has a login for, with it."""
    found: list[tuple[str, Credential | None]] = []
    if env.get("GITHUB_ACTIONS") == "true" and env.get("GITHUB_SERVER_URL", "").rstrip("/").lower() == _GITHUB:
        user = env.get("GITHUB_ACTOR") or "token"
        found.append((_GHCR, _login(user, env, "GITHUB_TOKEN", "GITHUB_TOKEN of the GitHub Actions job")))
    if env.get("GITLAB_CI") and (host := env.get("CI_REGISTRY", "").lower().removesuffix(":443")):
        user = env.get("CI_REGISTRY_USER") or "gitlab-ci-token"
        name = "CI_REGISTRY_PASSWORD" if env.get("CI_REGISTRY_PASSWORD") else "CI_JOB_TOKEN"
        # The variable is often set to another registry; the job's token is for GitLab's alone, where the project's is.
        is_own = env.get("CI_REGISTRY_IMAGE", "").lower().replace(":443/", "/", 1).startswith(f"{host}/")
        if is_own or env.get(name) != env.get("CI_JOB_TOKEN"):
            found.append((host, _login(user, env, name, f"{name} of the GitLab CI job")))
    return tuple((host, login) for host, login in found if login is not None)


def _login(user: str, env: Mapping[str, str], name: str, source: str) -> Credential | None:
    if not env.get(name):
        return None
    try:
        return Credential(basic_user(user, source), basic_password(env[name], source), source=source)
    except CredentialsError:
        return None  # nobody asked for it
