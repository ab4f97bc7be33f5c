"""What AWS's library raises, in our words: which class of error, and what to do about it."""

from __future__ import annotations

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
from oci_push.model.display import quoted

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
_BAD_KEYS = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "InvalidIdentityToken",
        "InvalidIdentityTokenException",
        "IDPRejectedClaim",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "RegionDisabledException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "OptInRequired"})
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded"}
)
_WAITS = frozenset({"IDPCommunicationError", "ServerException", "InternalFailure", "ServiceUnavailable"})
_MOST_TEXT = 400


class UnreadableAnswerError(Exception):
    """Tell of an answer that is not AWS's: a proxy's page, a redirect."""


def code_of(problem: Exception) -> str:
    """Return AWS's error code, or nothing where no answer came."""
    return str(problem.response.get("Error", {}).get("Code", "")) if isinstance(problem, aws.ClientError) else ""


def translate(problem: Exception, what: str, action: str) -> OciPushError:
    """Return our error for a library's; `what` is the object, `action` the IAM action (``ecr:CreateRepository``)."""
    if isinstance(problem, aws.ClientError):
        return _answered(problem, what, action)
    if isinstance(problem, UnreadableAnswerError):
        return UnavailableError(
            f"{what}: what answers {action} is not AWS", hint="does a proxy want a login? is AWS_ENDPOINT_URL right?"
        )
    text = quoted(str(problem), _MOST_TEXT)
    if isinstance(problem, aws.ProfileNotFound):
        return CredentialsError(f"{what}: {text}", hint="check AWS_PROFILE, the profile option and ~/.aws/config")
    if isinstance(problem, aws.NoRegionError):
        return ConfigError(f"{what}: no AWS region is known", hint="give region:, --region or AWS_REGION")
    if isinstance(problem, aws.ParamValidationError):
        return ConfigError(f"{what}: {action} would be refused ({text})")
    if isinstance(problem, aws.SSLError):
        return NetworkError(
            f"{what}: the certificate of AWS's endpoint is not trusted ({text})",
            hint="AWS_CA_BUNDLE names the CA of an intercepting proxy",
            transient=False,
        )
    if isinstance(problem, aws.ConnectionError | aws.HTTPClientError | aws.IncompleteReadError):
        return NetworkError(
            f"{what}: AWS cannot be reached for {action} ({text})",
            hint="is the region's name right and is it enabled for the account? is there a proxy or VPC endpoint?",
        )
    return CredentialsError(f"{what}: AWS credentials cannot be used ({text})", hint=_HINT_KEYS)


_HINT_KEYS = "renew the AWS login (aws sso login, new keys, the pod's or instance's role)"


_FOR_JOB = "sts:AssumeRoleWithWebIdentity"
_JOB_HINTS = {
    "AccessDenied": "the role's trust policy must allow sts:AssumeRoleWithWebIdentity to the token's issuer, with"
    " conditions on aud and sub that the token fulfils",
    "InvalidIdentityToken": "the account needs an IAM OIDC identity provider for the token's issuer, with its audience",
    "ExpiredTokenException": "the token must not have ended; is this machine's clock right?",
    "IDPRejectedClaim": "the issuer does not know this token any more",
    "ValidationError": "may the role's sessions last as long as aws_duration_seconds says?",
}


def _answered(problem: aws.ClientError, what: str, action: str) -> OciPushError:
    code = code_of(problem)
    status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = quoted(str(problem.response.get("Error", {}).get("Message", "")), _MOST_TEXT)
    if text.startswith("<"):
        text = ""  # a proxy's or load balancer's page
    reason = f"{code}: {text}" if text and text != code else code
    if action == _FOR_JOB and code in _JOB_HINTS:
        return CredentialsError(f"{what}: refused to the job's ID token ({reason})", hint=_JOB_HINTS[code])
    if code in EXPIRED:
        return CredentialsError(f"{what}: the AWS session has expired ({reason})", hint=_HINT_KEYS)
    if code in _BAD_KEYS:
        return CredentialsError(f"{what}: AWS refuses the credentials ({reason})", hint=_HINT_KEYS)
    if code in _DENIED and action == "sts:AssumeRole":
        return CredentialsError(
            f"{what}: may not be assumed ({reason})",
            hint="the role's trust policy must allow the caller (and its external id, if it asks for one), "
            "and the caller needs sts:AssumeRole on the role",
        )
    message = f"{what}: {action} refused ({reason})"
    if code in _DENIED:
        return DeniedError(message, hint=f"this identity needs {action} there", status=403, codes=(code,))
    if code in _THROTTLED:
        return RateLimitedError(f"{what}: {action} throttled ({reason})", status=429, codes=(code,))
    if code in _WAITS or status >= 500:
        return UnavailableError(f"{what}: {action} failed ({reason})", status=status, codes=(code,))
    if code.endswith("NotFoundException"):
        return NotFoundError(message, status=404, codes=(code,))
    return RegistryError(message, status=status, codes=(code,))
