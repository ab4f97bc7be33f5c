"""Checking a push step's AWS keys: region, role and session length (the vendor's number is 206 for all of them)."""

from __future__ import annotations

from msgspec import Struct

from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Mapping
from oci_push.language.read import text
from oci_push.language.scalars import number
from oci_push.language.steps import Text
from oci_push.model.identity import MAX_DURATION_S, MIN_DURATION_S
from oci_push.providers.ecr.host import is_region
from oci_push.providers.ecr.rules import is_role_arn

CODE = 206
_VENDORS_REGIONS = frozenset(
    f"{area}-{number}"
    for area, numbers in {
        "us-east": "12",
        "us-west": "12",
        "af-south": "1",
        "ap-east": "1",
        "ap-south": "1",
        "ap-northeast": "123",
        "ap-southeast": "12",
        "ca-central": "1",
        "eu-central": "1",
        "eu-west": "123",
        "eu-north": "1",
        "me-south": "1",
        "sa-east": "1",
    }.items()
    for number in numbers
)
"""The vendor's closed list, which lacks many regions."""


class Aws(Struct, frozen=True):
    """A step and its path; `is_ecr` is ``provider: ecr``."""

    step: Mapping
    path: str
    is_ecr: bool


def check_aws(aws: Aws, provider: str | None, diagnostics: Diagnostics, *, role_of: str = "") -> None:
    """Check the keys for a registry of type `provider`: ``undefined`` where none is named, nothing where unknown.

    `role_of` is the type of the registry that is used although none is named.
    """
    _check_region(aws, provider, diagnostics)
    role = text(aws.step.get("role_arn"))
    if role is not None:
        _check_role(aws, role, provider if role_of == "" else role_of, diagnostics)
    _check_duration(aws, diagnostics, has_role=role is not None)


def _check_region(aws: Aws, provider: str | None, diagnostics: Diagnostics) -> None:
    region = text(aws.step.get("region"))
    if region is None:
        return
    path = f"{aws.path}.region"
    is_variable = region.text.startswith("${{") and "}}" in region.text
    if not is_variable and "${{" not in region.text and not is_region(region.text):
        hint = "a region looks like eu-west-1"
        diagnostics.error(region.mark, path, "aws region is invalid", code=CODE, hint=hint)
        return
    if not is_variable and region.text not in _VENDORS_REGIONS:
        hint = "every region of the usual shape is accepted here"
        diagnostics.refused_upstream(region.mark, path, "aws region is invalid", code=CODE, hint=hint)
    elif aws.is_ecr:
        message = "Unable to specify region with a registry of type: undefined"
        hint = "provider: ecr needs no registry"
        diagnostics.refused_upstream(region.mark, path, message, code=CODE, hint=hint)
    if provider is not None and provider != "ecr" and not aws.is_ecr:
        message = f"Unable to specify region with a registry of type: {provider}"
        hint = "name an ECR registry in registry:, or write provider: ecr"
        diagnostics.error(region.mark, path, message, code=CODE, hint=hint)


def _check_role(aws: Aws, role: Text, provider: str | None, diagnostics: Diagnostics) -> None:
    path = f"{aws.path}.role_arn"
    if "${{" in role.text:
        hint = "it is checked here when the variable has a value"
        diagnostics.refused_upstream(role.mark, path, "Invalid role_arn", code=CODE, hint=hint)
    elif not is_role_arn(role.text):
        hint = "a role looks like arn:aws:iam::123456789012:role/NAME"
        diagnostics.error(role.mark, path, "Invalid role_arn", code=CODE, hint=hint)
    if provider not in (None, "ecr", "undefined") and not aws.is_ecr:
        message = f"Unable to specify role_arn with a registry of type: {provider}"
        diagnostics.error(role.mark, path, message, code=CODE, hint="name an ECR registry in registry:")


def _check_duration(aws: Aws, diagnostics: Diagnostics, *, has_role: bool) -> None:
    node = aws.step.get("aws_duration_seconds")
    seconds = number(node)
    if node is None or seconds is None:
        return
    path = f"{aws.path}.aws_duration_seconds"
    if not has_role:
        message = "aws_duration_seconds is only relevant when using role chaining"
        diagnostics.error(node.mark, path, message, code=CODE, hint="give the role: role_arn: ARN")
    elif not MIN_DURATION_S <= seconds <= MAX_DURATION_S:
        message = "When using role chaining, the duration of the role session must be between 15 minutes and 1 hour"
        hint = f"write a number from {MIN_DURATION_S} to {MAX_DURATION_S}"
        diagnostics.error(node.mark, path, message, code=CODE, hint=hint)
