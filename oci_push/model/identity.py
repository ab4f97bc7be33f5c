"""Who we are at a cloud: what a registry login is made from, where the registry wants one that a cloud hands out.

Values only. An identity says *how* to get a login and never is one; the providers' files turn it into logins that
expire and are renewed. Everything that is empty is left to the cloud's own default chain (environment, profile,
web identity, instance metadata).
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from oci_push.secret import Secret

SESSION_NAME = "default-session-name"
"""The name of a role's session where the pipeline gives none."""
MIN_DURATION_S, MAX_DURATION_S = 900, 3600
"""Bounds of a chained role's session in seconds (AWS STS, AssumeRole, "role chaining")."""


class EcrCreation(Struct, frozen=True):
    """Say that a missing ECR repository is created, and how.

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


class AwsIdentity(Struct, frozen=True):
    """Say who asks ECR for a login and where; without keys AWS's default chain is asked.

    `account` is the registry's account where it is not the caller's own. `role_arn` is assumed with STS, under
    `session_name`, for `duration_s` seconds.
    """

    region: str = ""
    access_key_id: str = ""
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    profile: str = ""
    account: str = ""
    role_arn: str = ""
    session_name: str = SESSION_NAME
    duration_s: int = MAX_DURATION_S
    external_id: str = ""
    creation: EcrCreation | None = None


class GoogleIdentity(Struct, frozen=True):
    """Say who asks Google for a token: `keyfile` is the JSON text of a key; without it the ambient identity is used."""

    keyfile: Secret | None = None


class AzureIdentity(Struct, frozen=True):
    """Say who asks Azure for a registry token: a service principal, a federated one, or the managed identity."""

    tenant_id: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    federated_token_file: str = ""


Identity: TypeAlias = AwsIdentity | GoogleIdentity | AzureIdentity
