"""ECR's logins: AWS credentials become a user and password for one account's registry in one region.

GetAuthorizationToken gives ``AWS:TOKEN`` for twelve hours; it is used as Basic as it stands (ECR API reference).
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from oci_push.errors import CredentialsError
from oci_push.model.endpoint import Credential
from oci_push.protocol.credentials import basic_password, basic_user
from oci_push.providers.base import Cloud
from oci_push.providers.ecr import host as ecr_host
from oci_push.providers.ecr.aws import Aws
from oci_push.providers.ecr.host import EcrHost
from oci_push.runtime.context import Context
from oci_push.transport.credentials import Lease, RefreshingCredential


class EcrCredentials(RefreshingCredential):
    """The logins of a private registry; on the way it is learnt whose account the credentials belong to."""

    def __init__(self, host: EcrHost, aws: Aws, cloud: Cloud) -> None:
        super().__init__(cloud.clock, self._lease)
        self._host = host
        self._aws = aws
        self._cloud = cloud
        self._caller = ""

    def host(self, context: Context) -> EcrHost:
        """Return the registry with its account; asks for a token, which names it, where the host leaves it open."""
        if self._host.is_known:
            return self._host
        self.credential(context)
        return EcrHost(self._caller, self._host.region, self._host.is_fips, self._host.is_dual_stack)

    def _lease(self, context: Context) -> Lease:
        answer = self._aws.call(context, "ecr", "GetAuthorizationToken")
        entry = answer["authorizationData"][0]
        proxy = ecr_host.parse(entry.get("proxyEndpoint", "").removeprefix("https://"))
        if not self._host.is_known and proxy is None:
            raise CredentialsError(
                f"{self._host}: AWS did not say which account's registry this is", hint=_HINT_ACCOUNT
            )
        self._caller = proxy.account if proxy else ""
        return Lease(read_token(entry, str(self._host)), life_s(entry, self._cloud.clock.now()))


_HINT_ACCOUNT = "name the registry's account or domain"


def read_token(entry: Any, what: str) -> Credential:
    """Return the login in ``authorizationToken``, base64 of user and password; its length is nobody's promise."""
    try:
        user, _, password = base64.b64decode(entry["authorizationToken"], validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError, KeyError) as problem:
        raise CredentialsError(f"{what}: AWS gave a token that cannot be read") from problem
    return Credential(basic_user(user, what), basic_password(password, what), source="AWS GetAuthorizationToken")


def life_s(entry: Any, now: float) -> float | None:
    """Return the seconds until ``expiresAt``; a moment that has passed already says nothing of a token just made."""
    end = entry.get("expiresAt")
    left = end.timestamp() - now if isinstance(end, datetime) else 0.0
    return left if left > 0 else None
