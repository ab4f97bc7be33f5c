"""Amazon ECR's private registries as a cloud: who asks, where the regions are, and AWS behind them.

What the data plane differs in is in the table of families; AWS itself is loaded when a registry is reached.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import RegionalIdentity, RepositoryCreation
from oci_push.providers.base import Cloud, CloudServices
from oci_push.providers.ecr import host as ecr_host
from oci_push.providers.ecr.host import host_in as host_in
from oci_push.providers.ecr.host import is_region as is_region
from oci_push.providers.ecr.identity import SESSION_S as SESSION_S
from oci_push.providers.ecr.identity import AwsIdentity, EcrCreation
from oci_push.providers.ecr.identity import in_region as in_region
from oci_push.providers.ecr.identity import is_role as is_role

IDENTITY: type[RegionalIdentity] = AwsIdentity
CREATION: Callable[..., RepositoryCreation] = EcrCreation
DOMAIN = "amazonaws.com"


def cloud_services(endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
    """Return AWS as the given identity sees it; nobody given and no login found, as its default chain says.

    Account, region and the kind of endpoint come from the host, never from the environment.
    """
    from oci_push.providers.ecr.aws import Aws, Endpoints
    from oci_push.providers.ecr.credentials import EcrCredentials
    from oci_push.providers.ecr.management import EcrManagement
    from oci_push.providers.ecr.replication import EcrReplication

    host = ecr_host.parse(endpoint.host)
    identity = endpoint.identity
    if host is None or (identity is None and endpoint.credential is not None):
        return None
    if not isinstance(identity, AwsIdentity):
        identity = AwsIdentity()
    identity = replace(identity, region=host.region, account=host.account if host.is_known else "")
    endpoints = Endpoints(host.region, host.is_fips or None, host.is_dual_stack or None)
    what = endpoint.host if host.is_known else f"ECR in {host.region}"
    aws = Aws(identity, endpoints, cloud, what)
    credentials = EcrCredentials(host, aws, cloud)
    creation = identity.creation
    if creation is not None and not isinstance(creation, EcrCreation):
        creation = EcrCreation()
    management = EcrManagement(credentials, aws, cloud, creation)
    id_token = aws.id_token if identity.oidc else None
    return CloudServices(credentials, management, EcrReplication(credentials, aws), id_token)


def identity_at(host: str) -> RegionalIdentity:
    """Return who asks at a host where nobody says more: AWS's default chain, for its region and account."""
    place = ecr_host.parse(host)
    return AwsIdentity(region=place.region, account=place.account) if place else AwsIdentity()


def account_of(host: str) -> str:
    """Return the account of a host; empty where only AWS can tell it."""
    place = ecr_host.parse(host)
    return place.account if place and place.is_known else ""


def default_region(profile: str) -> str:
    """Return the region that environment or profile name, or nothing."""
    from oci_push.providers.ecr.aws import region_of as known_region

    return known_region(profile)
