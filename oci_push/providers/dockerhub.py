"""Docker Hub's OIDC connections: the job's ID token becomes a login of an organisation for some minutes.

Source: docker/login-action 4.5.0, ``src/dockerhub.ts``, and its README, "Docker Hub". Docker documents it for GitHub
Actions; whose tokens a connection takes is Docker's to decide. The host ``dhi.io`` is not covered here.
"""

from __future__ import annotations

import re
from functools import partial

from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import CloudIdentity
from oci_push.protocol.credentials import basic_user
from oci_push.providers.base import Cloud, CloudServices, IdToken
from oci_push.providers.job_tokens import EXCHANGE_GRANT, ID_TOKEN_TYPE, exchanging
from oci_push.providers.tokenfetch import TokenClient, token_in
from oci_push.secret import Secret
from oci_push.transport.credentials import Lease

AUDIENCE = "https://identity.docker.com"
TOKEN_URL = f"{AUDIENCE}/oauth/token"
LIFE_S = 900
"""How long a login is asked for: 300 to 21600 seconds are allowed, and it is renewed as long as a run lasts."""

_CONNECTION = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_HINT = (
    "does the connection's ruleset take this subject? connections are for organisations with Docker Team or Business,"
    " Hardened Images or sponsored open source"
)


class DockerHubIdentity(CloudIdentity, frozen=True):
    """A job that logs in as the organisation `username` by one of its connections."""

    username: str = ""
    connection_id: str = ""

    def __str__(self) -> str:
        """Return the organisation."""
        return f"organisation {self.username} for the job's ID token"

    def problems(self) -> tuple[str, ...]:
        """Return what is missing, or no connection's id."""
        found = []
        if not re.fullmatch(_CONNECTION, self.connection_id):
            found.append(
                f"connection_id {self.connection_id!r} is not the UUID of one of the organisation's connections"
            )
        if not self.username:
            found.append("username must be the name of the organisation")
        return tuple(found)


IDENTITY: type[CloudIdentity] = DockerHubIdentity


def cloud_services(endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
    """Return where logins come from; ``None`` where the access names no connection."""
    identity = endpoint.identity
    if not isinstance(identity, DockerHubIdentity):
        return None
    return exchanging(cloud, identity.oidc, AUDIENCE, partial(_lease, identity))


def _lease(identity: DockerHubIdentity, job: IdToken, tokens: TokenClient) -> Lease:
    what = f"Docker Hub's login by connection {identity.connection_id}"
    form: dict[str, str | Secret] = {
        "grant_type": EXCHANGE_GRANT,
        "subject_token_type": ID_TOKEN_TYPE,
        "subject_token": job.token,
        "connection_id": identity.connection_id,
        "expires_in": str(LIFE_S),
    }
    answer = tokens.post_form(TOKEN_URL, form, what, _HINT, is_public=True)
    user = basic_user(identity.username, "username")
    source = f"connection {identity.connection_id}, for the ID token of {job.source}"
    return Lease(Credential(user, token_in(answer, "access_token", what), source=source), LIFE_S)
