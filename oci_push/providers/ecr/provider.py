"""Amazon ECR's private registries: hosts, how the data plane differs, and AWS behind them.

Pieces are at least 5 MiB except the last (ECR API, UploadLayerPart). Ten manifests a second is what an account may
put in a region (ECR service quotas, PutImage), whichever way. An upload cannot be gone on with: its session says
wrongly how far it got (aws/containers-roadmap, issue 2831).
"""

from __future__ import annotations

from msgspec.structs import replace

from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import AwsIdentity
from oci_push.providers.base import Cloud, CloudServices
from oci_push.providers.ecr import host as ecr_host
from oci_push.providers.ecr.aws import Aws, Endpoints
from oci_push.providers.ecr.credentials import EcrCredentials
from oci_push.providers.ecr.management import EcrManagement
from oci_push.providers.ecr.replication import EcrReplication


def cloud_services(endpoint: RegistryEndpoint, cloud: Cloud) -> CloudServices | None:
    """Ask AWS as the given identity; nobody given and no login found, as AWS's default chain says.

    Account, region and the kind of endpoint come from the host, never from the environment.
    """
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
    return CloudServices(
        credentials, EcrManagement(credentials, aws, cloud, identity.creation), EcrReplication(credentials, aws)
    )
