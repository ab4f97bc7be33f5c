"""What AWS accepts for roles, sessions and new repositories, checked before any request leaves.

Limits: STS API reference, AssumeRole; ECR API reference, CreateRepository. botocore enforces neither patterns nor
maxima, so that a mistake would come back as a message about a request nobody has seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from oci_push.model.identity import MAX_DURATION_S, MIN_DURATION_S, AwsIdentity, EcrCreation
from oci_push.providers.ecr.host import is_region

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\x21-\x7e]+")
_SESSION = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EXTERNAL = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_EXCLUSION = re.compile(r"[0-9a-zA-Z._*-]{1,128}")
MUTABILITIES = ("MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION")
ENCRYPTIONS = ("AES256", "KMS", "KMS_DSSE")
_MOST_EXCLUSIONS, _MOST_TAGS = 5, 50
_LEAST_POLICY, _MOST_POLICY = 100, 30_720


def identity_problems(identity: AwsIdentity) -> tuple[str, ...]:
    """List everything AWS would refuse in an identity; a message begins with the field's pipeline name."""
    return tuple(_identity(identity))


def is_role_arn(text: str) -> bool:
    """Say whether a text names an IAM role, in any of AWS's partitions."""
    return 20 <= len(text) <= 2048 and _ROLE.fullmatch(text) is not None


def creation_problems(creation: EcrCreation) -> tuple[str, ...]:
    """List everything ECR would refuse in the settings of new repositories."""
    return tuple(_creation(creation))


def _identity(identity: AwsIdentity) -> Iterator[str]:
    if identity.region and not is_region(identity.region):
        yield f"region {identity.region!r} is not an AWS region"
    if identity.account and not _ACCOUNT.fullmatch(identity.account):
        yield f"account {identity.account!r} is not 12 digits"
    if bool(identity.access_key_id) != bool(identity.secret_access_key):
        yield "accessKeyId and secretAccessKey go together"
    role = identity.role_arn
    if role and not is_role_arn(role):
        yield f"role_arn {role!r} is not of the form arn:aws:iam::ACCOUNT:role/NAME"
    if not _SESSION.fullmatch(identity.session_name):
        yield (
            f"aws_session_name {identity.session_name!r} must be 2 to 64 letters, digits and characters of '_+=,.@-'"
        )
    if not MIN_DURATION_S <= identity.duration_s <= MAX_DURATION_S:
        yield f"aws_duration_seconds {identity.duration_s} is not between {MIN_DURATION_S} and {MAX_DURATION_S}"
    if identity.external_id and not _EXTERNAL.fullmatch(identity.external_id):
        yield "external_id must be 2 to 1224 letters, digits and characters of '_+=,.@:/-'"
    if identity.external_id and not role:
        yield "external_id is only relevant with role_arn"
    if identity.creation is not None:
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
