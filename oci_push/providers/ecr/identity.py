"""Who asks AWS, how it creates repositories, and what it accepts of that, checked before any request leaves.

Limits: STS API reference, AssumeRole; ECR API reference, CreateRepository. botocore enforces neither patterns nor
maxima, so that a mistake would come back as a message about a request nobody has seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import ClassVar

from msgspec.structs import replace

from oci_push.model.endpoint import RegistryEndpoint
from oci_push.model.identity import RegionalIdentity, RepositoryCreation
from oci_push.providers.ecr.host import UNKNOWN_ACCOUNT, EcrHost, host_in, is_account, is_region, parse
from oci_push.secret import Secret

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\x21-\x7e]+")
_SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EXTERNAL = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_EXCLUSION = re.compile(r"[0-9a-zA-Z._*-]{1,128}")
MUTABILITIES = ("MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION")
ENCRYPTIONS = ("AES256", "KMS", "KMS_DSSE")
_MOST_EXCLUSIONS, _MOST_TAGS = 5, 50
_LEAST_POLICY, _MOST_POLICY = 100, 30_720


SESSION_NAME = "default-session-name"
"""The name of a role's session where the pipeline gives none."""
SESSION_S = (900, 3600)
"""Bounds of a chained role's session in seconds (AWS STS, AssumeRole, "role chaining")."""


class EcrCreation(RepositoryCreation, frozen=True):
    """How a missing ECR repository is created.

    `mutability` is one of ECR's words (``MUTABLE``, ``IMMUTABLE``, ``IMMUTABLE_WITH_EXCLUSION``, …) or empty;
    `exclusions` are its wildcard filters. `lifecycle_policy` is JSON text.
    """

    scan_on_push: bool = False
    mutability: str = ""
    exclusions: tuple[str, ...] = ()
    encryption: str = ""
    kms_key: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    lifecycle_policy: str = ""

    def problems(self) -> tuple[str, ...]:
        """Return all that ECR would refuse in the settings of new repositories."""
        return tuple(_creation(self))


class AwsIdentity(RegionalIdentity, frozen=True, kw_only=True):
    """Who asks ECR for a login and where; without keys AWS's default chain is asked.

    `account` is the registry's account where it is not the caller's own. `role_arn` is assumed with STS, under
    `session_name`, for `duration_s` seconds; with `oidc` for the job's own identity, and nobody else's.
    """

    access_key_id: str = ""
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    profile: str = ""
    role_arn: str = ""
    session_name: str = SESSION_NAME
    duration_s: int = SESSION_S[1]
    external_id: str = ""
    can_create: ClassVar[bool] = True
    secrets: ClassVar[tuple[str, ...]] = ("secret_access_key", "session_token")

    def __str__(self) -> str:
        """Return the role, the key, the profile, or that AWS's chain is asked."""
        key, profile = self.access_key_id, self.profile
        if self.oidc is not None:
            return f"{self.role_arn} for the job's ID token"
        return self.role_arn or (
            f"access key {key}" if key else f"profile {profile}" if profile else "AWS default chain"
        )

    @property
    def host(self) -> str:
        """Return the registry's host: of the account it names, or its role's, or one that AWS must tell."""
        named = self.role_arn.split(":")[4:5] if self.role_arn.count(":") > 4 else []
        account = self.account or next((text for text in named if is_account(text)), UNKNOWN_ACCOUNT)
        return str(EcrHost(account, self.region))

    def problems(self) -> tuple[str, ...]:
        """Return all that AWS would refuse."""
        return tuple(_identity(self))


def is_role(text: str) -> bool:
    """Return whether a text names an IAM role, in any of AWS's partitions."""
    return 20 <= len(text) <= 2048 and _ROLE.fullmatch(text) is not None


def in_region(endpoint: RegistryEndpoint, region: str, account: str = "") -> RegistryEndpoint:
    """Return how the same registry is reached in another region (and another account), by the same identity.

    Raises ``ValueError`` for a host that is not ECR's or a region that cannot be one.
    """
    if parse(endpoint.host) is None:
        raise ValueError(f"{endpoint.host} is not an ECR registry, so it has no regions")
    if not is_region(region):
        raise ValueError(f"{region!r} is not an AWS region")
    identity = endpoint.identity
    if isinstance(identity, AwsIdentity):
        identity = replace(identity, region=region, account=account or identity.account)
    return replace(endpoint, host=host_in(endpoint.host, region, account), identity=identity)


def _identity(identity: AwsIdentity) -> Iterator[str]:
    if identity.region and not is_region(identity.region):
        yield f"region {identity.region!r} is not an AWS region"
    if identity.account and not is_account(identity.account):
        yield f"account {identity.account!r} is not 12 digits"
    if bool(identity.access_key_id) != bool(identity.secret_access_key):
        yield "accessKeyId and secretAccessKey go together"
    role = identity.role_arn
    if role and not is_role(role):
        yield f"role_arn {role!r} is not of the form arn:aws:iam::ACCOUNT:role/NAME"
    if not _SESSION.fullmatch(identity.session_name):
        yield (
            f"aws_session_name {identity.session_name!r} must be 2 to 64 letters, digits and characters of '_+=,.@-'"
        )
    if not SESSION_S[0] <= identity.duration_s <= SESSION_S[1]:
        yield f"aws_duration_seconds {identity.duration_s} is not between {SESSION_S[0]} and {SESSION_S[1]}"
    if identity.external_id and not _EXTERNAL.fullmatch(identity.external_id):
        yield "external_id must be 2 to 1224 letters, digits and characters of '_+=,.@:/-'"
    if identity.external_id and not role:
        yield "external_id is only relevant with role_arn"
    if identity.oidc is not None:
        if not role:
            yield "oidc needs role_arn, the role that the job's ID token is exchanged for"
        for name in ("access_key_id", "secret_access_key", "profile", "external_id"):
            if getattr(identity, name):
                yield f"{name} has no effect beside oidc"
    if isinstance(identity.creation, EcrCreation):
        yield from _creation(identity.creation)


def _creation(creation: EcrCreation) -> Iterator[str]:
    if creation.mutability and creation.mutability not in MUTABILITIES:
        yield f"tag mutability {creation.mutability!r} must be one of [{', '.join(MUTABILITIES)}]"
    with_exclusion = creation.mutability.endswith("_WITH_EXCLUSION")
    if creation.exclusions and not with_exclusion:
        yield "exclusion filters need tag mutability MUTABLE_WITH_EXCLUSION or IMMUTABLE_WITH_EXCLUSION"
    if with_exclusion and not 1 <= len(creation.exclusions) <= _MOST_EXCLUSIONS:
        yield f"{creation.mutability} needs 1 to {_MOST_EXCLUSIONS} exclusion filters, not {len(creation.exclusions)}"
    for text in creation.exclusions:
        if not _EXCLUSION.fullmatch(text):
            yield f"exclusion filter {text!r} must be 1 to 128 letters, digits and characters of '._*-'"
    if creation.encryption and creation.encryption not in ENCRYPTIONS:
        yield f"encryption {creation.encryption!r} must be one of [{', '.join(ENCRYPTIONS)}]"
    if creation.kms_key and creation.encryption not in ("KMS", "KMS_DSSE"):
        yield "a KMS key needs encryption KMS or KMS_DSSE"
    if len(creation.tags) > _MOST_TAGS:
        yield f"a repository takes at most {_MOST_TAGS} tags, not {len(creation.tags)}"
    for key, value in creation.tags:
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            yield f"repository tag {key!r}: keys have 1 to 128 characters and no prefix aws:, values at most 256"
    if creation.lifecycle_policy:
        yield from _policy(creation.lifecycle_policy)


def _policy(text: str) -> Iterator[str]:
    if not _LEAST_POLICY <= len(text) <= _MOST_POLICY:
        yield f"the lifecycle policy has {len(text)} characters, {_LEAST_POLICY} to {_MOST_POLICY} are allowed"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        yield "the lifecycle policy is not JSON"
        return
    if not isinstance(value, dict) or not isinstance(value.get("rules"), list):
        yield "the lifecycle policy is not an object with a list of rules"
