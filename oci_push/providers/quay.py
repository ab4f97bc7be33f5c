"""Quay's robot federation: a robot's password for an hour, for the job's ID token.

Source: Red Hat Quay documentation, "Keyless authentication with robot accounts" (3.13 and later, and quay.io), and
quay/quay ``endpoints/oauth/robot_identity_federation.py``. The exchange is at the registry itself. Older Quays do not
look at the audience, newer ones do where the federation names some; by default ours is the registry's own URL.
"""

from __future__ import annotations

import base64
from functools import partial

from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import CloudIdentity
from oci_push.protocol.credentials import basic_user
from oci_push.providers.base import Cloud, CloudServices, IdToken
from oci_push.providers.job_tokens import exchanging
from oci_push.providers.tokenfetch import TokenClient, token_in
from oci_push.secret import Secret
from oci_push.transport.credentials import Lease

LIFE_S = 3600.0
_PATH = "/oauth2/federation/robot/token"
_HINT = "is the robot federated with this token's issuer and subject (Robot Accounts, Set robot federation)?"


class QuayIdentity(CloudIdentity, frozen=True):
    """A job that logs in as the robot `username`, ``organisation+robot``."""

    username: str = ""

    def __str__(self) -> str:
        """Return the robot."""
        return f"robot {self.username} for the job's ID token"

    def problems(self) -> tuple[str, ...]:
        """Return whether that is no robot."""
        owner, plus, robot = self.username.partition("+")
        return () if owner and plus and robot else (f"username {self.username!r} is no robot's: organisation+robot",)


IDENTITY: type[CloudIdentity] = QuayIdentity


def cloud_services(endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
    """Return where logins come from; ``None`` where the access names no robot."""
    identity = endpoint.identity
    if not isinstance(identity, QuayIdentity):
        return None
    return exchanging(cloud, identity.oidc, f"https://{endpoint.host}", partial(_lease, identity, endpoint))


def _lease(identity: QuayIdentity, endpoint: RegistryEndpoint, job: IdToken, tokens: TokenClient) -> Lease:
    user = basic_user(identity.username, "username")
    what = f"{endpoint.host}: token of robot {user}"
    pair = Secret(base64.b64encode(f"{user}:{job.token.reveal()}".encode()).decode())
    url = f"{endpoint.scheme}://{endpoint.host}{_PATH}"
    answer = tokens.get_json(
        url, {"Authorization": f"Basic {pair.reveal()}"}, what, _HINT, plain_http=endpoint.scheme == "http"
    )
    source = f"robot federation, for the ID token of {job.source}"
    return Lease(Credential(user, token_in(answer, "token", what), source=source), LIFE_S)
