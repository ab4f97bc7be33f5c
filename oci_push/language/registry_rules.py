"""What a registry, a region and a role of a step may be: the one place that says no, in the vendor's words.

`validate` collects these refusals beside each other (`schema_registries`), plans and runs raise the first
(`resolve_registry`). Numbers are the vendor's: 200 to 202 for registries, 206 for all of AWS.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from msgspec import Struct

from oci_push.errors import ConfigError, Diagnostic
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Location
from oci_push.providers.base import RegionalProvider
from oci_push.providers.families import is_region, known_regional

AWS_CODE = 206
AWS_PROVIDER = "ecr"
"""The language's word for the registries that `region`, `role_arn` and the like are about, and our family's name."""
NONE_ADDED = "You have not added a registry integration."
INVALID_REGION, INVALID_ROLE = "aws region is invalid", "Invalid role_arn"
_RETIRED = ("cfcr", "r.cfcr.io")


class RegistryRefusal(Struct, frozen=True):
    """Why something is refused, what to write instead, and the vendor's number."""

    message: str
    hint: str
    code: int = AWS_CODE

    def at(self, location: Location) -> ConfigError:
        """Return it as an error with a place in the file."""
        return ConfigError(
            problems=[
                Diagnostic(self.message, location.file, location.line, location.column, code=self.code, hint=self.hint)
            ]
        )

    def tell(self, location: Location, path: str, diagnostics: Diagnostics) -> None:
        """Add it to what is told together."""
        diagnostics.error(location, path, self.message, code=self.code, hint=self.hint)


def aws_cloud() -> RegionalProvider:
    """Return what is known of the cloud behind the language's word."""
    return known_regional(AWS_PROVIDER)


def does_not_exist(name: str) -> str:
    """Return the vendor's words for a registry that nobody describes; the number is 202."""
    return f"Registry '{name}' does not exist."


def unknown_registry(name: str, known: Sequence[str]) -> RegistryRefusal:
    """Refuse a registry that nobody describes and that is no host; `known` are those that are described."""
    hint = hint_for_unknown(name, known)
    return RegistryRefusal(does_not_exist(name), hint, 202) if known else RegistryRefusal(NONE_ADDED, hint, 200)


def hint_for_unknown(name: str, known: Sequence[str]) -> str:
    """Return what may be meant by a registry that nobody describes."""
    if name.lower() in _RETIRED:
        return (
            f"{name} was the vendor's own registry, which is closed; describe the one that took its place:"
            f" registries: [{{name: {name}, domain: HOST}}] in oci-push.yaml"
        )
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    if known:
        return f"known registries: {', '.join(known)}"
    return "describe it under registries: in oci-push.yaml, or name a host in registry:"


def refuse_region(region: str) -> RegistryRefusal | None:
    """Refuse what no region of AWS looks like."""
    return None if is_region(region) else RegistryRefusal(INVALID_REGION, "a region looks like eu-west-1")


def refuse_role(role: str) -> RegistryRefusal | None:
    """Refuse what names no IAM role."""
    return (
        None
        if aws_cloud().is_role(role)
        else RegistryRefusal(INVALID_ROLE, "a role looks like arn:aws:iam::123456789012:role/NAME")
    )


def refuse_duration(seconds: float, *, has_role: bool) -> RegistryRefusal | None:
    """Refuse the length of a session that has no role, or that AWS does not grant to chained roles."""
    if not has_role:
        message = "aws_duration_seconds is only relevant when using role chaining"
        return RegistryRefusal(message, "give the role: role_arn: ARN")
    least, most = aws_cloud().SESSION_S
    if least <= seconds <= most:
        return None
    message = "When using role chaining, the duration of the role session must be between 15 minutes and 1 hour"
    return RegistryRefusal(message, f"write a number from {least} to {most}")


def not_for(provider: str, key: str) -> RegistryRefusal:
    """Refuse a key of AWS with a registry of another type."""
    message = f"Unable to specify {key} with a registry of type: {provider}"
    return RegistryRefusal(message, "name an ECR registry in registry:, or write provider: ecr")
