"""Amazon ECR's host names: what a private registry's host says, and how one is put together.

The pattern is that of AWS's own credential helper; the forms (standard, FIPS, dual stack) and the endings of the
partitions are those of the AWS general reference, "Amazon ECR endpoints and quotas".
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

UNKNOWN_ACCOUNT = "account"
"""Stands in a host for the account as long as AWS has not been asked whose credentials these are."""

_HOST = re.compile(
    r"(?P<account>[0-9]{12}|account)\.dkr(?P<dash>[.\-])ecr(?P<fips>-fips)?\.(?P<region>[a-z0-9][a-z0-9_-]*)\."
    r"(?P<suffix>amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov"
    r"|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
_REGION = r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]+"
_STS = re.compile(
    rf"(?:vpce-[a-z0-9-]+\.)?sts(?:-fips)?(?:\.{_REGION})?(?:\.vpce)?\."
    r"(?:amazonaws\.(?:com(?:\.cn)?|eu)|api\.(?:aws|amazonwebservices\.(?:com\.cn|eu))|sc2s\.sgov\.gov|c2s\.ic\.gov"
    r"|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
"""AWS general reference, "AWS Security Token Service endpoints"; AWS PrivateLink guide for ``vpce-``."""
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
        """Return whether the account is known."""
        return self.account != UNKNOWN_ACCOUNT


def parse(host: str) -> EcrHost | None:
    """Return the parts of a registry's ``name[:port]``; ``None`` for other registries, ECR Public among them."""
    match = _HOST.fullmatch(host.split(":")[0].lower())
    if match is None or (match["dash"] == "-") != match["suffix"].startswith("on."):
        return None
    return EcrHost(match["account"], match["region"], match["fips"] is not None, match["dash"] == "-")


def host_in(host: str, region: str, account: str = "") -> str:
    """Return the host in the same form and with the same port elsewhere; other registries' hosts stay as they are."""
    place = parse(host)
    if place is None:
        return host
    port = "".join(host.partition(":")[1:])
    return str(replace(place, region=region or place.region, account=account or place.account)) + port


def suffix_of(region: str) -> str:
    """Return the domain that a region's partition lives under."""
    return next((suffix for start, suffix in _SUFFIXES if region.startswith(start)), "amazonaws.com")


def is_sts(host: str) -> bool:
    """Return whether a host is AWS's own for logins, also one by which a private network reaches it."""
    return _STS.fullmatch(host.lower()) is not None


def is_region(text: str) -> bool:
    """Return whether a text has the shape of a region's name: ``eu-west-1``, ``us-gov-east-1``, ``eusc-de-east-1``."""
    return re.fullmatch(_REGION, text) is not None


def is_account(text: str) -> bool:
    """Return whether a text is an account's twelve digits."""
    return re.fullmatch(r"[0-9]{12}", text) is not None
