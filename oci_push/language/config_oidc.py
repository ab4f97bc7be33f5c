"""The key ``oidc`` of a registry: with whose token a job logs in, what cannot be, and what a found file may not have.

A file that was merely found may be a stranger's: it gets a token only where the user has allowed the variable that
gives it, as any other variable; it names neither a file with one nor a program to run.
"""

from __future__ import annotations

from msgspec import Struct

from oci_push.language.config_values import ValueReader
from oci_push.language.document import Node, Scalar, YamlMapping
from oci_push.language.scalars import items
from oci_push.language.trust_rules import OIDC
from oci_push.model.identity import JobToken
from oci_push.providers.base import Family
from oci_push.providers.families import FAMILIES
from oci_push.secret import Secret

LOGINS = (
    "password",
    "password_file",
    "token",
    "token_file",
    "keyfile",
    "keyfile_path",
    "client_secret",
    "client_secret_file",
    "federated_token_file",
    "access_key_id",
    "secret_access_key",
    "secret_access_key_file",
    "session_token",
    "profile",
)
"""Keys that give a login of another kind."""
TRUSTS = ("workload_identity_provider", "service_account", "connection_id", "oidc_provider", "oidc_audience")
"""Keys that say nothing without ``oidc``."""


class Complaint(Struct, frozen=True):
    """What is wrong, at which key, and what to do."""

    key: str
    message: str
    hint: str = ""


def complaints(found: dict[str, Node], family: Family, domain: str) -> list[Complaint]:
    """Return what keeps the keys of a registry from meaning anything together."""
    if "oidc" not in found:
        keys = [key for key in TRUSTS if key in found]
        return [Complaint(keys[0], f'"{keys[0]}" has no effect without oidc', "write oidc: auto")] if keys else []
    problems = [
        Complaint(key, f'"{key}" and oidc are two logins', "keep one of them") for key in LOGINS if key in found
    ]
    if family.job_identity is None:
        takers = ", ".join(one.name for one in FAMILIES if one.job_identity is not None)
        own = " (a job's GITHUB_TOKEN and GitLab's job token are used by themselves)"
        hint = f"these do: {takers}{own if family.name in ('github', 'gitlab') else ''}"
        problems.append(Complaint("oidc", f"registries of family {family.name} take no ID token of a job", hint))
    elif domain and not (family.is_own_exchange or family.matches(domain)):
        problems.append(Complaint("oidc", f"{domain} is none of {family.name}'s own hosts, to which its logins go"))
    return problems


def job_token(node: Node, audience: str, values: ValueReader) -> JobToken | None:
    """Return where the token is got; nothing, and why among what is missing, where the file may not have it."""
    if not isinstance(node, YamlMapping):
        return JobToken(audience=audience) if _may_ask(node, values) else None
    inside = OIDC.nodes(node)
    name, path, command = inside.get("env"), inside.get("file"), inside.get("command")
    if isinstance(name, Scalar):
        variable = values.expanded(name) or ""
        if not variable or not _may_use(name, variable, values):
            return None
        Secret(values.env.get(variable, "").strip())  # it is masked from now on
        return JobToken(env=variable, audience=audience)
    if not values.origin.is_named:
        # Also in its own folder: an earlier step may have left a token there that is for somebody else.
        _refuse(node, "may not name a program to run" if command else "may not name a file with a token", values)
        return None
    if isinstance(path, Scalar):
        place = values.path(path, "oidc.file")
        return JobToken(file=place, audience=audience) if place else None
    words = tuple(values.expanded(item) or "" for item in items(command) if isinstance(item, Scalar))
    return JobToken(command=words, audience=audience) if words else None


def _may_ask(node: Node, values: ValueReader) -> bool:
    from oci_push.providers.job_tokens import find_service

    service = find_service(values.env)
    variable = service.secret if service else ""
    if variable:
        Secret(values.env.get(variable, "").strip())
    if values.origin.is_named:
        return True
    if not variable:
        _refuse(node, "may not have the job's own identity", values)
        return False
    return _may_use(node, variable, values)


def _may_use(node: Node, variable: str, values: ValueReader) -> bool:
    if values.origin.may_use(variable, values.host):
        return True
    allowed = f"{variable}@{values.host}" if values.host else variable
    _refuse(node, f"may not have the job's own identity ({variable})", values, f"allow it: --allow-env {allowed}; or ")
    return False


def _refuse(node: Node, what: str, values: ValueReader, way: str = "") -> None:
    hint = f"{way}name the file, if you trust it: --config {node.location.file}"
    values.missing.append(node.location.problem(f"oidc: this file was found, not named, and {what}", hint=hint))
