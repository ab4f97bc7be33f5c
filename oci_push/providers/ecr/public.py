"""Amazon ECR Public, ``public.ecr.aws``: pieces as in private ECR; mounts are reported to fail.

Source of the latter: aws/containers-roadmap issue 1459. Its logins come from us-east-1, whatever else the account
uses (ECR Public API reference), and reading needs none.
"""

from __future__ import annotations

from msgspec.structs import replace

from oci_push.errors import CredentialsError, RegistryError
from oci_push.events import Note
from oci_push.model.endpoint import Access, Login
from oci_push.model.identity import AwsIdentity
from oci_push.providers.base import Cloud, CloudSide
from oci_push.providers.ecr.aws import Aws, Endpoints
from oci_push.providers.ecr.credentials import life_s, read_token
from oci_push.runtime.context import Scope
from oci_push.runtime.single_flight import OnceMap
from oci_push.transport.credentials import FixedLogin, Lease, LeasedLogin, LoginSource

_REGION = "us-east-1"
_SIGNS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


class _Logins:
    """Give AWS's login, or nobody's where no identity was asked for and AWS gives none: then only reading works."""

    def __init__(self, access: Access, aws: Aws, cloud: Cloud) -> None:
        self._host = access.host
        self._required = access.identity is not None
        self._aws = aws
        self._cloud = cloud
        self._source: OnceMap[str, LoginSource] = OnceMap()

    def login(self, scope: Scope) -> Login | None:
        """Give the login in use, or a new one."""
        return self._source.get("", lambda: self._choose(scope)).login(scope)

    def refused(self, login: Login) -> bool:
        """Forget a token."""
        source = self._source.peek("")
        return source is not None and source.refused(login)

    def _choose(self, scope: Scope) -> LoginSource:
        if not self._required and not _is_configured(self._cloud):
            return FixedLogin(None)
        leased = LeasedLogin(self._cloud.clock, self._lease)
        try:
            leased.login(scope)
        except (CredentialsError, RegistryError) as error:
            if self._required:
                raise
            self._cloud.emit(Note(f"{error}; going on without a login, which is enough for reading"))
            return FixedLogin(None)
        return leased

    def _lease(self, scope: Scope) -> Lease:
        entry = self._aws.call(scope, "ecr-public", "GetAuthorizationToken")["authorizationData"]
        return Lease(read_token(entry, self._host), life_s(entry, self._cloud.clock.now()))


def _is_configured(cloud: Cloud) -> bool:
    """Say whether somebody set up AWS here; a read must not wait for an instance's metadata that is not there."""
    folder = cloud.home / ".aws" if cloud.home else None
    return any(cloud.env.get(name) for name in _SIGNS) or (folder is not None and folder.is_dir())


def cloud_side(access: Access, cloud: Cloud) -> CloudSide:
    """Ask AWS as the given identity, or as its default chain says."""
    identity = access.identity if isinstance(access.identity, AwsIdentity) else AwsIdentity()
    aws = Aws(replace(identity, region=_REGION, account=""), Endpoints(_REGION), cloud, access.host)
    return CloudSide(_Logins(access, aws, cloud))
