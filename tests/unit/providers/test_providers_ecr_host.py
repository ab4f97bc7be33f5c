"""ECR's host names: read, written, moved to another region."""

from __future__ import annotations

import pytest

from oci_push.model.endpoint import RegistryEndpoint
from oci_push.providers.ecr import host as ecr_host
from oci_push.providers.ecr.host import UNKNOWN_ACCOUNT, EcrHost, host_in, is_region, is_sts
from oci_push.providers.ecr.identity import AwsIdentity, in_region
from oci_push.providers.google import GoogleIdentity

A = "123456789012"

HOSTS = [
    (f"{A}.dkr.ecr.eu-west-1.amazonaws.com", EcrHost(A, "eu-west-1")),
    (f"{A}.dkr.ecr-fips.us-east-2.amazonaws.com", EcrHost(A, "us-east-2", is_fips=True)),
    (f"{A}.dkr-ecr.us-west-2.on.aws", EcrHost(A, "us-west-2", is_dual_stack=True)),
    (f"{A}.dkr-ecr-fips.us-west-2.on.aws", EcrHost(A, "us-west-2", is_fips=True, is_dual_stack=True)),
    (f"{A}.dkr.ecr.cn-north-1.amazonaws.com.cn", EcrHost(A, "cn-north-1")),
    (f"{A}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", EcrHost(A, "cn-north-1", is_dual_stack=True)),
    (f"{A}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", EcrHost(A, "us-gov-west-1", is_fips=True)),
    (f"{A}.dkr.ecr.eusc-de-east-1.amazonaws.eu", EcrHost(A, "eusc-de-east-1")),
    (f"{A}.dkr.ecr.us-iso-east-1.c2s.ic.gov", EcrHost(A, "us-iso-east-1")),
    (f"{A}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", EcrHost(A, "us-isob-east-1")),
    (f"{A}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", EcrHost(A, "eu-isoe-west-1")),
    (f"{A}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", EcrHost(A, "us-isof-south-1")),
    ("account.dkr.ecr.eu-west-1.amazonaws.com", EcrHost(UNKNOWN_ACCOUNT, "eu-west-1")),
]


@pytest.mark.parametrize(
    "host",
    [
        "sts.amazonaws.com",
        "STS.eu-west-1.amazonaws.com",
        "sts-fips.us-east-1.amazonaws.com",
        "sts.us-gov-west-1.amazonaws.com",
        "sts.cn-north-1.amazonaws.com.cn",
        "sts.eusc-de-east-1.amazonaws.eu",
        "sts.eu-west-1.api.aws",
        "vpce-0a1b2c-3d4e.sts.eu-west-1.vpce.amazonaws.com",
        "vpce-0a1b2c-3d4e-eu-west-1a.sts.eu-west-1.vpce.amazonaws.com",
    ],
)
def test_awss_own_endpoints_for_logins_are_known(host: str) -> None:
    assert is_sts(host)


@pytest.mark.parametrize(
    "host",
    [
        "sts.s3.amazonaws.com",
        "sts.execute-api.eu-west-1.amazonaws.com",
        "abc.sts.eu-west-1.amazonaws.com",
        "sts.eu-west-1.amazonaws.com.stranger.example",
        "stsxamazonaws.com",
        "sts.eu-west-1.elb.amazonaws.com",
        "vpce-1.execute-api.eu-west-1.vpce.amazonaws.com",
        "",
    ],
)
def test_a_host_of_somebody_at_aws_is_not_awss_own(host: str) -> None:
    assert not is_sts(host)


@pytest.mark.parametrize(("text", "host"), HOSTS)
def test_reading_and_writing_a_host_are_inverse(text: str, host: EcrHost) -> None:
    assert ecr_host.parse(text) == host
    assert str(host) == text


@pytest.mark.parametrize(
    "text",
    [
        "public.ecr.aws",
        "docker.io",
        "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
        f"{A}.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        f"{A}.dkr-ecr.eu-west-1.amazonaws.com",
        f"{A}.dkr.ecr.eu-west-1.on.aws",
        f"{A}.dkr.ecr.eu-west-1.amazonaws.com\n",
    ],
)
def test_other_hosts_are_not_ecrs(text: str) -> None:
    assert ecr_host.parse(text) is None


def test_letter_case_means_nothing() -> None:
    assert ecr_host.parse(f"{A}.DKR.ECR.EU-WEST-1.AMAZONAWS.COM") == EcrHost(A, "eu-west-1")


@pytest.mark.parametrize("text", ["us-east-1", "eu-south-2", "us-gov-west-1", "ap-southeast-7", "eusc-de-east-1"])
def test_regions_are_told_by_their_shape(text: str) -> None:
    assert is_region(text)


@pytest.mark.parametrize("text", ["", "us-east", "us-east-1a", "US-EAST-1", "us_east_1", "us-east-1\n", "nowhere"])
def test_what_cannot_be_a_region_is_none(text: str) -> None:
    assert not is_region(text)


@pytest.mark.parametrize(
    ("identity", "host"),
    [
        (AwsIdentity(region="eu-west-1", account=A), f"{A}.dkr.ecr.eu-west-1.amazonaws.com"),
        (
            AwsIdentity(region="cn-north-1", role_arn="arn:aws-cn:iam::210987654321:role/x"),
            "210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn",
        ),
        (
            AwsIdentity(region="eu-west-1", account=A, role_arn="arn:aws:iam::210987654321:role/x"),
            f"{A}.dkr.ecr.eu-west-1.amazonaws.com",
        ),
        (AwsIdentity(region="eu-west-1", access_key_id="x"), "account.dkr.ecr.eu-west-1.amazonaws.com"),
    ],
)
def test_an_identity_names_its_registry_as_far_as_it_can(identity: AwsIdentity, host: str) -> None:
    assert identity.host == host


def test_moving_takes_host_and_identity_along_and_keeps_the_kind_of_endpoint() -> None:
    identity = AwsIdentity(region="us-east-1", account=A, role_arn="arn:aws:iam::1:role/x")
    endpoint = RegistryEndpoint(f"{A}.dkr.ecr-fips.us-east-1.amazonaws.com", identity=identity, name="prod")
    moved = in_region(endpoint, "us-west-2")
    assert moved.host == f"{A}.dkr.ecr-fips.us-west-2.amazonaws.com"
    assert moved.identity == AwsIdentity(region="us-west-2", account=A, role_arn="arn:aws:iam::1:role/x")
    assert moved.name == "prod"


def test_moving_to_another_account_and_partition_changes_both() -> None:
    endpoint = RegistryEndpoint(f"{A}.dkr.ecr.us-east-1.amazonaws.com", identity=AwsIdentity())
    moved = in_region(endpoint, "cn-north-1", "210987654321")
    assert moved.host == "210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn"
    assert moved.identity == AwsIdentity(region="cn-north-1", account="210987654321")


@pytest.mark.parametrize(
    ("host", "region", "message"),
    [("docker.io", "eu-west-1", "has no regions"), (f"{A}.dkr.ecr.us-east-1.amazonaws.com", "x", "not an AWS region")],
)
def test_what_cannot_be_moved_is_refused(host: str, region: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        in_region(RegistryEndpoint(host, identity=GoogleIdentity()), region)


def test_a_port_stays_where_it_is() -> None:
    endpoint = RegistryEndpoint(f"{A}.dkr.ecr.us-east-1.amazonaws.com:8443", identity=AwsIdentity())
    assert in_region(endpoint, "us-west-2").host == f"{A}.dkr.ecr.us-west-2.amazonaws.com:8443"
    assert host_in(endpoint.host, "us-west-2") == f"{A}.dkr.ecr.us-west-2.amazonaws.com:8443"
