"""Registry integrations: what ``registries:`` in ``oci-push.yaml`` describes and pipelines name.

Keys are taken in the vendor API's camelCase and in Terraform's snake_case alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oci_push.errors import ConfigError, Problem
from oci_push.model.access import Access, Login, Trust
from oci_push.model.reference import DOCKER_HUB, Repository, is_host
from oci_push.model.secret import Secret
from oci_push.pipeline import document
from oci_push.pipeline.document import Mark, Node, Scalar

_PROVIDERS = ("dockerhub", "ecr", "gcr", "gar", "acr", "bintray", "other", "standard")
_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRETS = frozenset({"password", "token", "client_secret", "secret_access_key", "keyfile"})
_FIELDS = (
    frozenset(
        [
            "name",
            "provider",
            "domain",
            "username",
            "default",
            "primary",
            "repository_prefix",
            "fallback_registry",
            "region",
            "access_key_id",
            "client_id",
            "location",
            "behind_firewall",
            "get_creds_from_service_account",
            "insecure",
            "plain_http",
            "ca",
            "cert",
            "key",
            "address",
            "password_file",
            "kind",
        ]
    )
    | _SECRETS
)

ReadText = Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Integration:
    """Hold one registry that pipelines name. `problem` is raised when it is used, not when it is read."""

    name: str
    provider: str
    domain: str
    mark: Mark
    login: Login | None = None
    trust: Trust = field(default_factory=Trust)
    is_default: bool = False
    is_primary: bool = True
    prefix: str = ""
    region: str = ""
    address: str = ""
    problem: Problem | None = None

    def access(self, *, with_login: bool = True) -> Access:
        """Give how it is reached; raises `ConfigError` for what is missing, which without a login nothing is."""
        if self.problem is not None and with_login:
            raise ConfigError(problems=[self.problem])
        return Access(self.domain, self.login, self.trust, self.name, self.address)


@dataclass(frozen=True, slots=True)
class Config:
    """Hold ``oci-push.yaml``."""

    integrations: tuple[Integration, ...] = ()
    candidates: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    def find(self, name: str) -> Integration | None:
        """Find an integration by name."""
        return next((one for one in self.integrations if one.name == name), None)

    def default(self) -> Integration | None:
        """Give the integration flagged default, else the first."""
        return next((one for one in self.integrations if one.is_default), next(iter(self.integrations), None))

    def for_pull(self, host: str) -> Integration | None:
        """Give the primary integration of a host."""
        same = [one for one in self.integrations if one.domain == host]
        return next((one for one in same if one.is_primary), next(iter(same), None))


def load_config(text: str | bytes, path: str, env: Mapping[str, str], read: ReadText) -> Config:
    """Read ``oci-push.yaml``; raises one `ConfigError` with everything that is wrong with it."""
    root = document.load(text, path).root
    reader = _Reader(env, read, Path(path).parent)
    config = reader.config(root)
    if reader.problems:
        raise ConfigError(problems=reader.problems)
    return config


class _Reader:
    def __init__(self, env: Mapping[str, str], read: ReadText, folder: Path) -> None:
        self._env = env
        self._read = read
        self._folder = folder
        self.problems: list[Problem] = []
        self._warnings: list[Problem] = []

    def config(self, root: Node) -> Config:
        if not isinstance(root, document.Mapping):
            self._say(root.mark, "a configuration is a mapping with registries, candidates and variables")
            return Config()
        for entry in root.entries:
            if entry.key.text not in ("registries", "candidates", "variables"):
                self._say(
                    entry.key.mark, f'"{entry.key.text}" is not allowed', "registries, candidates and variables are"
                )
        found = tuple(one for node in self._list(root.get("registries")) if (one := self._integration(node)))
        for number, one in enumerate(found):
            if any(one.name == other.name for other in found[:number]):
                self._say(one.mark, f"registry {one.name!r} is described twice")
        if sum(one.is_default for one in found) > 1:
            self._say(found[-1].mark, "more than one registry is marked default")
        return Config(
            found, self._strings(root.get("candidates")), self._strings(root.get("variables")), tuple(self._warnings)
        )

    def _list(self, node: Node | None) -> tuple[Node, ...]:
        if node is None:
            return ()
        if isinstance(node, document.Sequence):
            return node.items
        self._say(node.mark, '"registries" must be an array')
        return ()

    def _integration(self, node: Node) -> Integration | None:
        if not isinstance(node, document.Mapping):
            self._say(node.mark, "a registry is a mapping with name, provider and domain")
            return None
        values: dict[str, Scalar] = {}
        for entry in node.entries:
            key = re.sub(r"(?<=[a-z])([A-Z])", lambda m: f"_{m[1].lower()}", entry.key.text)
            if key not in _FIELDS:
                self._say(entry.key.mark, f'"{entry.key.text}" is not allowed in a registry')
            elif not isinstance(entry.value, Scalar):
                self._say(entry.value.mark, f'"{entry.key.text}" must be a string')
            else:
                values[key] = entry.value
        missing: list[Problem] = []

        def text(key: str) -> str:
            return self._expanded(values[key], key, missing) if key in values else ""

        def flag(key: str, default: bool) -> bool:
            return values[key].text.lower() in ("true", "yes", "on", "1") if key in values else default

        name, provider = text("name"), text("provider") or "other"
        if not name:
            self._say(node.mark, 'a registry needs a "name"')
        if provider not in _PROVIDERS:
            self._say(values["provider"].mark, f'"provider" must be one of [{", ".join(_PROVIDERS)}]')
        domain = self._domain(provider, text("domain"), text("location"), node.mark, name)
        plain = flag("plain_http", False) if "plain_http" in values else None
        trust = Trust(
            plain, flag("insecure", False), self._path(text("ca")), self._path(text("cert")), self._path(text("key"))
        )
        login = self._login(text, values)
        return Integration(
            name,
            provider,
            domain,
            node.mark,
            login,
            trust,
            flag("default", False),
            flag("primary", True),
            text("repository_prefix").strip("/"),
            text("region"),
            text("address"),
            missing[0] if missing else None,
        )

    def _login(self, text: Callable[[str], str], values: Mapping[str, Scalar]) -> Login | None:
        user = text("username") or text("client_id")
        secret = text("password") or text("token") or text("client_secret")
        if not secret and "password_file" in values:
            path = self._path(text("password_file"))
            try:
                secret = self._read(Path(path)).rstrip("\r\n")
            except OSError as problem:
                self._say(values["password_file"].mark, f"{path}: cannot be read ({problem.strerror})")
        return Login(user, Secret(secret), source=f"registry {text('name')!r}") if user and secret else None

    def _domain(self, provider: str, domain: str, location: str, mark: Mark, name: str) -> str:
        if provider == "dockerhub":
            return DOCKER_HUB
        if provider == "gar" and not domain:
            domain = f"{location}-docker.pkg.dev"
        domain = domain.removeprefix("https://").removeprefix("http://").rstrip("/")
        if provider == "ecr" and not domain:
            self._say(mark, f"registry {name!r} needs a domain: logging in to ECR by keys is not part of this version")
            return "ecr.invalid"
        try:
            return Repository(domain, "x").host
        except ValueError as problem:
            self._say(mark, f"registry {name!r}: {problem}", "domain is HOST[:PORT], without a path")
            return "domain.invalid"

    def _expanded(self, node: Scalar, key: str, missing: list[Problem]) -> str:
        def replace(match: re.Match[str]) -> str:
            value = self._env.get(match[1])
            if value is None:
                message = f"environment variable {match[1]} is not set (wanted by {key!r})"
                missing.append(Problem(message, node.mark.file, node.mark.line, node.mark.column))
                return ""
            return value

        if key in _SECRETS and not _ENVIRONMENT.search(node.text):
            message = f"{key} is written out; better take it from the environment: ${{NAME}}"
            self._warnings.append(Problem(message, node.mark.file, node.mark.line, node.mark.column))
        return _ENVIRONMENT.sub(replace, node.text)

    def _path(self, text: str) -> str:
        return str(self._folder / text) if text else ""

    def _strings(self, node: Node | None) -> dict[str, str]:
        if node is None:
            return {}
        if not isinstance(node, document.Mapping) or not all(isinstance(e.value, Scalar) for e in node.entries):
            self._say(node.mark, "must map names to strings")
            return {}
        unused: list[Problem] = []
        return {e.key.text: self._expanded(e.value, "", unused) for e in node.entries if isinstance(e.value, Scalar)}

    def _say(self, mark: Mark, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(message, mark.file, mark.line, mark.column, hint=hint))


def names_host(text: str) -> str:
    """Give the host when a `registry:` value is one (it has a dot or a port, or is localhost), else nothing."""
    bare = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    return bare if is_host(bare) else ""
