"""Building the registries of ``oci-push.yaml`` from what `config_schema` has checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from oci_push.language.config_oidc import complaints, job_token
from oci_push.language.config_schema import CREATION, PROVIDER_ALIASES, REGISTRY
from oci_push.language.config_values import SecretSource, ValueReader
from oci_push.language.diagnostics import Diagnostics
from oci_push.language.document import Location, Node, Scalar, YamlMapping
from oci_push.language.integrations import PROVIDERS, Integration
from oci_push.language.scalars import boolean, entries, items
from oci_push.language.schema import Fields
from oci_push.language.trust_rules import read_requirement, read_signing
from oci_push.model.endpoint import TlsConfig, is_loopback
from oci_push.model.identity import CloudIdentity, RepositoryCreation
from oci_push.model.reference import DOCKER_HUB, Repository
from oci_push.model.traffic import AS_USUAL, Traffic
from oci_push.providers.base import Family, RegionalProvider
from oci_push.providers.families import FAMILY_NAMES, find_family
from oci_push.secret import Secret

T = TypeVar("T")


class RegistryReader:
    """Turn checked mappings into integrations; what is wrong still goes to the diagnostics of `values`."""

    def __init__(self, values: ValueReader) -> None:
        self._values = values

    def integration(self, node: Node, path: str) -> Integration | None:
        """Build one registry; nothing where it is no mapping."""
        if not isinstance(node, YamlMapping):
            return None
        keys = _Keys(self._values.apart(), path, node.location, REGISTRY, REGISTRY.nodes(node))
        name = keys.text("name")
        if not name and keys.values.missing:
            lacking = keys.values.missing[0]
            keys.warn(node.location, f"a registry has no name: {lacking.message}", lacking.hint or "")
            return None
        if not name and "name" in keys.found:
            keys.error(keys.found["name"].location, 'a registry needs a "name"')
        provider = keys.text("provider") or "other"
        provider = PROVIDER_ALIASES.get(provider, provider)
        family = keys.text("family")
        if provider not in PROVIDERS and provider in FAMILY_NAMES:
            provider, family = "other", family or provider
        regions = keys.texts("regions")
        of_provider = find_family("", PROVIDERS.get(provider, "other"))
        cloud, kind = of_provider.regional, of_provider.identity
        region = keys.text("region") or ("" if cloud is None or keys.text("domain") else next(iter(regions), ""))
        domain = _domain(provider, keys, name, region)
        address = keys.text("address")
        prefix, fallback = keys.text("repository_prefix").strip("/"), keys.text("fallback_registry")
        account = keys.text("account")
        # What follows serves the login, which plans and rehearsals do without.
        is_loose = _is_loose(keys, domain, address)
        inside = keys.apart("" if is_loose else domain or (cloud.DOMAIN if cloud else ""))
        identity: CloudIdentity | None = None
        secrets: Mapping[str, SecretSource] = {}
        said = family if family in FAMILY_NAMES else ""  # another is told of as such
        taker = find_family(domain or "domain.invalid", said) if provider == "other" else of_provider
        for one in complaints(keys.found, taker, domain):
            keys.error(keys.found[one.key].location, one.message, one.hint or None)
        oidc = keys.found.get("oidc")
        known: dict[str, object] = {"region": region, "account": account}
        if oidc is not None:
            kind = taker.job_identity
            known["oidc"] = job_token(oidc, inside.text("oidc_audience"), inside.values)
        if kind is not None:
            identity, secrets = _identity(kind, cloud, inside, known)
        if identity is not None and not keys.values.missing and not (oidc and inside.values.missing):
            _check_identity(identity, cloud, secrets, regions, inside)
        password = None if cloud is not None else inside.secret("password", "token")
        tls = _trust(inside)
        traffic, headers = _traffic(keys), _headers(inside)
        sign = read_signing(keys.found.get("sign"), keys.values, f"{path}.sign", job_token)
        require = read_requirement(keys.found.get("require"), keys.values, f"{path}.require")
        if (
            require is not None
            and cloud is not None
            and not domain
            and not (identity is not None and cloud.account_of(identity.host))
        ):
            hint = "write its domain, ACCOUNT.dkr.ecr.REGION.amazonaws.com"
            message = f'registry {name!r}: "require" goes by the host, and the account is not known here'
            keys.error(keys.found["require"].location, message, hint)
        if sign and not self._values.origin.is_named:
            keys.miss(f"registry {name!r}: this file was found, not named, and may not say what is signed")
        if is_loose and identity is not None and password is None:
            message = (
                f"registry {name!r}: this file was found, not named, and may not say how a cloud's registry is reached"
            )
            inside.miss(message)
        keyfile = secrets.get("keyfile")
        if keyfile is not None and not self._values.origin.is_named and not keyfile.is_from_environment():
            # Keys of the kind external_account name files and URLs of their own.
            inside.miss(f"registry {name!r}: this file was found, not named, and may only give a keyfile as ${{NAME}}")
        if is_loose and identity is None and password is None:
            message = (
                f"registry {name!r} gets no login from elsewhere: this file, which was found, says how it is reached"
            )
            keys.warn(node.location, message, f"name the file, if you trust it: --config {node.location.file}")
        return Integration(
            name,
            provider,
            domain,
            node.location,
            "" if cloud is not None else inside.text("username") or _filler(provider, of_provider),
            password,
            identity,
            secrets,
            tls,
            keys.flag("default", default=False),
            keys.flag("primary", default=True),
            prefix,
            fallback,
            address,
            regions,
            keys.flag("replicate", default=False),
            is_loose,
            family,
            traffic,
            headers,
            sign,
            require,
            tuple(keys.values.missing),
            tuple(inside.values.missing),
        )


class _Keys(Struct, frozen=True):
    """The keys of one registry, or of what creates its repositories, by their names in `table`."""

    values: ValueReader
    path: str
    location: Location
    table: Fields[None]
    found: dict[str, Node]

    def apart(self, host: str) -> _Keys:
        """Return the same with a list of its own of what is missing, and variables that are allowed for `host`."""
        return replace(self, values=self.values.apart(host))

    def error(self, location: Location, message: str, hint: str | None = None) -> None:
        self.values.diagnostics.error(location, self.path, message, hint=hint)

    def text(self, key: str) -> str:
        node = self.found.get(key)
        if not isinstance(node, Scalar) or node.value is None:
            return ""
        text = self.values.expanded(node) or ""
        if text != node.text:  # only now it can be judged; what a variable holds is never shown
            judged = Diagnostics()
            found = Scalar(node.location, text, text, quoted=True)
            self.table.fields[key].rule.check(key, found, f"{self.path}.{key}", judged)
            for problem in judged.errors:
                self.error(node.location, f"{problem.message.partition('. Current value')[0]}, and {node.text} is not")
        return text

    def secret(self, *keys: str) -> SecretSource | None:
        """Return where a secret is, which is read when it is used; ``NAME_file`` and ``NAME_path`` name a file."""
        choices: list[tuple[Scalar, str]] = []
        for key in keys:
            for name in (f"{key}_file", f"{key}_path", key):
                node = self.found.get(name)
                if not isinstance(node, Scalar) or node.value in (None, ""):
                    continue
                choices.append((node, "" if name == key else name))
                if name == key:
                    self.values.warn_if_written(node, key)
        return SecretSource(self.values, tuple(choices)) if choices else None

    def read(self, key: str, words: Callable[[str], T], default: T) -> T:
        """Return what a text means; a mistake is told with its place, and never shows what a variable holds."""
        text, node = self.text(key), self.found.get(key)
        if not text or not isinstance(node, Scalar):
            return default
        try:
            return words(text)
        except ValueError as problem:
            said = problem if text == node.text else f"{node.text} is not what can stand here"
            self.error(node.location, f'"{key}": {said}')
            return default

    def flag(self, key: str, *, default: bool) -> bool:
        node = self.found.get(key)
        if node is None:
            return default
        return bool(boolean(node))

    def texts(self, key: str) -> tuple[str, ...]:
        found = [self.values.expanded(item) for item in items(self.found.get(key)) if isinstance(item, Scalar)]
        return tuple(dict.fromkeys(text for text in found if text))

    def number(self, key: str, default: int) -> int:
        text = self.text(key)
        return int(text[:9]) if text.isascii() and text.isdigit() else default

    def file_path(self, key: str) -> str:
        node = self.found.get(key)
        return self.values.path(node, key) if isinstance(node, Scalar) else ""

    def warn(self, location: Location, message: str, hint: str) -> None:
        self.values.diagnostics.warn(location, self.path, message, hint=hint)

    def miss(self, message: str) -> None:
        """Note what keeps the registry from being logged in to, because the file was only found."""
        hint = f"name the file, if you trust it: --config {self.location.file}"
        self.values.missing.append(self.location.problem(message, hint=hint))


def _trust(keys: _Keys) -> TlsConfig:
    plain = keys.flag("plain_http", default=False) if "plain_http" in keys.found else None
    return TlsConfig(
        plain,
        keys.flag("insecure", default=False),
        keys.file_path("ca"),
        keys.file_path("cert"),
        keys.file_path("key"),
    )


def _is_loose(keys: _Keys, domain: str, address: str) -> bool:
    """Return whether a file that was only found changes how a registry is reached, and so who could read its login."""
    if keys.values.origin.is_named:
        return False
    keeps = is_loopback(domain) or not any(
        keys.flag(key, default=False) for key in ("insecure", "plain_http") if key in keys.found
    )
    # A name is a stranger's as well, and some servers take a request for another one by a header.
    values = [one.value for one in entries(keys.found.get("headers")) if isinstance(one.value, Scalar)]
    says = any(not SecretSource(keys.values, ((node, ""),)).is_from_environment() for node in values)
    return bool(address) or not keeps or "ca" in keys.found or says


def _traffic(keys: _Keys) -> Traffic:
    """Return what is said of the requests to a registry, but for its headers."""
    if keys.found.keys().isdisjoint(("requests_per_second", "chunk_size", "mount", "user_agent")):
        return AS_USUAL
    from oci_push.model import traffic_words as words

    return Traffic(
        keys.read("requests_per_second", words.requests_per_s, 0.0),
        keys.read("chunk_size", words.chunk_bytes, 0),
        keys.read("mount", words.mount_rule, None),
        keys.read("user_agent", words.user_agent, ""),
    )


def _headers(keys: _Keys) -> Mapping[str, SecretSource]:
    """Return where the values of a registry's own headers are; names are checked here."""
    found: dict[str, SecretSource] = {}
    for entry in entries(keys.found.get("headers")):
        from oci_push.model.traffic_words import header_name

        name, node = entry.key.text, entry.value
        try:
            if header_name(name).lower() in map(str.lower, found):
                raise ValueError(f"{name} is given twice")
        except ValueError as problem:
            keys.error(entry.key.location, f'"headers": {problem}')
            continue
        if isinstance(node, Scalar):
            found[name] = SecretSource(keys.values, ((node, ""),))
    return found


def _filler(provider: str, family: Family) -> str:
    """Return the user name that goes with a token, where the host is not asked whose registry it is."""
    return family.filler_user if provider in ("gcr", "gar") else ""


_KEYS = {"session_name": "aws_session_name", "duration_s": "aws_duration_seconds", "creation": "create_repository"}
"""The keys of an identity's fields, where they are not the fields' own names."""


def _identity(
    kind: type[CloudIdentity], cloud: RegionalProvider | None, keys: _Keys, known: Mapping[str, object]
) -> tuple[CloudIdentity, Mapping[str, SecretSource]]:
    """Return who asks a cloud for a login, without secrets, and where those are, by the identity's field.

    `known` are fields that are read already.
    """
    default = kind()
    found: dict[str, object] = {}
    secrets: dict[str, SecretSource] = {}
    for name in kind.__struct_fields__:
        key = _KEYS.get(name, name)
        if name in kind.secrets:
            secret = keys.secret(key)
            if secret is not None:
                secrets[name] = secret
        elif name in known:
            found[name] = known[name]
        elif name == "creation":
            found[name] = _creation(cloud, keys) if cloud else None
        elif name == "oidc":
            found[name] = None
        elif isinstance(getattr(default, name), int):
            found[name] = keys.number(key, getattr(default, name))
        else:
            found[name] = keys.file_path(key) if name.endswith("_file") else keys.text(key)
    return replace(default, **{name: value for name, value in found.items() if value != ""}), secrets


def _check_identity(
    identity: CloudIdentity,
    cloud: RegionalProvider | None,
    secrets: Mapping[str, SecretSource],
    regions: tuple[str, ...],
    keys: _Keys,
) -> None:
    """Add what the cloud would refuse, as far as everything that was written could be read."""
    problems = [f"region {one!r} is not an AWS region" for one in regions if cloud and not cloud.is_region(one)]
    if not keys.values.missing:
        written = dict.fromkeys(secrets, Secret("-"))
        problems = [*replace(identity, **written).problems(), *problems]
    for problem in dict.fromkeys(problems):
        keys.error(keys.location, problem)


def _creation(cloud: RegionalProvider, keys: _Keys) -> RepositoryCreation | None:
    node = keys.found.get("create_repository")
    if not isinstance(node, YamlMapping):
        return cloud.CREATION() if keys.flag("create_repository", default=False) else None
    known = CREATION.nodes(node)
    inside = _Keys(keys.values, f"{keys.path}.create_repository", node.location, CREATION, known)
    policy = known.get("lifecycle_policy")
    return cloud.CREATION(
        scan_on_push=inside.flag("scan_on_push", default=False),
        mutability=inside.text("mutability").upper(),
        exclusions=inside.texts("exclusions"),
        encryption=inside.text("encryption").upper(),
        kms_key=inside.text("kms_key"),
        tags=tuple(
            (pair.key.text, pair.value.text) for pair in entries(known.get("tags")) if isinstance(pair.value, Scalar)
        ),
        lifecycle_policy=(keys.values.file(policy, "lifecycle_policy") or "") if isinstance(policy, Scalar) else "",
    )


def _domain(provider: str, keys: _Keys, name: str, region: str) -> str:
    domain = keys.text("domain").removeprefix("https://").removeprefix("http://").rstrip("/")
    if provider == "dockerhub":
        return DOCKER_HUB
    if provider == "gar" and "." not in domain:
        area = keys.text("location") or domain
        domain = f"{area}-docker.pkg.dev" if area else ""
    if provider == "ecr" and domain in ("", "from.service-account"):
        if not region and not keys.values.missing:
            keys.error(keys.location, f'registry {name!r} needs a "region"')
        return ""
    if not domain and keys.values.missing:
        return ""  # who uses it is told why
    try:
        return Repository(domain, "x").host
    except ValueError as problem:
        location = keys.found["domain"].location if "domain" in keys.found else keys.location
        missing = f'registry {name!r} needs a "domain"'
        message = f"registry {name!r}: {problem}" if domain else missing
        keys.error(location, message, "domain is HOST[:PORT], without a path")
        return "domain.invalid"
