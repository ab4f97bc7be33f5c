"""Amazon ECR's host names: what a private registry's host says, how one is put together, moved to another region.

The pattern is that of AWS's own credential helper; the forms (standard, FIPS, dual stack) and the endings of the
partitions are those of the AWS general reference, "Amazon ECR endpoints and quotas".
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import AwsIdentity

UNKNOWN_ACCOUNT = "account"
"""Stands in a host for the account as long as AWS has not been asked whose credentials these are."""

_HOST = re.compile(
    r"(?P<account>[0-9]{12}|account)\.dkr(?P<dash>[.\-])ecr(?P<fips>-fips)?\.(?P<region>[a-z0-9][a-z0-9_-]*)\."
    r"(?P<suffix>amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov"
    r"|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]+")
_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
)
_DUAL_STACK = {"amazonaws.com": "on.aws", "amazonaws.com.cn": "on.amazonwebservices.com.cn"}


class EcrHost(Struct, frozen=True):
    """The parts of a private registry's host; `is_dual_stack` is the form ``dkr-ecr`` with IPv6.

    `account` may be `UNKNOWN_ACCOUNT`: then it is no host to send requests to.
    """

    account: str
    region: str
    is_fips: bool = False
    is_dual_stack: bool = False

    def __str__(self) -> str:
        suffix = suffix_of(self.region)
        dash = "-" if self.is_dual_stack else "."
        fips = "-fips" if self.is_fips else ""
        ending = _DUAL_STACK.get(suffix, suffix) if self.is_dual_stack else suffix
        return f"{self.account}.dkr{dash}ecr{fips}.{self.region}.{ending}"

    @property
    def is_known(self) -> bool:
        """Say whether the account is known."""
        return self.account != UNKNOWN_ACCOUNT


def parse(host: str) -> EcrHost | None:
    """Take a registry's ``name[:port]`` apart; gives nothing for other registries, ECR Public among them."""
    match = _HOST.fullmatch(host.split(":")[0].lower())
    if match is None or (match["dash"] == "-") != match["suffix"].startswith("on."):
        return None
    return EcrHost(match["account"], match["region"], match["fips"] is not None, match["dash"] == "-")


def build(account: str, region: str) -> str:
    """Return the standard host of an account's registry in a region."""
    return str(EcrHost(account, region))


def in_region(host: str, region: str) -> str:
    """Return the host of the same account and form in another region; other hosts are given back as they are."""
    place = parse(host)
    if place is None or not region:
        return host
    port = host.partition(":")[1:]
    return str(replace(place, region=region)) + "".join(port)


def registry_host(identity: AwsIdentity) -> str:
    """Return the host of an identity's registry: of the account it names, or its role's, or one that AWS must tell."""
    return build(identity.account or role_account(identity.role_arn) or UNKNOWN_ACCOUNT, identity.region)


def role_account(role_arn: str) -> str:
    """Return the account in ``arn:PARTITION:iam::ACCOUNT:role/NAME``, or nothing."""
    parts = role_arn.split(":")
    return parts[4] if len(parts) > 5 and re.fullmatch(r"[0-9]{12}", parts[4]) else ""


def move(endpoint: RegistryEndpoint, region: str, account: str = "") -> RegistryEndpoint:
    """Reach the same registry in another region (and another account): host and identity move together.

    Raises ``ValueError`` for a host that is not ECR's or a region that cannot be one.
    """
    place = parse(endpoint.host)
    if place is None:
        raise ValueError(f"{endpoint.host} is not an ECR registry, so it has no regions")
    if not is_region(region):
        raise ValueError(f"{region!r} is not an AWS region")
    port = "".join(endpoint.host.partition(":")[1:])
    host = str(replace(place, region=region, account=account or place.account)) + port
    identity = endpoint.identity
    if isinstance(identity, AwsIdentity):
        identity = replace(identity, region=region, account=account or identity.account)
    return replace(endpoint, host=host, identity=identity)


def suffix_of(region: str) -> str:
    """Return the domain that a region's partition lives under."""
    return next((suffix for start, suffix in _SUFFIXES if region.startswith(start)), "amazonaws.com")


def is_region(text: str) -> bool:
    """Say whether a text has the shape of a region's name: ``eu-west-1``, ``us-gov-east-1``, ``eusc-de-east-1``."""
    return _REGION.fullmatch(text) is not None
