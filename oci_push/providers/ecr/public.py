"""Amazon ECR Public, ``public.ecr.aws``, as a cloud.

Its logins come from us-east-1, whatever else the account uses (ECR Public API reference), and reading needs none.
"""

from __future__ import annotations

from msgspec.structs import replace

from oci_push.errors import CredentialsError, RegistryError
from oci_push.events import LogMessage
from oci_push.model.endpoint import Credential, RegistryEndpoint
from oci_push.model.identity import CloudIdentity
from oci_push.providers.base import Cloud, CloudServices
from oci_push.providers.ecr.aws import Aws, Endpoints
from oci_push.providers.ecr.credentials import life_s, read_token
from oci_push.providers.ecr.identity import AwsIdentity
from oci_push.runtime.context import Context
from oci_push.runtime.single_flight import SingleFlight
from oci_push.transport.credentials import CredentialProvider, FixedCredential, Lease, RefreshingCredential

IDENTITY: type[CloudIdentity] = AwsIdentity
_REGION = "us-east-1"
_SIGNS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class _PublicCredentials:
    """AWS's login, or nobody's where no identity was asked for and AWS gives none: then only reading works."""

    def __init__(self, endpoint: RegistryEndpoint, aws: Aws, cloud: Cloud) -> None:
        self._host = endpoint.host
        self._required = endpoint.identity is not None
        self._aws = aws
        self._cloud = cloud
        self._source: SingleFlight[str, CredentialProvider] = SingleFlight()

    def credential(self, context: Context) -> Credential | None:
        """Return the login in use, or a new one."""
        return self._source.get("", lambda: self._choose(context)).credential(context)

    def refused(self, credential: Credential) -> bool:
        """Forget a token."""
        source = self._source.peek("")
        return source is not None and source.refused(credential)

    def _choose(self, context: Context) -> CredentialProvider:
        if not self._required and not _is_configured(self._cloud):
            return FixedCredential(None)
        leased = RefreshingCredential(self._cloud.clock, self._lease)
        try:
            leased.credential(context)
        except (CredentialsError, RegistryError) as error:
            if self._required:
                raise
            self._cloud.emit(LogMessage(f"{error}; going on without a login, which is enough for reading"))
            return FixedCredential(None)
        return leased

    def _lease(self, context: Context) -> Lease:
        entry = self._aws.call(context, "ecr-public", "GetAuthorizationToken")["authorizationData"]
        return Lease(read_token(entry, self._host), life_s(entry, self._cloud.clock.now()))


def _is_configured(cloud: Cloud) -> bool:
    """Return whether somebody set up AWS here; a read must not wait for an instance's metadata that is not there."""
    folder = cloud.home / ".aws" if cloud.home else None
    return any(cloud.env.get(name) for name in _SIGNS) or (folder is not None and folder.is_dir())


def cloud_services(endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices:
    """Return logins as the given identity, or as AWS's default chain says."""
    identity = endpoint.identity if isinstance(endpoint.identity, AwsIdentity) else AwsIdentity()
    aws = Aws(replace(identity, region=_REGION, account=""), Endpoints(_REGION), cloud, endpoint.host)
    id_token = aws.id_token if identity.oidc else None
    return CloudServices(_PublicCredentials(endpoint, aws, cloud), id_token=id_token)
