"""Amazon ECR's private registries: hosts, how the data plane differs, and AWS behind them.

Pieces are at least 5 MiB except the last (ECR API, UploadLayerPart). Ten manifests a second is what an account may
put in a region (ECR service quotas, PutImage), whichever way. An upload cannot be gone on with: its session says
wrongly how far it got (aws/containers-roadmap, issue 2831).
"""

from __future__ import annotations

from msgspec.structs import replace

from oci_push.model.endpoint import Access
from oci_push.model.identity import AwsIdentity
from oci_push.providers.base import Cloud, CloudSide
from oci_push.providers.ecr import host as ecr_host
from oci_push.providers.ecr.aws import Aws, Endpoints
from oci_push.providers.ecr.credentials import EcrLogins
from oci_push.providers.ecr.management import EcrControl
from oci_push.providers.ecr.replication import EcrReplication


def cloud_side(access: Access, cloud: Cloud) -> CloudSide | None:
    """Ask AWS as the given identity; nobody given and no login found, as AWS's default chain says.

    Account, region and the kind of endpoint come from the host, never from the environment.
    """
    host = ecr_host.parse(access.host)
    identity = access.identity
    if host is None or (identity is None and access.login is not None):
        return None
    if not isinstance(identity, AwsIdentity):
        identity = AwsIdentity()
    identity = replace(identity, region=host.region, account=host.account if host.is_known else "")
    endpoints = Endpoints(host.region, host.is_fips or None, host.is_dual_stack or None)
    what = access.host if host.is_known else f"ECR in {host.region}"
    aws = Aws(identity, endpoints, cloud, what)
    logins = EcrLogins(host, aws, cloud)
    return CloudSide(logins, EcrControl(logins, aws, cloud, identity.creation), EcrReplication(logins, aws))
