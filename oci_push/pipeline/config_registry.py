"""Reading one registry of ``oci-push.yaml``.

Keys are taken in the vendor API's camelCase and in Terraform's snake_case alike, also nested under ``spec.PROVIDER`` as
Terraform writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from oci_push.errors import CredentialsError, Problem
from oci_push.model.access import Login, Trust
from oci_push.model.aws_rules import identity_problems
from oci_push.model.ecr_host import is_region
from oci_push.model.identity import (
    MAX_DURATION_S,
    SESSION_NAME,
    AwsIdentity,
    AzureIdentity,
    EcrCreation,
    GoogleIdentity,
    Identity,
)
from oci_push.model.reference import DOCKER_HUB, Repository
from oci_push.model.secret import Secret
from oci_push.pipeline import document
from oci_push.pipeline.config_values import Values
from oci_push.pipeline.document import Mapping, Mark, Node, Scalar, Sequence
from oci_push.pipeline.integrations import PROVIDERS, Integration
from oci_push.pipeline.scalars import boolean
from oci_push.pipeline.schema import not_allowed
from oci_push.protocol.credentials import basic_password, basic_user

_ALIASES = {"standard": "other", "docker": "other", "google": "gcr"}
_SECRETS = ("password", "token", "client_secret", "secret_access_key", "session_token", "keyfile")
_TLS = ("insecure", "plain_http", "ca", "cert", "key", "address")
_ECR = (
    "region", "regions", "access_key_id", "secret_access_key", "secret_access_key_file", "session_token", "profile",
    "account", "role_arn", "aws_session_name", "aws_duration_seconds", "external_id",
    "get_creds_from_service_account", "create_repository", "replicate",
)  # fmt: skip
_OTHERS = (
    "username", "password", "password_file", "token", "token_file", "keyfile", "keyfile_path", "location",
    "client_id", "client_secret", "client_secret_file", "tenant_id", "federated_token_file",
)  # fmt: skip
_COMMON = (
    "name", "kind", "provider", "domain", "default", "primary", "repository_prefix", "fallback_registry",
    "behind_firewall", "internal", "deny_composite_domain", "spec",
)  # fmt: skip
_KEYS = _COMMON + _OTHERS + _ECR + _TLS
_CREATION = ("scan_on_push", "mutability", "exclusions", "encryption", "kms_key", "tags", "lifecycle_policy")


def snake_case(key: str) -> str:
    """Give a key of the vendor's API as Terraform and we spell it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", key)


class RegistryReader:
    """Turn mappings into integrations; what is wrong goes to the findings of `values`."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def integration(self, node: Node, path: str) -> Integration | None:
        """Read one registry; gives nothing where it is no mapping."""
        if not isinstance(node, document.Mapping):
            self._values.findings.error(node.mark, path, "a registry is a mapping with name, provider and domain")
            return None
        keys = _Keys(self._values.for_one(), path, node.mark)
        keys.add(node)
        name = keys.text("name")
        if not name:
            keys.error(node.mark, 'a registry needs a "name"')
        provider = keys.text("provider") or "other"
        provider = _ALIASES.get(provider, provider)
        if provider not in PROVIDERS:
            mark = keys.found["provider"].mark
            keys.error(mark, f'"provider" must be one of [{", ".join(PROVIDERS)}]. Current value: {provider}')
        identity = _identity(provider, keys)
        domain = _domain(provider, keys, name, identity)
        return Integration(
            name,
            provider,
            domain,
            node.mark,
            _login(provider, keys, name),
            identity,
            _trust(keys),
            keys.flag("default", default=False),
            keys.flag("primary", default=True),
            keys.text("repository_prefix").strip("/"),
            keys.text("fallback_registry"),
            keys.text("address"),
            keys.texts("regions"),
            keys.flag("replicate", default=False),
            keys.values.missing[0] if keys.values.missing else None,
        )


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of one registry by their snake_case names."""

    values: Values
    path: str
    mark: Mark
    found: dict[str, Node] = field(default_factory=dict)

    def add(self, node: Mapping) -> None:
        for entry in node.entries:
            key = snake_case(entry.key.text)
            if key == "spec":
                for nested in entry.value.entries if isinstance(entry.value, document.Mapping) else ():
                    self.found.setdefault("provider", Scalar(nested.key.mark, nested.key.text, nested.key.text, True))
                    if isinstance(nested.value, document.Mapping):
                        self.add(nested.value)
            elif key not in _KEYS:
                self.error(entry.key.mark, f"{not_allowed(entry.key.text, _KEYS)} (in a registry)")
            elif isinstance(entry.value, Scalar) or key in ("create_repository", "regions"):
                self.found[key] = entry.value
            else:
                self.error(entry.value.mark, f'"{entry.key.text}" must be a string')

    def error(self, mark: Mark, message: str, hint: str | None = None) -> None:
        self.values.findings.error(mark, self.path, message, hint=hint)

    def text(self, key: str) -> str:
        node = self.found.get(key)
        if not isinstance(node, Scalar) or node.value is None:
            return ""
        return (self.values.secret(node, key) if key in _SECRETS else self.values.expanded(node)) or ""

    def secret(self, *keys: str) -> Secret | None:
        """Read the first of the keys that is there; ``NAME_file`` and ``NAME_path`` name a file that holds it."""
        for key in keys:
            for name in (f"{key}_file", f"{key}_path"):
                node = self.found.get(name)
                text = self.values.file(node, name) if isinstance(node, Scalar) else None
                if text:
                    return Secret(text)
            text = self.text(key)
            if text:
                return Secret(text)
        return None

    def flag(self, key: str, *, default: bool) -> bool:
        node = self.found.get(key)
        if node is None:
            return default
        value = boolean(node)
        if value is None:
            self.error(node.mark, f'"{key}" must be true or false')
        return bool(value)

    def texts(self, key: str) -> tuple[str, ...]:
        node = self.found.get(key)
        if isinstance(node, Sequence):
            items = [self.values.expanded(item) for item in node.items if isinstance(item, Scalar)]
            return tuple(dict.fromkeys(item for item in items if item))
        if node is not None:
            self.error(node.mark, f'"{key}" must be an array')
        return ()

    def number(self, key: str, default: int) -> int:
        node = self.found.get(key)
        if node is None:
            return default
        text = self.text(key)
        if not text.isascii() or not text.isdigit():
            self.error(node.mark, f'"{key}" must be a number')
            return default
        return int(text[:9])

    def file_path(self, key: str) -> str:
        node = self.found.get(key)
        return self.values.path(node) if isinstance(node, Scalar) else ""


def _trust(keys: _Keys) -> Trust:
    plain = keys.flag("plain_http", default=False) if "plain_http" in keys.found else None
    return Trust(
        plain,
        keys.flag("insecure", default=False),
        keys.file_path("ca"),
        keys.file_path("cert"),
        keys.file_path("key"),
    )


def _login(provider: str, keys: _Keys, name: str) -> Login | None:
    if provider == "ecr":
        return None
    source = f"registry {name!r}"
    user = keys.text("username")
    secret = keys.secret("password", "token")
    if not user and secret and provider in ("gcr", "gar"):
        user = "oauth2accesstoken"
    if secret is None:
        return None
    try:
        # Without a user name the registry's family may know the one that goes with a token.
        return Login(basic_user(user, source), basic_password(secret.reveal(), source), source=source)
    except CredentialsError as problem:  # told when it is used
        keys.values.missing.append(Problem(str(problem), keys.mark.file, keys.mark.line, keys.mark.column))
        return None


def _identity(provider: str, keys: _Keys) -> Identity | None:
    if provider == "ecr":
        regions = keys.texts("regions") if "regions" in keys.found else ()
        identity = AwsIdentity(
            region=keys.text("region") or ("" if keys.text("domain") else next(iter(regions), "")),
            access_key_id=keys.text("access_key_id"),
            secret_access_key=keys.secret("secret_access_key"),
            session_token=keys.secret("session_token"),
            profile=keys.text("profile"),
            account=keys.text("account"),
            role_arn=keys.text("role_arn"),
            session_name=keys.text("aws_session_name") or SESSION_NAME,
            duration_s=keys.number("aws_duration_seconds", MAX_DURATION_S),
            external_id=keys.text("external_id"),
            creation=_creation(keys),
        )
        problems = [] if keys.values.missing else list(identity_problems(identity))
        problems += [f"region {region!r} is not an AWS region" for region in regions if not is_region(region)]
        for problem in dict.fromkeys(problems):
            keys.error(keys.mark, problem)
        return identity
    if provider in ("gcr", "gar"):
        return GoogleIdentity(keys.secret("keyfile"))
    if provider == "acr":
        return AzureIdentity(
            keys.text("tenant_id"),
            keys.text("client_id"),
            keys.secret("client_secret"),
            keys.file_path("federated_token_file"),
        )
    return None


def _creation(keys: _Keys) -> EcrCreation | None:
    node = keys.found.get("create_repository")
    if not isinstance(node, document.Mapping):
        return EcrCreation() if keys.flag("create_repository", default=False) else None
    known: dict[str, Node] = {}
    for entry in node.entries:
        if snake_case(entry.key.text) in _CREATION:
            known[snake_case(entry.key.text)] = entry.value
        else:
            keys.error(entry.key.mark, f"{not_allowed(entry.key.text, _CREATION)} (in create_repository)")
    inside = _Keys(keys.values, f"{keys.path}.create_repository", node.mark, known)
    tags = known.get("tags")
    if tags is not None and not isinstance(tags, document.Mapping):
        keys.error(tags.mark, '"tags" must map names to values')
    pairs = tags.entries if isinstance(tags, document.Mapping) else ()
    policy = known.get("lifecycle_policy")
    return EcrCreation(
        inside.flag("scan_on_push", default=False),
        inside.text("mutability").upper(),
        inside.texts("exclusions") if "exclusions" in known else (),
        inside.text("encryption").upper(),
        inside.text("kms_key"),
        tuple((pair.key.text, pair.value.text) for pair in pairs if isinstance(pair.value, Scalar)),
        (keys.values.file(policy, "lifecycle_policy") or "") if isinstance(policy, Scalar) else "",
    )


def _domain(provider: str, keys: _Keys, name: str, identity: Identity | None) -> str:
    domain = keys.text("domain").removeprefix("https://").removeprefix("http://").rstrip("/")
    if provider == "dockerhub":
        return DOCKER_HUB
    if provider == "gar" and "." not in domain:
        location = keys.text("location") or domain
        domain = f"{location}-docker.pkg.dev" if location else ""
    if provider == "ecr" and domain in ("", "from.service-account"):
        if isinstance(identity, AwsIdentity) and not identity.region and not keys.values.missing:
            keys.error(keys.mark, f'registry {name!r} needs a "region"')
        return ""
    try:
        return Repository(domain, "x").host
    except ValueError as problem:
        mark = keys.found["domain"].mark if "domain" in keys.found else keys.mark
        missing = f'registry {name!r} needs a "domain"'
        message = f"registry {name!r}: {problem}" if domain else missing
        keys.error(mark, message, "domain is HOST[:PORT], without a path")
        return "domain.invalid"
