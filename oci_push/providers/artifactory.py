"""JFrog's OIDC integrations: an access token of the platform for the job's ID token.

Source: JFrog REST APIs, "OIDC Token Exchange" (Artifactory 7.73.1, self-hosted 7.77.3), and jfrog/jfrog-client-go
``access/services/accesstoken.go`` and ``auth/tokenutils.go``. The exchange is asked at the registry's own host, so that
must be the platform's (``acme.jfrog.io``), not a repository's sub-domain.
"""

from __future__ import annotations

from functools import partial

from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import CloudIdentity
from oci_push.protocol.claims import read_claims
from oci_push.protocol.credentials import basic_user
from oci_push.providers.base import Cloud, CloudServices, IdToken
from oci_push.providers.job_tokens import EXCHANGE_GRANT, ID_TOKEN_TYPE, exchanging
from oci_push.providers.tokenfetch import TokenClient, seconds_in, token_in
from oci_push.secret import Secret
from oci_push.transport.credentials import Lease

_PATH = "/access/api/v1/oidc/token"
_LIFE_S = 60.0
"""What an identity mapping gives at least, where the answer does not say."""
_HINT = "has the platform an OIDC integration of that name, with an identity mapping that this token's claims fit?"


class ArtifactoryIdentity(CloudIdentity, frozen=True):
    """A job that logs in by the platform's OIDC integration `oidc_provider`; `username` is who the platform says."""

    oidc_provider: str = ""
    username: str = ""

    def __str__(self) -> str:
        """Return the integration."""
        return f"{self.username or f'OIDC integration {self.oidc_provider}'} for the job's ID token"

    def problems(self) -> tuple[str, ...]:
        """Return whether no integration is named."""
        return () if self.oidc_provider else ("oidc_provider must be the name of the platform's OIDC integration",)


IDENTITY: type[CloudIdentity] = ArtifactoryIdentity


def cloud_services(endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
    """Return where logins come from; ``None`` where the access names no integration."""
    identity = endpoint.identity
    if not isinstance(identity, ArtifactoryIdentity):
        return None
    return exchanging(cloud, identity.oidc, f"https://{endpoint.host}", partial(_lease, identity, endpoint))


def _lease(identity: ArtifactoryIdentity, endpoint: RegistryEndpoint, job: IdToken, tokens: TokenClient) -> Lease:
    what = f"{endpoint.host}: access token by OIDC integration {identity.oidc_provider}"
    value = {
        "grant_type": EXCHANGE_GRANT,
        "subject_token_type": ID_TOKEN_TYPE,
        "subject_token": job.token,
        "provider_name": identity.oidc_provider,
    }
    url = f"{endpoint.scheme}://{endpoint.host}{_PATH}"
    answer = tokens.post_json(url, value, None, what, _HINT, plain_http=endpoint.scheme == "http")
    token = token_in(answer, "access_token", what)
    said = answer.get("username")
    user = identity.username or (said if isinstance(said, str) else "") or _user_of(token, what)
    source = f"OIDC integration {identity.oidc_provider}, for the ID token of {job.source}"
    return Lease(Credential(basic_user(user, what), token, source=source), seconds_in(answer, "expires_in", _LIFE_S))


def _user_of(token: Secret, what: str) -> str:
    """Return the user that an access token is about: its subject is ``…/users/NAME``, or the name."""
    claims = read_claims(token)
    user = claims.subject.rpartition("/")[2] if claims else ""
    if not user:
        raise CredentialsError(f"{what}: its answer names no user", hint="write username beside oidc_provider")
    return user
