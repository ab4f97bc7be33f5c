"""Host names of Amazon ECR: read, built, moved to another region. Pure: nobody is asked.

Forms (AWS general reference, "Amazon ECR endpoints"; the pattern is that of AWS's own credential helper):
``ACCOUNT.dkr.ecr.REGION.SUFFIX``, with ``ecr-fips`` for FIPS, and ``ACCOUNT.dkr-ecr.REGION.on.aws`` for dual stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from oci_push.model.access import Access
from oci_push.model.identity import AwsIdentity

CALLER = "caller"
"""Stands for the account in a host as long as AWS has not been asked whose credentials these are."""

_HOST = re.compile(
    r"(?P<account>\d{12}|caller)\.dkr(?P<joint>[.-])ecr(?P<fips>-fips)?\.(?P<region>[a-z0-9][a-z0-9_-]*)\."
    r"(?P<suffix>amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov"
    r"|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}")
_SUFFIXES = (
    ("cn-", "amazonaws.com.cn", "on.amazonwebservices.com.cn"),
    ("us-iso-", "c2s.ic.gov", ""),
    ("us-isob-", "sc2s.sgov.gov", ""),
    ("eu-isoe-", "cloud.adc-e.uk", ""),
    ("us-isof-", "csp.hci.ic.gov", ""),
    ("eusc-", "amazonaws.eu", ""),
    ("", "amazonaws.com", "on.aws"),
)
"""What region names of a partition begin with, and how its hosts end, the second for dual stack ("": has none)."""


def is_region(text: str) -> bool:
    """Say whether `text` has the shape of a region's name; new regions need no new version of us."""
    return _REGION.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class EcrHost:
    """Name one account's registry in one region; `account` may be `CALLER`."""

    account: str
    region: str
    fips: bool = False
    dual_stack: bool = False

    def __str__(self) -> str:
        _, plain, dual = next(entry for entry in _SUFFIXES if self.region.startswith(entry[0]))
        joint, suffix = ("-", dual or plain) if self.dual_stack else (".", plain)
        return f"{self.account}.dkr{joint}ecr{'-fips' if self.fips else ''}.{self.region}.{suffix}"

    @classmethod
    def find(cls, host: str) -> EcrHost | None:
        """Read a registry host in any letter case, or give ``None`` for one that is not ECR's."""
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return None
        is_dual = found["suffix"].startswith("on.")
        if is_dual != (found["joint"] == "-"):
            return None
        return cls(found["account"], found["region"], bool(found["fips"]), is_dual)

    @property
    def is_known(self) -> bool:
        """Say whether the account is known, so that requests can be sent there."""
        return self.account != CALLER


def registry_host(identity: AwsIdentity) -> str:
    """Give the host of an identity's registry in its region.

    The account is the one it names, else that of the role it assumes, else `CALLER`: whose keys these are only
    AWS can tell.
    """
    return str(EcrHost(identity.account or role_account(identity.role_arn) or CALLER, identity.region))


def role_account(role_arn: str) -> str:
    """Give the account in ``arn:PARTITION:iam::ACCOUNT:role/NAME``, or nothing."""
    parts = role_arn.split(":")
    return parts[4] if len(parts) > 5 and re.fullmatch(r"\d{12}", parts[4]) else ""


def move(access: Access, region: str, account: str = "") -> Access:
    """Reach the same registry in another region (and another account): host and identity move together.

    Raises ``ValueError`` for a host that is not ECR's or a region that cannot be one.
    """
    host = EcrHost.find(access.host)
    if host is None:
        raise ValueError(f"{access.host} is not an ECR registry, so it has no regions")
    if not is_region(region):
        raise ValueError(f"{region!r} is not an AWS region")
    moved = replace(host, region=region, account=account or host.account)
    identity = access.identity
    if isinstance(identity, AwsIdentity):
        identity = replace(identity, region=region, account=account or identity.account)
    return replace(access, host=str(moved), identity=identity)
