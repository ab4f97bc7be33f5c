"""What AWS's library raises becomes our errors: their class, whether waiting helps, and what they say."""

from __future__ import annotations

import pytest
from botocore import exceptions as aws

from oci_push.errors import (
    ConfigError,
    CredentialsError,
    DeniedError,
    NetworkError,
    NotFoundError,
    OciPushError,
    RateLimitedError,
    RegistryError,
    UnavailableError,
)
from oci_push.providers.ecr.error_responses import translate


def _answer(code: str, status: int = 400, text: str = "said why") -> aws.ClientError:
    answer = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(answer, "Operation")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem", "kind", "transient"),
    [
        (_answer("ThrottlingException"), RateLimitedError, True),
        (_answer("TooManyRequestsException", 429), RateLimitedError, True),
        (_answer("ServerException", 500), UnavailableError, True),
        (_answer("SomethingElse", 503), UnavailableError, True),
        (_answer("IDPCommunicationError"), UnavailableError, True),
        (_answer("AccessDeniedException"), DeniedError, False),
        (_answer("RepositoryNotFoundException"), NotFoundError, False),
        (_answer("ExpiredTokenException"), CredentialsError, False),
        (_answer("UnrecognizedClientException"), CredentialsError, False),
        (_answer("InvalidIdentityToken"), CredentialsError, False),
        (_answer("LimitExceededException"), RegistryError, False),
        (aws.EndpointConnectionError(endpoint_url="https://x"), NetworkError, True),
        (aws.ReadTimeoutError(endpoint_url="https://x"), NetworkError, True),
        (aws.ConnectTimeoutError(endpoint_url="https://x"), NetworkError, True),
        (aws.SSLError(endpoint_url="https://x", error="untrusted"), NetworkError, False),
        (aws.ProfileNotFound(profile="prod"), CredentialsError, False),
        (aws.NoRegionError(), ConfigError, False),
        (aws.ParamValidationError(report="too short"), ConfigError, False),
        (aws.CredentialRetrievalError(provider="sso", error_msg="expired"), CredentialsError, False),
    ],
)
def test_each_failure_has_its_class(problem: Exception, kind: type[OciPushError], transient: bool) -> None:
    error = translate(problem, "registry", "ecr:CreateRepository")
    assert type(error) is kind
    assert error.transient is transient
    assert str(error).startswith("registry: ")


def test_a_denial_names_the_right_that_is_missing() -> None:
    error = translate(_answer("AccessDeniedException", text="User x may not"), "host/app", "ecr:CreateRepository")
    assert str(error) == "host/app: ecr:CreateRepository refused (AccessDeniedException: User x may not)"
    assert error.hint == "this identity needs ecr:CreateRepository there"


def test_a_role_that_may_not_be_assumed_is_a_matter_of_credentials() -> None:
    error = translate(_answer("AccessDenied"), "role arn:x", "sts:AssumeRole")
    assert isinstance(error, CredentialsError)
    assert "may not be assumed" in str(error)


def test_a_long_answer_is_cut() -> None:
    assert len(str(translate(_answer("Other", text="x" * 5000), "registry", "ecr:PutImage"))) < 600
