"""What AWS would refuse is refused before it is asked."""

from __future__ import annotations

import pytest

from oci_push.providers.ecr.identity import AwsIdentity, EcrCreation
from oci_push.secret import Secret

ROLE = "arn:aws:iam::123456789012:role/path/name"
POLICY = '{"rules": [' + " " * 100 + "]}"


@pytest.mark.parametrize(
    "identity",
    [
        AwsIdentity(),
        AwsIdentity(region="eu-west-1", access_key_id="x", secret_access_key=Secret("y"), account="012345678901"),
        AwsIdentity(role_arn=ROLE, session_name="a=b,c.d@e-f+g_h", duration_s=900, external_id="partner:a/b"),
        AwsIdentity(role_arn="arn:aws-us-gov:iam::123456789012:role/x", duration_s=3600),
    ],
)
def test_what_aws_takes_passes(identity: AwsIdentity) -> None:
    assert identity.problems() == ()


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        (AwsIdentity(region="europe"), "region 'europe' is not an AWS region"),
        (AwsIdentity(account="1234"), "account '1234' is not 12 digits"),
        (AwsIdentity(account="١٢٣٤٥٦٧٨٩٠١٢"), "is not 12 digits"),
        (AwsIdentity(access_key_id="x"), "go together"),
        (AwsIdentity(secret_access_key=Secret("x")), "go together"),
        (AwsIdentity(role_arn="arn:aws:iam::123456789012:user/name"), "is not of the form"),
        (AwsIdentity(role_arn="arn:aws:iam::12345678901:role/name"), "is not of the form"),
        (AwsIdentity(role_arn=ROLE + "\n"), "is not of the form"),
        (AwsIdentity(session_name="x"), "must be 2 to 64"),
        (AwsIdentity(session_name="x" * 65), "must be 2 to 64"),
        (AwsIdentity(session_name="with space"), "must be 2 to 64"),
        (AwsIdentity(session_name="grün"), "must be 2 to 64"),
        (AwsIdentity(duration_s=899), "is not between 900 and 3600"),
        (AwsIdentity(duration_s=3601), "is not between 900 and 3600"),
        (AwsIdentity(role_arn=ROLE, external_id="x"), "external_id must be"),
        (AwsIdentity(external_id="partner"), "only relevant with role_arn"),
    ],
)
def test_each_limit_of_an_identity_is_checked(identity: AwsIdentity, message: str) -> None:
    (problem,) = identity.problems()
    assert message in problem


def test_all_problems_are_told_at_once_and_no_secret_is_in_them() -> None:
    identity = AwsIdentity(region="x", secret_access_key=Secret("hidden"), creation=EcrCreation(mutability="x"))
    problems = identity.problems()
    assert len(problems) == 3
    assert "hidden" not in " ".join(problems)


@pytest.mark.parametrize(
    "creation",
    [
        EcrCreation(),
        EcrCreation(mutability="IMMUTABLE_WITH_EXCLUSION", exclusions=("dev-*", "latest")),
        EcrCreation(encryption="KMS_DSSE", kms_key="alias/x", tags=(("team", ""),), lifecycle_policy=POLICY),
    ],
)
def test_settings_that_ecr_takes_pass(creation: EcrCreation) -> None:
    assert creation.problems() == ()


@pytest.mark.parametrize(
    ("creation", "message"),
    [
        (EcrCreation(mutability="immutable"), "must be one of"),
        (EcrCreation(mutability="IMMUTABLE", exclusions=("a*",)), "exclusion filters need"),
        (EcrCreation(mutability="IMMUTABLE_WITH_EXCLUSION"), "needs 1 to 5"),
        (EcrCreation(mutability="IMMUTABLE_WITH_EXCLUSION", exclusions=tuple("abcdef")), "needs 1 to 5"),
        (EcrCreation(mutability="IMMUTABLE_WITH_EXCLUSION", exclusions=("a b",)), "exclusion filter 'a b'"),
        (EcrCreation(encryption="AES"), "encryption 'AES'"),
        (EcrCreation(encryption="AES256", kms_key="x"), "a KMS key needs"),
        (EcrCreation(tags=tuple((f"k{n}", "") for n in range(51))), "at most 50 tags"),
        (EcrCreation(tags=(("aws:x", "y"),)), "repository tag 'aws:x'"),
        (EcrCreation(lifecycle_policy="{" + " " * 100), "is not JSON"),
        (EcrCreation(lifecycle_policy="[" + " " * 100 + "]"), "list of rules"),
        (EcrCreation(lifecycle_policy='{"rules": []}'), "100 to 30720"),
    ],
)
def test_each_limit_of_a_repositorys_settings_is_checked(creation: EcrCreation, message: str) -> None:
    (problem,) = creation.problems()
    assert message in problem
